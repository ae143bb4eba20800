"""Seals on mail that is sent on, with the results of our Authentication-Results. Source: RFC 8617 §5.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.interfaces.signing import ISealer, ISealingMessage
from pymailsuite.policy.arc.results import ArcResult
from pymailsuite.policy.arc.seal import MessageSealer, found_results
from pymailsuite.policy.dkim.header import HeaderView, split_fields
from pymailsuite.policy.dkim.key_ring import KeyRing

log = Logger()


@implementer(ISealer)
@frozen
class ForwardSealer:
    """Seals with the keys of ``ring``. ``in_thread`` runs a function elsewhere: two signatures, which may be RSA."""

    settings: ArcSettings
    ring: KeyRing
    resolver: IResolver
    authserv_id: str
    clock: IReactorTime
    in_thread: Callable[..., Deferred[Any]]

    def listen(self) -> SealingMessage:
        return SealingMessage(self)


@implementer(ISealingMessage)
class SealingMessage:
    """One message of ``owner``'s."""

    def __init__(self, owner: ForwardSealer) -> None:
        self._owner = owner
        self._sealer = MessageSealer(owner.settings)
        self._heard_all = True
        self._chain: ArcResult | None = None

    def write(self, octets: bytes) -> None:
        # Whoever fails is told no more: what was heard of a message in part must not be sealed.
        self._heard_all = False
        self._sealer.write(octets)
        self._heard_all = True

    def seal(self, prefix: bytes, domain: str) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self._seal(prefix, domain))

    async def _seal(self, prefix: bytes, domain: str) -> bytes:
        owner = self._owner
        now = owner.clock.seconds()
        keys = await owner.ring.keys_for(owner.settings.seal_domain or domain)
        if not keys or not self._heard_all:
            return b""
        chain = self._chain
        if chain is None:
            self._sealer.finish()
            chain = self._chain = await self._sealer.chain(owner.resolver, now, owner.clock)
        # Never what the message itself says in our name: that was taken out of it, but was heard here.
        results = found_results(HeaderView(split_fields(prefix)), owner.authserv_id) or f"arc={chain.status.value}"
        # One kind of key is enough, and RSA, which comes first, is the kind that every verifier knows.
        arguments = chain, keys[0], owner.authserv_id, results, now
        try:
            sealed: bytes = await owner.in_thread(self._sealer.seal, *arguments)
        except ValueError as error:
            log.info("{event} for {domain}: {reason}", event="arc.not_sealed", domain=domain, reason=str(error))
            return b""
        return sealed
