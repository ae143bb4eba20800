"""Secrets that all nodes of a store share."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface


@frozen
class Secret:
    """32 octets, made at ``made_at`` and replaced at ``retired_at`` (None: not yet), POSIX seconds of the store."""

    octets: bytes = field(repr=False)
    made_at: float
    retired_at: float | None = None


class ISecretStore(Interface):
    """Secrets by the name of what they are for. Anybody who can read the database, and has the key if they are
    encrypted, can read them."""

    def secrets(name: str) -> Deferred[Sequence[Secret]]:
        """Those of a name, newest first, and never none: the first one is made when it is first asked for.

        CannotDecrypt.
        """

    def rotate(name: str, drop_before: float) -> Deferred[Secret]:
        """Make a new secret; the one before it is retired, and those retired before ``drop_before`` are forgotten."""

    def seal_anew() -> Deferred[int]:
        """Encrypt all secrets with the key that encrypts now, or with none; how many were not. CannotDecrypt."""
