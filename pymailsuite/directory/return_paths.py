"""The return paths mail leaves with, and where mail goes that comes back to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.directory.bounce_tags import BounceTags, is_tagged
from pymailsuite.directory.signed_paths import DAY_S, NotOurReturnPath
from pymailsuite.directory.srs import SenderRewriting, is_rewritten
from pymailsuite.errors import TemporaryFailure
from pymailsuite.interfaces import IRecipientResolver
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.secrets import ISecretStore, Secret
from pymailsuite.values import Address

SECRET: Final = "return paths"  # noqa: S105
_PATH_MAX: Final = 254
"""Octets of a path without its brackets. Source: RFC 5321 §4.5.3.1.3."""
_RELOAD_S: Final = 30.0
"""How long secrets are remembered: a new one is known to all nodes after this."""
_HEARD_OF_S: Final = 2 * _RELOAD_S
"""A new secret signs when it is so old, as a bounce may come to any node."""


def secrets_kept_s(forwarding: ForwardingSettings, tags: BounceTagSettings) -> float:
    """How long after its end a secret may still be asked for: it signs a moment longer, and then paths live on."""
    return max(forwarding.srs_life, tags.life) + DAY_S + _HEARD_OF_S


class ReturnPaths:
    """Signs with a secret of the store, and reads what was signed with those before it."""

    def __init__(
        self, forwarding: ForwardingSettings, tags: BounceTagSettings, secrets: ISecretStore, clock: IReactorTime
    ) -> None:
        self._srs_days = int(forwarding.srs_life // DAY_S)
        self._tag_days = int(tags.life // DAY_S)
        self._kept_s = secrets_kept_s(forwarding, tags)
        self._secrets = secrets
        self._clock = clock
        self._known: Sequence[Secret] = ()
        self._known_until = 0.0

    async def _known_secrets(self, now: float) -> Sequence[Secret]:
        if now >= self._known_until:
            try:
                self._known = await self._secrets.secrets(SECRET)
                self._known_until = now + _RELOAD_S
            except TemporaryFailure:
                # Those of a while ago will do, if there are any, until the store is back.
                if not self._known:
                    raise
        return self._known

    async def _signing_secret(self, now: float) -> bytes:
        known = await self._known_secrets(now)
        signing = next((secret for secret in known if secret.made_at + _HEARD_OF_S <= now), known[-1])
        return signing.octets

    async def rewritten(self, sender: Address, domain: str) -> Address:
        """The return path at ``domain`` that stands for ``sender``; the sender as it is if that would be too long for
        other hosts to take."""
        now = self._clock.seconds()
        path = SenderRewriting(await self._signing_secret(now), self._srs_days).rewrite(sender, domain, now)
        return path if len(str(path).encode()) <= _PATH_MAX else sender

    async def tagged(self, sender: Address) -> Address:
        """The sender's address with a bounce tag, or as it is if that would be too long."""
        now = self._clock.seconds()
        path = BounceTags(await self._signing_secret(now), self._tag_days).tag(sender, now)
        return path if len(str(path).encode()) <= _PATH_MAX else sender

    async def restored(self, address: Address) -> Address:
        """The address that a return path of ours stands for. NotOurReturnPath."""
        now = self._clock.seconds()
        refusal = NotOurReturnPath()
        for secret in await self._known_secrets(now):
            if secret.retired_at is not None and secret.retired_at + self._kept_s < now:
                continue
            try:
                return self._restored_with(secret.octets, address, now)
            except NotOurReturnPath as not_ours:
                refusal = not_ours if not refusal.cause else refusal
        raise refusal

    def _restored_with(self, secret: bytes, address: Address, now: float) -> Address:
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
