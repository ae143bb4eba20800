"""The clock of leases: one for all nodes, independent of their own clocks."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from pymailsuite.store.transaction import Transaction


class StoreClock:
    """This process's clock, set by the database's.

    The end of a lease must be the same moment for the node that holds it and the node that checks it. Where the
    database has a clock of its own (it may be on another machine) all nodes follow that clock, when the store is opened
    and with each heartbeat; the remaining difference is the drift between two heartbeats, and half the round trip to
    the database. Other times (due dates, dates of arrival) are taken from the node's own clock.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.ahead_s = 0.0
        """Seconds by which the database is ahead of this process."""

    def seconds(self) -> float:
        """POSIX seconds by the database's clock."""
        return self._clock.seconds() + self.ahead_s

    def read_txn(self, txn: Transaction, expression: str) -> float | None:
        """Seconds by which the database is ahead, for :meth:`set_ahead`; None if ``expression`` (SQL) is empty."""
        if not expression:
            return None
        before = self._clock.seconds()
        told: float = txn.value(f"SELECT {expression}")
        return told - (before + self._clock.seconds()) / 2

    def set_ahead(self, ahead_s: float | None) -> None:
        """In the reactor thread: use the value that was read; None changes nothing."""
        if ahead_s is not None:
            self.ahead_s = ahead_s
