"""Chains checked while a message comes in. Source: RFC 8617 §5.2."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.policy.arc.results import ArcResult, ChainStatus, SealedHop
from pymailsuite.policy.arc.sets import (
    ArcSet,
    ChainError,
    covered_names,
    ended,
    has_arc,
    highest_instance,
    read_sets,
)
from pymailsuite.policy.dkim.header import Field, HeaderView, canonical_field
from pymailsuite.policy.dkim.key_lookup import Found, look_up_keys, usable_keys
from pymailsuite.policy.dkim.keys import key_name
from pymailsuite.policy.dkim.message_tap import HashingTap
from pymailsuite.policy.dkim.results import DkimStatus
from pymailsuite.policy.dkim.signature import (
    ALGORITHMS,
    SignatureError,
    algorithm_of,
    canonicalization_of,
    octets_of,
    signer_of,
    time_of,
)
from pymailsuite.policy.dkim.tags import without_signature

NO_CHAIN = ArcResult(ChainStatus.NONE)


@frozen
class _Proof:
    """One signature of a chain: what it signs and whose it is."""

    kind: str
    domain: str
    selector: str
    signature: bytes

    @property
    def name(self) -> str:
        """Where its key is."""
        return key_name(self.selector, self.domain)


@frozen
class _MessageProof:
    """The ARC-Message-Signature of the newest set."""

    proof: _Proof
    headers: tuple[bytes, ...]
    relaxed_header: bool
    relaxed_body: bool
    length: int | None
    body_hash: bytes
    expiration: int | None


def _proof(tags: Mapping[str, str]) -> _Proof:
    return _Proof(ALGORITHMS[algorithm_of(tags)], *signer_of(tags), octets_of(tags, "b"))


def _message_proof(tags: Mapping[str, str]) -> _MessageProof:
    headers = covered_names(tags)
    if b"arc-seal" in headers:
        raise ChainError("a message signature covers seals")
    length = tags.get("l")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) <= 76):
        raise ChainError("tag l= is no number")
    time_of(tags, "t")
    return _MessageProof(
        _proof(tags),
        headers,
        *canonicalization_of(tags),
        None if length is None else int(length),
        octets_of(tags, "bh"),
        time_of(tags, "x"),
    )


def unsigned(field: Field, relaxed: bool) -> bytes:
    """A signature field in canonical form, without its signature and its line end: what it signs of itself."""
    name, colon, body = field.raw.partition(b":")
    return canonical_field(name + colon + without_signature(body), relaxed)


def sealed_octets(view: HeaderView, sets: Sequence[ArcSet]) -> bytes:
    """What the seal of the last of these sets signs. Source: RFC 8617 §5.1.1."""
    parts = []
    for each in sets:
        parts += [view.canonical(each.results, True), view.canonical(each.message_signature, True)]
        parts.append(view.canonical(each.seal, True) if each is not sets[-1] else unsigned(each.seal, True))
    return b"".join(parts)


class ChainVerifier(HashingTap):
    """Takes one message, then gives the result for its chain. ``write`` it all, ``finish`` it, then ask for the
    ``result``.

    ``also`` are body hashes that somebody else wants of it."""

    def __init__(self, settings: ArcSettings | None = None, also: Sequence[tuple[bool, int | None]] = ()) -> None:
        self._settings = settings or ArcSettings()
        super().__init__(self._settings.header_max)
        self._also = also
        self._sets: list[ArcSet] = []
        self._message_proof: _MessageProof | None = None
        self._seal_proofs: list[_Proof] = []
        self._fault: ArcResult | None = None

    def hashes_wanted(self, view: HeaderView) -> list[tuple[bool, int | None]]:
        """That of the newest message signature, and those that others want."""
        if not has_arc(view):
            return [*self._also]
        try:
            self._sets = read_sets(view, self._settings.max_instances)
            self._message_proof = _message_proof(self._sets[-1].signature_tags)
            if b"from" not in self._message_proof.headers and not self._settings.allow_uncovered_author:
                raise ChainError("From is not covered by the message signature")
            self._seal_proofs = [_proof(each.seal_tags) for each in self._sets]
            for each in self._sets:
                time_of(each.seal_tags, "t")
        except (ChainError, SignatureError) as error:
            highest = highest_instance(view)
            self._fault = ArcResult(ChainStatus.FAIL, str(error), highest, ended=ended(view, highest))
            return [*self._also]
        return [(self._message_proof.relaxed_body, self._message_proof.length), *self._also]

    @property
    def is_unsealed(self) -> bool:
        """True for a message that is over and has nothing of a chain."""
        return self.view is not None and self._fault is None and not self._sets

    async def result(self, resolver: IResolver, now: float, clock: IReactorTime | None = None) -> ArcResult:
        """The result for the chain. ``now`` is POSIX seconds. With a ``clock`` no key is waited for longer than the
        settings say."""
        if self.view is None:
            return ArcResult(ChainStatus.FAIL, "header is too large")
        if self._fault is not None:
            return self._fault
        if self.is_unsealed:
            return NO_CHAIN
        instance = len(self._sets)
        try:
            self._check_body(now)
            assert self._message_proof is not None
            names = [self._message_proof.proof.name, *(proof.name for proof in self._seal_proofs)]
            found = await look_up_keys(resolver, names, self._settings.timeout, clock)
            self._check_signatures(found)
        except ChainError as error:
            return ArcResult(ChainStatus.FAIL, str(error), instance)
        except SignatureError as error:
            temporary = error.status is DkimStatus.TEMPERROR
            return ArcResult(ChainStatus.FAIL, str(error), instance, temporary=temporary)
        hops = [
            SealedHop(each.instance, proof.domain, proof.selector, each.payload)
            for each, proof in zip(self._sets, self._seal_proofs, strict=True)
        ]
        return ArcResult(ChainStatus.PASS, "", instance, tuple(hops))

    def _check_body(self, now: float) -> None:
        proof = self._message_proof
        assert proof is not None
        hashed = self.body_hash(proof.relaxed_body, proof.length)
        if proof.expiration is not None and proof.expiration < now:
            raise ChainError("message signature has expired")
        if proof.length is not None and proof.length > hashed.length:
            raise ChainError("body is shorter than what was signed")
        if hashed.digest() != proof.body_hash:
            raise ChainError("body was changed")
        if proof.length is not None and proof.length < hashed.length and not self._settings.allow_partial_body:
            raise ChainError("body is covered in part only")

    def _check_signatures(self, found: Mapping[str, Found]) -> None:
        view, newest, message = self.view, self._sets[-1], self._message_proof
        assert view is not None and message is not None
        signed = view.signed_octets(message.headers, message.relaxed_header, newest.message_signature)
        signed += unsigned(newest.message_signature, message.relaxed_header)
        self._check(message.proof, signed, found, "message signature does not match")
        for count in range(len(self._sets), 0, -1):
            signed = sealed_octets(view, self._sets[:count])
            self._check(self._seal_proofs[count - 1], signed, found, f"seal with i={count} does not match")

    def _check(self, proof: _Proof, signed: bytes, found: Mapping[str, Found], fault: str) -> None:
        keys = usable_keys(found[proof.name], proof.kind, self._settings)
        digest = hashlib.sha256(signed).digest()
        if not any(key.verifies(proof.signature, digest) for key in keys):
            raise ChainError(fault)


async def verify_arc(
    source: bytes | Iterable[bytes],
    resolver: IResolver,
    now: float,
    settings: ArcSettings | None = None,
    clock: IReactorTime | None = None,
) -> ArcResult:
    """The result of a message, whole or in chunks, whose lines end in CRLF. See :class:`ChainVerifier`."""
    verifier = ChainVerifier(settings)
    for chunk in (source,) if isinstance(source, bytes) else source:
        verifier.write(chunk)
    verifier.finish()
    return await verifier.result(resolver, now, clock)
