"""Words that a database carries between the processes that have it open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from zope.interface import Interface

MAX_TEXT: Final = 7900
"""Octets of one text; PostgreSQL takes less than 8,000."""


class IStoreChannel(Interface):
    """Carries short texts to all other processes with the same store. All methods are for the reactor thread.

    Texts may be lost when the database goes away, and come twice or late; a process does not receive its own texts.
    """

    def start(heard: Callable[[Sequence[str]], None], missed: Callable[[], None]) -> None:
        """Call ``heard`` with texts of others, and ``missed`` when some may have been lost and the channel works
        again."""

    def send(texts: Sequence[str]) -> None:
        """Send texts, ASCII and at most MAX_TEXT long; returns at once. Dropped while the database is away."""

    def stop() -> Deferred[None]:
        """Send what was asked, hear no more. Fires when the channel holds nothing any more."""
