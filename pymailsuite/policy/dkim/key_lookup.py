"""Keys asked for: all that a message needs, at the same time. Source: RFC 6376 §6.1.2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces.dns import Answer, IResolver
from pymailsuite.policy.dkim.keys import ED25519, KeyRecord, KeyRecordError, parse_key_record
from pymailsuite.policy.dkim.results import DkimStatus
from pymailsuite.policy.dkim.signature import SignatureError

MAX_RECORDS: Final = 4
"""Records at one name that are tried; there should be one."""


class KeyLimits(Protocol):
    """The settings of keys that DKIM and ARC have in common."""

    @property
    def timeout(self) -> float: ...
    @property
    def min_rsa_bits(self) -> int: ...
    @property
    def max_rsa_bits(self) -> int: ...


Found = Answer | Failure


async def look_up_keys(
    resolver: IResolver, names: Iterable[str], timeout_s: float, clock: IReactorTime | None
) -> dict[str, Found]:
    """The answer for each name, or what its look-up failed with. Without a clock the resolver's patience is ours."""
    wanted = list(dict.fromkeys(names))
    asked: list[Deferred[Answer]] = [resolver.txt(name) for name in wanted]
    if clock is not None:
        for each in asked:
            if not each.called:
                each.addTimeout(timeout_s, clock, _late)
    if len(asked) == 1:
        # Most messages have one signature: no list for one answer, which may be there already.
        try:
            return {wanted[0]: await asked[0]}
        except DnsFailure:
            return {wanted[0]: Failure()}
    outcomes = await DeferredList(asked, consumeErrors=True)
    return {name: outcome[1] for name, outcome in zip(wanted, outcomes, strict=True)}


def _late(result: object, timeout_s: float) -> Failure:
    return Failure(DnsFailure(cause=f"no key within {timeout_s:g} s"))


def usable_keys(found: Found, kind: str, limits: KeyLimits) -> list[KeyRecord]:
    """The keys of an answer that a signature of this kind may be checked with. SignatureError if there are none.

    Raises what a look-up failed with, if that is no DnsFailure.
    """
    if isinstance(found, Failure):
        if not found.check(DnsFailure):
            found.raiseException()
        raise SignatureError(DkimStatus.TEMPERROR, "key could not be looked up")
    fault: SignatureError | None = None
    keys = []
    for record in found.records[:MAX_RECORDS]:
        try:
            key = parse_key_record(record)
            _check_key(key, kind, limits)
            keys.append(key)
        except KeyRecordError as error:
            fault = fault or SignatureError(DkimStatus.PERMERROR, str(error))
        except SignatureError as error:
            fault = fault or error
    if not keys:
        raise fault or SignatureError(DkimStatus.PERMERROR, "no key is published")
    return keys


def _check_key(key: KeyRecord, kind: str, limits: KeyLimits) -> None:
    if key.algorithm != kind:
        raise SignatureError(DkimStatus.PERMERROR, f"key is of the kind {key.algorithm}, the signature is {kind}")
    if key.hashes is not None and "sha256" not in key.hashes:
        raise SignatureError(DkimStatus.PERMERROR, "key is not for SHA-256")
    if kind == ED25519:
        return
    if not limits.min_rsa_bits <= key.bits <= limits.max_rsa_bits:
        size = "small" if key.bits < limits.min_rsa_bits else "large"
        raise SignatureError(DkimStatus.POLICY, f"key of {key.bits} bits is too {size}")
