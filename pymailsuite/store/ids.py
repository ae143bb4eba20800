"""Content ids: ordered by time, made in the process, never twice.

63 bits: 41 of milliseconds since 2020 (they last until 2089), 12 of a number that the process took from the store when
it opened it, 10 of a count within the millisecond. No sequence of the database stands in the way of a message, and two
processes on one store cannot make the same id.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ContentId

_EPOCH_S = 1_577_836_800
_NODE_BITS, _COUNT_BITS = 12, 10
_MS_SHIFT = _NODE_BITS + _COUNT_BITS
_NODES, _COUNTS = 1 << _NODE_BITS, 1 << _COUNT_BITS


def first_id_at(seconds: float) -> ContentId:
    """The least id made at a time; all older ids are less."""
    return ContentId(max(0, int((seconds - _EPOCH_S) * 1000)) << _MS_SHIFT)


def take_node_txn(txn: Transaction) -> int:
    """A node number no process that is still running has, as long as fewer than 4096 have started meanwhile."""
    value: int = txn.value("UPDATE counters SET value = value + 1 WHERE name = 'node' RETURNING value")
    return value % _NODES


class ContentIds:
    """Makes the ids of one process. Rises even when the clock goes back."""

    def __init__(self, clock: IReactorTime, node: int) -> None:
        self._clock = clock
        self._node = node
        self._ms = 0
        self._count = -1

    def next_id(self) -> ContentId:
        """An id never given before."""
        ms = max(0, int((self._clock.seconds() - _EPOCH_S) * 1000))
        if ms > self._ms:
            self._ms, self._count = ms, 0
        elif self._count + 1 < _COUNTS:
            self._count += 1
        else:
            self._ms, self._count = self._ms + 1, 0
        return ContentId(self._ms << _MS_SHIFT | self._node << _COUNT_BITS | self._count)
