"""Which keys sign mail of a domain now: those in files of the configuration, and those of the store.

Two keys of one kind never sign together. The next one is published while the old one still signs, and takes over at its
``active_from``; the old record stays until the mail it signed has arrived everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.config.sections.dkim import DkimSignSettings
from pymailsuite.dns.names import ascii_name
from pymailsuite.interfaces.keys import IKeyStore, StoredKey
from pymailsuite.memory import ExpiringMemory
from pymailsuite.policy.dkim.private_keys import SigningKey, load_private_key, read_key_file

log = Logger()

_MAX_DOMAINS: Final = 10_000


def parent_domains(domain: str) -> list[str]:
    """The domain and all above it that have a dot, nearest first."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(max(1, len(labels) - 1))]


def choose(keys: Iterable[SigningKey], domain: str, now: float, parents: bool) -> list[SigningKey]:
    """One key of each kind, RSA first: of the domain, or else of the nearest domain above it that has any.

    Of several that sign now it is the one that began last.
    """
    active = sorted((key for key in keys if key.signs_at(now)), key=lambda key: (key.active_from, key.selector))
    for candidate in parent_domains(domain) if parents else [domain]:
        newest = {key.private.kind: key for key in active if key.domain == candidate}
        if newest:
            return [newest[kind] for kind in sorted(newest, reverse=True)]
    return []


class KeyRing:
    """The keys of ``settings`` and of ``store``, which are remembered for a while; one for all signers of a process.

    ConfigError for a bad key file."""

    def __init__(self, settings: DkimSignSettings, store: IKeyStore | None, clock: IReactorTime) -> None:
        self._settings = settings
        self._store = store
        self._from_files = [
            SigningKey(
                ascii_name(each.domain),
                each.selector,
                read_key_file(each.file),
                each.active_from,
                each.active_until or None,
            )
            for each in settings.keys
        ]
        self._clock = clock
        self._known: ExpiringMemory[str, list[SigningKey]] = ExpiringMemory(clock, _MAX_DOMAINS)
        self._empty_until = 0.0

    async def keys_for(self, domain: str) -> list[SigningKey]:
        """The keys that sign mail from ``domain`` now; empty if there are none."""
        domain = ascii_name(domain)
        return self._chosen(domain, await self._stored(domain))

    def _chosen(self, domain: str, stored: Sequence[SigningKey]) -> list[SigningKey]:
        keys = [*self._from_files, *stored]
        return choose(keys, domain, self._clock.seconds(), self._settings.parent_domains)

    def has_none(self) -> bool:
        """Whether it is remembered that there are no keys at all."""
        return self._clock.seconds() < self._empty_until

    def has_none_for(self, domain: str) -> bool:
        """Whether it is remembered that no key signs mail from ``domain``."""
        known = self._known.get(domain)
        return known is not None and not self._chosen(domain, known)

    async def _stored(self, domain: str) -> list[SigningKey]:
        if self._store is None:
            return []
        known = self._known.get(domain)
        if known is not None:
            return known
        if self.has_none():
            return []
        wanted = parent_domains(domain) if self._settings.parent_domains else [domain]
        keys = [key for each in await self._store.keys(wanted) if (key := _loaded(each)) is not None]
        if not (keys or self._from_files or await self._store.are_there_any()):
            self._empty_until = self._clock.seconds() + self._settings.reload
            return []
        self._known.put(domain, keys, self._settings.reload)
        return keys


# Reading an RSA key checks it, which takes longer than signing with it many times.
_load = lru_cache(maxsize=1024)(load_private_key)


def _loaded(stored: StoredKey) -> SigningKey | None:
    if stored.active_from is None:
        return None
    try:
        private = _load(stored.private_key)
    except ValueError as error:
        # The error names no part of the key.
        log.error(
            "{event} {selector} of {domain}: {reason}",
            event="dkim.key_unusable",
            domain=stored.domain,
            selector=stored.selector,
            reason=str(error),
        )
        return None
    return SigningKey(stored.domain, stored.selector, private, stored.active_from, stored.active_until)
