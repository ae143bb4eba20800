"""Clients in IDLE: they get a line now and then, which keeps their entries in NAT devices alive."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

_STILL_HERE: Final = b"* OK Still here\r\n"


class Sender(Protocol):
    """A connection."""

    def send(self, octets: bytes) -> None:
        """Send at once, or at the end of the turn."""


class IdleClients:
    """The idle clients of one factory, with one timer for all: a timer for each would be most of the cost of an idle
    session."""

    def __init__(self, interval_s: float, clock: IReactorTime) -> None:
        """``interval_s`` 0: they get no lines."""
        self._interval_s = interval_s
        self._connections: set[Sender] = set()
        self._ticking = LoopingCall(self._tell)
        self._ticking.clock = clock

    def note(self, connection: Sender, is_idle: bool) -> None:
        """Note whether a connection is in IDLE; may be called repeatedly."""
        if is_idle:
            self._connections.add(connection)
            if self._interval_s and not self._ticking.running:
                self._ticking.start(self._interval_s, now=False)
        elif self._connections:
            self._connections.discard(connection)
            if not self._connections and self._ticking.running:
                self._ticking.stop()

    def _tell(self) -> None:
        for connection in tuple(self._connections):
            connection.send(_STILL_HERE)
