"""The reply to a connection beyond a limit."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

GRACE_S: Final = 10.0
"""Seconds a peer may take to read our last reply before the connection is cut."""


class BusyProtocol(Protocol):
    """A connection beyond a limit: one reply, then it is closed."""

    transport: Any = None

    def __init__(self, reactor: IReactorTime, reply: bytes) -> None:
        self._reactor = reactor
        self._reply = reply
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Send the reply and close."""
        self._timer = self._reactor.callLater(GRACE_S, self.transport.abortConnection)
        self.transport.write(self._reply)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timer."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
