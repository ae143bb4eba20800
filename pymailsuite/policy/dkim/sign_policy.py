"""The policy ``dkim_sign``: signs what our users and programs hand in.

The whole body must have been heard before the header field can be written, so it is written at the end of the message
and goes in front of it. Signing with RSA-2048 takes less than a millisecond, Ed25519 a tenth of one: less than the way
to a thread and back costs the reactor under load, so it is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.config.sections.dkim import DkimSignSettings
from pymailsuite.interfaces.edits import IMessageSignature
from pymailsuite.interfaces.keys import IKeyStore
from pymailsuite.interfaces.policy import Action, IMessageTap, MailTransaction, PolicyContext, Verdict
from pymailsuite.interfaces.send_as import ISenderRights
from pymailsuite.message.originators import originators_of
from pymailsuite.policy.author import author_of
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.coroutines import start_coroutine
from pymailsuite.policy.decision import is_listed
from pymailsuite.policy.dkim.key_ring import KeyRing
from pymailsuite.policy.dkim.private_keys import SigningKey
from pymailsuite.policy.dkim.sign import MessageSigner, SigningRules
from pymailsuite.values import Peer

_ANY: Final = "*"
_ORIGINATORS_MAX: Final = 100
"""Addresses of a header that are looked at; a message with more is not signed where it matters whose they are."""


class DkimSignPolicy(Policy):
    """``ring`` has the keys of domains, ``rights`` knows the addresses that users may send as: a key signs only for
    addresses that the client has a right to send as, whatever the listeners accept. None: users may send as any
    address."""

    name = "dkim_sign"

    def __init__(
        self, settings: DkimSignSettings, ring: KeyRing, clock: IReactorTime, rights: ISenderRights | None = None
    ) -> None:
        self._trusted_domains = settings.trusted_domains
        self._rights = rights
        self._rules = SigningRules.of(settings)
        self._header_max = settings.header_max
        self._ring = ring
        self._clock = clock

    def tap(self, transaction: MailTransaction) -> IMessageTap | None:
        handed_in = transaction.submission or transaction.peer.login or transaction.peer.trusted
        if handed_in and not self._ring.has_none():
            return MessageSigner(self._rules, self._header_max, self._has_no_key)
        return None

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        tap: Any = transaction.message.taps.get(self.name) if transaction.message is not None else None
        if not isinstance(tap, MessageSigner):
            return succeed(NO_OPINION)
        return start_coroutine(self._sign(tap, transaction.peer))

    def _has_no_key(self, domain: str) -> bool:
        return self._ring.has_none_for(domain)

    async def _may_be_signed(self, peer: Peer, header: bytes) -> bool:
        """Whether the client may send as all authors of the message."""
        allowed = self._trusted_domains
        if self._rights is None if peer.login else _ANY in allowed:
            return True
        authors = originators_of(header, _ORIGINATORS_MAX).authors
        if peer.login and self._rights is not None:
            return bool(authors) and await self._rights.not_allowed(peer.login, authors) is None
        return bool(authors) and all(is_listed(author, allowed) for author in authors)

    async def _sign(self, tap: MessageSigner, peer: Peer) -> Verdict:
        tap.finish()
        domain = tap.author_domain
        if domain is not None and tap.is_given_up:
            return _unsigned(domain)
        if domain is None:
            return Verdict(reason="not signed: no single author domain")
        if not await self._may_be_signed(peer, tap.header or b""):
            return Verdict(reason=f"not signed: the client may not send as all authors at {domain}")
        now = self._clock.seconds()
        keys = await self._ring.keys_for(domain)
        if not keys:
            return _unsigned(domain)
        names = [f"{key.selector}/{key.domain}" for key in keys]
        return Verdict(
            Action.PASS,
            f"signed by {', '.join(names)}",
            evidence={"keys": names},
            fields=tuple(tap.fields(keys, now)),
            signature=_Signature(tap, domain, keys, now, partial(MessageSigner, self._rules, self._header_max)),
        )


@implementer(IMessageSignature)
class _Signature:
    """Signs a message again that has been changed, if it is still by an author at that domain."""

    __slots__ = ("_anew", "_domain", "_is_open", "_keys", "_now", "_signer")

    def __init__(
        self,
        signer: MessageSigner,
        domain: str,
        keys: Sequence[SigningKey],
        now: float,
        anew: Callable[[], MessageSigner],
    ) -> None:
        self._signer = signer
        self._domain = domain
        self._keys = keys
        self._now = now
        self._anew = anew
        self._is_open = False

    def hear_anew(self) -> None:
        self._signer = self._anew()
        self._is_open = True

    def write(self, octets: bytes) -> None:
        self._signer.write(octets)

    def fields(self, header: bytes) -> bytes:
        if self._is_open:
            self._signer.finish()
            self._is_open = False
        if author_of(header).domains != (self._domain,):
            return b""
        return b"".join(self._signer.fields(self._keys, self._now, header))


@lru_cache(maxsize=1024)
def _unsigned(domain: str) -> Verdict:
    return Verdict(reason=f"not signed: no key for {domain}")


def make_policy(context: PolicyContext) -> DkimSignPolicy:
    """The policy as the chain wants it. ConfigError for a key file that cannot be used."""
    ring = context.key_ring or KeyRing(context.section, context.store.ability(IKeyStore), context.clock)
    return DkimSignPolicy(context.section, ring, context.clock, context.rights)
