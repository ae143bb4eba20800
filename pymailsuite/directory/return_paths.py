"""The return paths mail leaves with, and where mail goes that comes back to them."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.directory.bounce_tags import BounceTags, is_tagged
from pymailsuite.directory.resolver import Recipients
from pymailsuite.directory.signed_paths import DAY_S
from pymailsuite.directory.srs import SenderRewriting, is_rewritten
from pymailsuite.interfaces import IRecipientResolver
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.values import Address

SECRET: Final = "return paths"  # noqa: S105
_PATH_MAX: Final = 254
"""Octets of a path without its brackets. Source: RFC 5321 §4.5.3.1.3."""


class ReturnPaths:
    """Signs with the secret of the store, which is asked for when the first path is to be made or read."""

    def __init__(
        self, forwarding: ForwardingSettings, tags: BounceTagSettings, secrets: ISecretStore, clock: IReactorTime
    ) -> None:
        self._srs_days = int(forwarding.srs_life // DAY_S)
        self._tag_days = int(tags.life // DAY_S)
        self._secrets = secrets
        self._clock = clock
        self._secret = b""

    async def _known_secret(self) -> bytes:
        if not self._secret:
            self._secret = await self._secrets.secret(SECRET)
        return self._secret

    async def rewritten(self, sender: Address, domain: str) -> Address:
        """The return path at ``domain`` that stands for ``sender``; the sender as it is if that would be too long for
        other hosts to take."""
        rewriting = SenderRewriting(await self._known_secret(), self._srs_days)
        path = rewriting.rewrite(sender, domain, self._clock.seconds())
        return path if len(str(path).encode()) <= _PATH_MAX else sender

    async def tagged(self, sender: Address) -> Address:
        """The sender's address with a bounce tag, or as it is if that would be too long."""
        path = BounceTags(await self._known_secret(), self._tag_days).tag(sender, self._clock.seconds())
        return path if len(str(path).encode()) <= _PATH_MAX else sender

    async def restored(self, address: Address) -> Address:
        """The address that a return path of ours stands for. NotOurReturnPath."""
        secret, now = await self._known_secret(), self._clock.seconds()
        if is_tagged(address):
            return BounceTags(secret, self._tag_days).untag(address, now)
        return SenderRewriting(secret, self._srs_days).restore(address, now)


@implementer(IRecipientResolver)
class ReturnPathResolver:
    """Resolves return paths of ours to what they stand for, and all else as ``inner`` does."""

    def __init__(self, inner: IRecipientResolver, paths: ReturnPaths) -> None:
        self._inner = inner
        self._paths = paths
        self.is_local_domain = inner.is_local_domain

    def resolve(self, address: Address) -> Deferred[Recipients]:
        """As IRecipientResolver says; NotOurReturnPath, a NoSuchUser, for what looks like one and is none."""
        # Every recipient comes by here: two comparisons, and on.
        if is_rewritten(address) or is_tagged(address):
            return Deferred.fromCoroutine(self._resolve(address))
        resolved: Deferred[Recipients] = self._inner.resolve(address)
        return resolved

    async def _resolve(self, address: Address) -> Recipients:
        if await self._inner.is_local_domain(address.domain):
            address = await self._paths.restored(address)
        found: Recipients = await self._inner.resolve(address)
        return found
