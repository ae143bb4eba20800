"""The return paths mail leaves with, and where mail goes that comes back to them."""

from __future__ import annotations

import base64
import hashlib
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
from pymailsuite.interfaces.delivery import IReturnPaths
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.interfaces.secrets import ISecretStore, Secret
from pymailsuite.values import Address

SECRET: Final = "return paths"  # noqa: S105
_PATH_MAX: Final = 254
"""Octets of a path without its brackets. Source: RFC 5321 §4.5.3.1.3."""
_LOCAL_PART_MAX: Final = 64
"""Octets of a local part as it is written. Source: RFC 5321 §4.5.3.1.1."""
_RELOAD_S: Final = 30.0
"""How long secrets are remembered: a new one is known to all nodes after this."""
_HEARD_OF_S: Final = 2 * _RELOAD_S
"""A new secret signs when it is so old, as a bounce may come to any node."""


def secrets_kept_s(forwarding: ForwardingSettings, tags: BounceTagSettings) -> float:
    """How long after its end a secret may still be asked for: it signs a moment longer, and then paths live on."""
    return max(forwarding.srs_life, tags.life) + DAY_S + _HEARD_OF_S


def _token_of(address: Address) -> str:
    """Always the same for the same address, so that it is kept once; in lower case and short."""
    digest = hashlib.blake2b(str(address).encode("utf-8", "surrogatepass"), digest_size=15, person=b"return path")
    return base64.b32encode(digest.digest()).decode("ascii").lower()


def _fits(path: Address) -> bool:
    return len(path.quoted_local_part.encode("utf-8", "surrogatepass")) <= _LOCAL_PART_MAX


@implementer(IReturnPaths)
class ReturnPaths:
    """Signs with a secret of the store, and reads what was signed with those before it.

    ``kept`` has what does not fit into a path. None: what does not fit is left as it is."""

    def __init__(
        self,
        forwarding: ForwardingSettings,
        tags: BounceTagSettings,
        secrets: ISecretStore,
        clock: IReactorTime,
        kept: IKeptPaths | None = None,
    ) -> None:
        self._life_s = max(forwarding.srs_life, tags.life) + DAY_S
        self._kept = kept
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
        rewriting = SenderRewriting(await self._signing_secret(now), self._srs_days)
        path = rewriting.rewrite(sender, domain, now)
        if not _fits(path):
            return await self._named(rewriting, rewriting.bounces_to(sender), domain, now) or sender
        return path if len(str(path).encode()) <= _PATH_MAX else sender

    async def _named(self, rewriting: SenderRewriting, address: Address, domain: str, now: float) -> Address | None:
        """A path by which ``address`` is found in the store; None if it cannot be so."""
        token = _token_of(address)
        path = rewriting.name(token, domain, now)
        if self._kept is None or len(str(path).encode()) > _PATH_MAX:
            return None
        # Kept a day longer than needed, so that not every message has it kept anew.
        await self._kept.keep(token, address, now + self._life_s + DAY_S, now + self._life_s)
        return path

    async def tagged(self, sender: Address) -> Address:
        """The sender's address with a bounce tag; in the form of :meth:`rewritten` if that would be too long, and as
        it is if that is too."""
        now = self._clock.seconds()
        secret = await self._signing_secret(now)
        path = BounceTags(secret, self._tag_days).tag(sender, now)
        if not _fits(path):
            return await self._named(SenderRewriting(secret, self._srs_days), sender, sender.domain, now) or sender
        return path if len(str(path).encode()) <= _PATH_MAX else sender

    async def restored(self, address: Address) -> Address:
        """The address that a return path of ours stands for. NotOurReturnPath."""
        now = self._clock.seconds()
        refusal = NotOurReturnPath()
        for secret in await self._known_secrets(now):
            if secret.retired_at is not None and secret.retired_at + self._kept_s < now:
                continue
            try:
                return await self._restored_with(secret.octets, address, now)
            except NotOurReturnPath as not_ours:
                refusal = not_ours if not refusal.cause else refusal
        raise refusal

    async def _restored_with(self, secret: bytes, address: Address, now: float) -> Address:
        if is_tagged(address):
            return BounceTags(secret, self._tag_days).untag(address, now)
        rewriting = SenderRewriting(secret, self._srs_days)
        token = rewriting.token(address, now)
        if token is None:
            return rewriting.restore(address, now)
        kept: Address | None = None if self._kept is None else await self._kept.kept(token, now)
        if kept is None:
            raise NotOurReturnPath(cause="no longer kept")
        return kept


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
