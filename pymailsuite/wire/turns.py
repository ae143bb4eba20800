"""How much work one connection may do in a turn of the reactor.

A peer may send thousands of commands at once, and all others wait for the end of the turn.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

COMMANDS_IN_TURN: Final = 100
"""Answered in one turn. A command that is answered at once takes some 20 us, the longest a millisecond."""


class Turns:
    """The turns of one connection."""

    __slots__ = ("_call", "_later", "_reactor", "left")

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self.left = COMMANDS_IN_TURN
        """Commands that may yet be answered in this turn; set anew as each begins. ``spend`` counts them down; whoever
        does it himself saves a call for each."""
        self._later: Deferred[None] | None = None
        self._call: IDelayedCall | None = None

    def spend(self) -> Deferred[None] | None:
        """A command is about to be answered. None: in this turn; a Deferred: it fires in a later one."""
        self.left -= 1
        return self.next() if self.left < 0 else None

    def next(self) -> Deferred[None]:
        """Fires in a later turn. There is one to wait for at a time."""
        later: Deferred[None] = Deferred(self._cancelled)
        self._later = later
        self._call = self._reactor.callLater(0, self._came)
        return later

    def _cancelled(self, _: Deferred[None]) -> None:
        assert self._call is not None
        self._call.cancel()
        self._call = self._later = None

    def _came(self) -> None:
        later, self._later, self._call = self._later, None, None
        assert later is not None
        later.callback(None)

    def stop(self, reason: Failure) -> None:
        """The connection has ended: what waits fails."""
        if self._call is not None and self._later is not None:
            later = self._later
            self._call.cancel()
            self._call = self._later = None
            later.errback(reason)
