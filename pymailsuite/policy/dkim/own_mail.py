"""Signatures on our own reports. Source: RFC 6376 §5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.dkim import DkimSignSettings
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.policy.dkim.key_ring import KeyRing
from pymailsuite.policy.dkim.sign import MessageSigner, SigningRules

log = Logger()


@implementer(ISigner)
class OwnMailSigner:
    """Signs with the keys of ``ring``. ``in_thread`` runs a function elsewhere: unlike for mail of a client, nothing
    waits for a report, so RSA need not be done in the reactor."""

    def __init__(
        self, settings: DkimSignSettings, ring: KeyRing, clock: IReactorTime, in_thread: Callable[..., Deferred[Any]]
    ) -> None:
        self._rules = SigningRules.of(settings)
        self._header_max = settings.header_max
        self._ring = ring
        self._clock = clock
        self._in_thread = in_thread

    def sign(self, octets: bytes) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self._sign(octets))

    async def _sign(self, octets: bytes) -> bytes:
        signer: MessageSigner = await self._in_thread(self._hear, octets)
        domain = signer.author_domain
        if domain is None:
            return b""
        now = self._clock.seconds()
        keys = await self._ring.keys_for(domain)
        if not keys:
            return b""
        try:
            fields: list[bytes] = await self._in_thread(signer.fields, keys, now)
        except ValueError as error:
            log.warn("{event} {domain}: {reason}", event="dkim.own_mail_not_signed", domain=domain, reason=str(error))
            return b""
        return b"".join(fields)

    def _hear(self, octets: bytes) -> MessageSigner:
        signer = MessageSigner(self._rules, self._header_max)
        signer.write(octets)
        signer.finish()
        return signer
