"""Signatures checked while a message comes in. Source: RFC 6376 §6.

The header is kept, up to a limit; the body only goes through the hashes its signatures want. When the message is over,
the keys are asked for, all at the same time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.dkim import DkimSettings
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.interfaces.transient import transient
from pymailsuite.policy.dkim.header import Field, HeaderView, canonical_field
from pymailsuite.policy.dkim.key_lookup import Found, look_up_keys, usable_keys
from pymailsuite.policy.dkim.keys import KeyRecord, key_name
from pymailsuite.policy.dkim.message_tap import HashingTap
from pymailsuite.policy.dkim.results import DkimResult, DkimStatus
from pymailsuite.policy.dkim.signature import Signature, SignatureError, described, read_signature, tags_of
from pymailsuite.policy.dkim.tags import without_signature

SIGNATURE_FIELD = b"dkim-signature"
NOT_SIGNED = DkimResult(DkimStatus.NONE, "message is not signed")


@transient
class _Claim:
    """A signature of the message that is worth a look."""

    field: Field
    tags: Mapping[str, str]
    signature: Signature


class MessageVerifier(HashingTap):
    """Takes one message, then gives the results for its signatures.

    ``write`` it all, ``finish`` it, then ask for the ``results``.
    """

    def __init__(self, settings: DkimSettings | None = None) -> None:
        self._settings = settings or DkimSettings()
        super().__init__(self._settings.header_max)
        self._claims: list[_Claim | DkimResult] = []

    def hashes_wanted(self, view: HeaderView) -> list[tuple[bool, int | None]]:
        """Those of the signatures that are worth a look."""
        for field in view.fields(SIGNATURE_FIELD)[: self._settings.max_signatures]:
            self._claims.append(self._read_claim(field))
        signatures = [claim.signature for claim in self._claims if isinstance(claim, _Claim)]
        return [(signature.relaxed_body, signature.length) for signature in signatures]

    def _read_claim(self, field: Field) -> _Claim | DkimResult:
        tags: Mapping[str, str] = {}
        try:
            if len(field.raw) > self._settings.signature_max:
                raise SignatureError(DkimStatus.POLICY, "signature is too large")
            tags = tags_of(field.body)
            return _Claim(field, tags, read_signature(tags))
        except SignatureError as error:
            return described(tags, error.status, str(error))

    async def results(self, resolver: IResolver, now: float, clock: IReactorTime | None = None) -> list[DkimResult]:
        """One result for each signature, from the top; a single ``none`` if there is none.

        ``now`` is POSIX seconds. With a ``clock`` no key is waited for longer than the settings say.
        """
        if self.view is None:
            return [DkimResult(DkimStatus.POLICY, "header is too large")]
        if not self._claims:
            return [NOT_SIGNED]
        checked = [claim if isinstance(claim, DkimResult) else self._check_times(claim, now) for claim in self._claims]
        names = [
            key_name(claim.signature.selector, claim.signature.domain) for claim in checked if isinstance(claim, _Claim)
        ]
        found = await look_up_keys(resolver, names, self._settings.timeout, clock) if names else {}
        return [claim if isinstance(claim, DkimResult) else self._check_signature(claim, found) for claim in checked]

    def _check_times(self, claim: _Claim, now: float) -> _Claim | DkimResult:
        signature = claim.signature
        if signature.expiration is not None and signature.expiration < now:
            return described(claim.tags, DkimStatus.PERMERROR, "signature has expired")
        if signature.timestamp is not None and signature.timestamp > now + self._settings.clock_skew:
            return described(claim.tags, DkimStatus.POLICY, "signature is from the future")
        return claim

    def _check_body(self, signature: Signature) -> None:
        hashed = self.body_hash(signature.relaxed_body, signature.length)
        if signature.length is not None and signature.length > hashed.length:
            raise SignatureError(DkimStatus.FAIL, "body is shorter than what was signed")
        if hashed.digest() != signature.body_hash:
            raise SignatureError(DkimStatus.FAIL, "body was changed")
        if signature.length is not None and signature.length < hashed.length and not self._settings.allow_partial_body:
            raise SignatureError(DkimStatus.POLICY, "body is signed in part only")

    def _check_signature(self, claim: _Claim, found: Mapping[str, Found]) -> DkimResult:
        signature = claim.signature
        try:
            keys = usable_keys(
                found[key_name(signature.selector, signature.domain)], signature.key_kind, self._settings
            )
            # After the key, as RFC 6376 §6.1 has it: a missing key is said of a changed message too.
            self._check_body(signature)
        except SignatureError as error:
            return described(claim.tags, error.status, str(error))
        digest = self._digest(claim)
        key = next((key for key in keys if key.verifies(signature.signature, digest)), None)
        if key is None:
            bits, testing = keys[0].bits, keys[0].testing
            reason = "signature does not match header or key"
            return described(claim.tags, DkimStatus.FAIL, reason, key_bits=bits, testing=testing)
        return self._accepted(claim, key)

    def _accepted(self, claim: _Claim, key: KeyRecord) -> DkimResult:
        signature = claim.signature
        status, reason = DkimStatus.PASS, "domain is testing DKIM" if key.testing else ""
        if key.same_domain and signature.identity_domain != signature.domain:
            status, reason = DkimStatus.PERMERROR, "key is not for subdomains"
        unsigned = 0
        if signature.length is not None:
            unsigned = self.body_hash(signature.relaxed_body, signature.length).length - signature.length
        return described(
            claim.tags,
            status,
            reason,
            signature,
            key_bits=key.bits,
            testing=key.testing,
            unsigned_octets=unsigned,
        )

    def _digest(self, claim: _Claim) -> bytes:
        assert self.view is not None
        relaxed = claim.signature.relaxed_header
        signed = self.view.signed_octets(claim.signature.headers, relaxed, claim.field)
        name, colon, body = claim.field.raw.partition(b":")
        own = canonical_field(name + colon + without_signature(body), relaxed)
        return hashlib.sha256(signed + own).digest()


async def verify_message(
    source: bytes | Iterable[bytes],
    resolver: IResolver,
    now: float,
    settings: DkimSettings | None = None,
    clock: IReactorTime | None = None,
) -> list[DkimResult]:
    """The results of a message, whole or in chunks, whose lines end in CRLF. See :class:`MessageVerifier`."""
    verifier = MessageVerifier(settings)
    for chunk in (source,) if isinstance(source, bytes) else source:
        verifier.write(chunk)
    verifier.finish()
    return await verifier.results(resolver, now, clock)
