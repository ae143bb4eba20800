"""Private keys of domains, on their way into the store and out of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface


@frozen
class StoredKey:
    """A key that signs mail of ``domain``, published under ``selector``. ``private_key`` is PEM.

    It signs from ``active_from`` (None: not yet) until ``active_until`` (None: for ever), POSIX seconds.
    """

    domain: str
    selector: str
    private_key: bytes = field(repr=False)
    created_at: float
    active_from: float | None = None
    active_until: float | None = None


class IKeyStore(Interface):
    """The signing keys of all domains."""

    def add(key: StoredKey) -> Deferred[None]:
        """Keep a key. AlreadyExists if its domain has one of that selector."""

    def keys(domains: Collection[str] | None = None) -> Deferred[Sequence[StoredKey]]:
        """Those of some domains, or all, ordered by domain and selector. CannotDecrypt."""

    def are_there_any() -> Deferred[bool]:
        """Whether any domain has a key."""

    def set_period(
        domain: str, selector: str, active_from: float | None, active_until: float | None
    ) -> Deferred[StoredKey]:
        """Say from when until when a key signs. NoSuchEntry."""

    def activate(domain: str, selector: str, others: Collection[str], now: float) -> Deferred[StoredKey]:
        """Let a key sign from now on, and the domain's keys of these other selectors no more. NoSuchEntry."""

    def remove(domain: str, selector: str) -> Deferred[None]:
        """Forget a key. NoSuchEntry."""

    def seal_anew() -> Deferred[int]:
        """Encrypt all keys with the key that encrypts now, or with none; how many were not. CannotDecrypt."""
