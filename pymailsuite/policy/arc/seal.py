"""Seals set on a message that is forwarded. Source: RFC 8617 §5.1.

A seal says what was found of the message here, and that the chain so far is, or is not, what it was. A chain that is
broken gets a last seal, ``cv=fail``, which covers its own set only; after that nobody adds to it.

Signatures are not folded: in relaxed form a fold within ``b=`` is a space, which the next seal covers, and a relay that
folds elsewhere would break the chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.message.authentication_results import parse_authentication_results, payload_of
from pymailsuite.policy.arc.results import ArcResult, ChainStatus
from pymailsuite.policy.arc.sets import MAX_INSTANCES, ArcSet, ChainError, read_sets
from pymailsuite.policy.arc.verify import ChainVerifier
from pymailsuite.policy.dkim.header import Field, HeaderView, split_fields
from pymailsuite.policy.dkim.private_keys import SigningKey
from pymailsuite.policy.dkim.sign import DEFAULT_RULES, SigningRules, signed_field
from pymailsuite.policy.dkim.tags import base64_text

# RFC 8617 §5.1.1: fields of ARC, and Authentication-Results, which the next host may take out, are not covered.
SEALING_RULES: Final = evolve(
    DEFAULT_RULES, headers=(*DEFAULT_RULES.headers, b"dkim-signature"), oversign=frozenset((b"from",))
)

_SPACE = re.compile(r"[ \t\r\n]+")


def found_results(view: HeaderView, authserv_id: str) -> str:
    """The results in the Authentication-Results fields of this name, merged into one payload without the name.

    Empty if there are none. Source: RFC 8617 §4.1.1."""
    payloads = [payload_of(field.body, authserv_id) or "" for field in view.fields(b"authentication-results")]
    return "; ".join(filter(None, map(_without_last_semicolon, payloads)))


def _without_last_semicolon(payload: str) -> str:
    return payload.strip().rstrip(";").rstrip()


@implementer(IMessageTap)
class MessageSealer:
    """Takes one message, then seals it: ``write`` all, ``finish``, ask for the ``chain``, then for the ``seal``."""

    def __init__(self, settings: ArcSettings | None = None, rules: SigningRules = SEALING_RULES) -> None:
        self._verifier = ChainVerifier(settings, [(rules.relaxed_body, None)])
        self._rules = rules

    def write(self, octets: bytes) -> None:
        """The next octets of the message."""
        self._verifier.write(octets)

    def finish(self) -> None:
        """The message is over."""
        self._verifier.finish()

    async def chain(self, resolver: IResolver, now: float, clock: IReactorTime | None = None) -> ArcResult:
        """The result for the chain of the message; see :meth:`ChainVerifier.result`."""
        return await self._verifier.result(resolver, now, clock)

    def seal(self, chain: ArcResult, key: SigningKey, authserv_id: str, results: str, now: float) -> bytes:
        """The three fields to stand in front of the message; empty if nothing may be added to the chain.

        ``results`` is what was found, as in Authentication-Results, with or without our name in front; empty: what the
        message's own fields of our name say, or else what is known of the chain. ``now`` is POSIX seconds. ValueError
        if the header is too large or has no From.
        """
        view, header = self._verifier.view, self._verifier.header
        if view is None or header is None:
            raise ValueError("the header is too large")
        if not view.fields(b"from"):
            raise ValueError("the message has no From")
        instance = chain.instance + 1
        if chain.ended or instance > MAX_INSTANCES:
            return b""
        payload = _payload(results, authserv_id) or found_results(view, authserv_id) or f"arc={chain.status.value}"
        before, status = _chain_so_far(view, chain, payload)
        results_field = _results_field(instance, authserv_id, payload)
        with_results = HeaderView(split_fields(results_field + header))
        signature = self._message_signature(with_results, instance, key, int(now))
        seal = _seal(before, results_field, signature, status, instance, key, int(now))
        return seal + signature + results_field

    def _message_signature(self, view: HeaderView, instance: int, key: SigningKey, now: int) -> bytes:
        names = self._rules.names(view)
        # In the order of the tags' names, as the seal's: relays that sort them leave the signature whole.
        tags = [
            ("a", key.private.algorithm),
            ("b", ""),
            ("bh", base64_text(self._verifier.body_hash(self._rules.relaxed_body).digest())),
            ("c", self._rules.canonicalization),
            ("d", key.domain),
            ("h", b":".join(names).decode("ascii")),
            ("i", str(instance)),
            ("s", key.selector),
            ("t", str(now)),
        ]
        relaxed = self._rules.relaxed_header
        return signed_field(
            b"ARC-Message-Signature", tags, view.signed_octets(names, relaxed), key, relaxed, fold_signature=False
        )


def _chain_so_far(view: HeaderView, chain: ArcResult, payload: str) -> tuple[list[ArcSet], ChainStatus]:
    """The sets that the seal covers beside its own, and the status it tells.

    If what was found tells of ``arc``, that is the status: it was found when the message came in, and since then it may
    have been changed here, as mailing lists do. Source: RFC 8617 §5.1.
    """
    if chain.status is ChainStatus.NONE:
        return [], chain.status
    status = _told_status(payload) or chain.status
    if status is not ChainStatus.PASS:
        return [], ChainStatus.FAIL
    try:
        return read_sets(view), status
    except ChainError:
        return [], ChainStatus.FAIL


def _told_status(payload: str) -> ChainStatus | None:
    """The result for the chain in this payload, None if there is none: pass only if all of several are."""
    parsed = parse_authentication_results(f"x; {payload}".encode())
    told = {found.result for found in parsed.results if found.method == "arc"} if parsed is not None else set()
    told &= {ChainStatus.PASS.value, ChainStatus.FAIL.value}
    return ChainStatus(min(told)) if told else None


def _seal(
    before: list[ArcSet],
    results_field: bytes,
    signature: bytes,
    status: ChainStatus,
    instance: int,
    key: SigningKey,
    now: int,
) -> bytes:
    own = split_fields(results_field + signature)
    covered: list[Field] = []
    for each in before:
        covered += [each.results, each.message_signature, each.seal]
    view = HeaderView(own)
    signed = b"".join(view.canonical(field, True) for field in [*covered, *own])
    tags = [
        ("a", key.private.algorithm),
        ("b", ""),
        ("cv", status.value),
        ("d", key.domain),
        ("i", str(instance)),
        ("s", key.selector),
        ("t", str(now)),
    ]
    return signed_field(b"ARC-Seal", tags, signed, key, True, fold_signature=False)


def _payload(results: str, authserv_id: str) -> str:
    """The results, on one line, without the name in front."""
    text = _SPACE.sub(" ", results)
    payload = payload_of(text.encode(), authserv_id)
    return _without_last_semicolon(text if payload is None else payload)


def _results_field(instance: int, authserv_id: str, payload: str) -> bytes:
    text = _SPACE.sub(" ", payload).replace("; ", ";\r\n\t")
    return f"ARC-Authentication-Results: i={instance}; {authserv_id};\r\n\t{text}\r\n".encode()


async def seal_message(
    source: bytes | Iterable[bytes],
    key: SigningKey,
    authserv_id: str,
    resolver: IResolver,
    now: float,
    *,
    results: str = "",
    settings: ArcSettings | None = None,
    rules: SigningRules = SEALING_RULES,
    clock: IReactorTime | None = None,
) -> bytes:
    """The fields to stand in front of a message, whole or in chunks, whose lines end in CRLF. See
    :class:`MessageSealer`."""
    sealer = MessageSealer(settings, rules)
    for chunk in (source,) if isinstance(source, bytes) else source:
        sealer.write(chunk)
    sealer.finish()
    chain = await sealer.chain(resolver, now, clock)
    return sealer.seal(chain, key, authserv_id, results, now)
