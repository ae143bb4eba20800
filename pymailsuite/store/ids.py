"""Content ids: ordered by time, made in the process, never twice.

63 bits: 41 of milliseconds since 2020 (they last until 2089), 12 of a number that the process has leased from the
store, 10 of a count within the millisecond. A message needs no sequence of the database, and two
processes on one store cannot make the same id: of each number one process makes the ids of the times within its lease,
and a lease begins when the one before it has ended.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import math

from attrs import frozen

from pymailsuite.errors import StoreUnavailable
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ContentId

_EPOCH_S = 1_577_836_800
_NODE_BITS, _COUNT_BITS = 12, 10
_MS_SHIFT = _NODE_BITS + _COUNT_BITS
_NODES, _COUNTS = 1 << _NODE_BITS, 1 << _COUNT_BITS


def _ms(seconds: float) -> int:
    return max(0, int((seconds - _EPOCH_S) * 1000))


def first_id_of(seconds: float) -> ContentId:
    """No id made after that time (POSIX seconds) is smaller."""
    return ContentId(_ms(seconds) << _MS_SHIFT)


@frozen
class NodeLease:
    """A node number, and the times (POSIX seconds) of which its holder may make ids."""

    number: int
    since: float
    until: float


ALONE = NodeLease(0, 0.0, math.inf)
"""For a database that no other process can open."""


def take_node_txn(txn: Transaction, holder: str, now: float, until: float) -> NodeLease:
    """A free node number. StoreUnavailable if all 4096 are held."""
    lapsed = txn.row(
        f"SELECT number, held_until FROM nodes WHERE held_until <= ? ORDER BY number LIMIT 1{txn.skip_locked}", (now,)
    )
    if lapsed is not None:
        number, since = lapsed
        txn.execute("UPDATE nodes SET held_by = ?, held_until = ? WHERE number = ?", (holder, until, number))
        return NodeLease(number, since, until)
    number = txn.value("UPDATE counters SET value = value + 1 WHERE name = 'node' RETURNING value")
    if number >= _NODES:
        raise StoreUnavailable(cause=f"{_NODES} processes have the store open")
    txn.execute("INSERT INTO nodes (number, held_by, held_until) VALUES (?, ?, ?)", (number, holder, until))
    return NodeLease(number, now, until)


def keep_node_txn(txn: Transaction, holder: str, lease: NodeLease, now: float, until: float) -> NodeLease:
    """The lease, extended; or one of another number, if it had ended and another process has taken it."""
    kept = txn.execute(
        "UPDATE nodes SET held_until = ? WHERE number = ? AND held_by = ?", (until, lease.number, holder)
    )
    return NodeLease(lease.number, lease.since, until) if kept else take_node_txn(txn, holder, now, until)


def give_node_back_txn(txn: Transaction, holder: str, lease: NodeLease, until: float) -> None:
    """End the lease: no id was made of a time after ``until``."""
    txn.execute("UPDATE nodes SET held_until = ? WHERE number = ? AND held_by = ?", (until, lease.number, holder))


class ContentIds:
    """Makes the ids of one process. Rises even when the clock goes back."""

    def __init__(self, clock: StoreClock, lease: NodeLease) -> None:
        self._clock = clock
        self.lease = lease
        self._ms = 0
        self._count = -1

    def next_id(self) -> ContentId:
        """An id never given before. StoreUnavailable if the lease has ended."""
        lease = self.lease
        ms = _ms(max(self._clock.seconds(), lease.since)) + 1
        if ms > self._ms:
            self._ms, self._count = ms, 0
        elif self._count + 1 < _COUNTS:
            self._count += 1
        else:
            self._ms, self._count = self._ms + 1, 0
        if self._ms > self._last_ms:
            raise StoreUnavailable(cause=f"the lease of node number {lease.number} has ended")
        return ContentId(self._ms << _MS_SHIFT | lease.number << _COUNT_BITS | self._count)

    @property
    def _last_ms(self) -> float:
        return math.inf if math.isinf(self.lease.until) else _ms(self.lease.until)

    def made_until(self) -> float:
        """A time after which no id was made yet, POSIX seconds."""
        return _EPOCH_S + self._ms / 1000
