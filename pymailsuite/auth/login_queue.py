"""The queue in front of the hashing threads: fair to clients, not to logins.

Clients, which are addresses, come in turn, however many logins each of them has waiting. A client has few passwords
checked at once, and one for each name: the other logins may use its result. Waiting costs only a place, and places are
bounded; where all are taken, the client with the most gives up its last one.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from pymailsuite.errors import TemporaryFailure

_AT_ONCE_PER_CLIENT: Final = 2


class TooManyLogins(TemporaryFailure):
    """More logins at once than may wait."""

    smtp_code = 454
    enhanced_code = "4.7.0"
    text = "Too many logins at once, try again later"


@define(eq=False)
class QueuedLogin:
    """One login that waits or is being proved."""

    client: str
    name: str
    begun: Deferred[QueuedLogin] = field(repr=False)


class LoginQueue:
    """At most ``at_once`` turns under way; ``waiting`` in all and ``waiting_per_client`` wait for theirs."""

    def __init__(self, at_once: int, waiting: int, waiting_per_client: int) -> None:
        self._free = at_once
        self._most_waiting = waiting
        self._most_per_client = waiting_per_client
        # In the order in which clients come next; those who have none waiting are not in it.
        self._queues: dict[str, list[QueuedLogin]] = {}
        self._waiting = 0
        self._handing_on = False
        self._clients: Counter[str] = Counter()
        self._names: set[tuple[str, str]] = set()

    def take(self, client: str, name: str) -> Deferred[QueuedLogin]:
        """Wait for a turn, which then must be given back to :meth:`end`.

        TooManyLogins at once, or later when others need the place more. Cancelled, it waits no longer.
        """
        begun: Deferred[QueuedLogin] = Deferred(lambda _: self._leave(turn))
        turn = QueuedLogin(client, name, begun)
        if self._may_begin(turn):
            self._begin(turn)
            return succeed(turn)
        queue = self._queues.get(client, [])
        if len(queue) >= self._most_per_client or not self._make_room(len(queue)):
            return fail(TooManyLogins())
        self._queues.setdefault(client, queue).append(turn)
        self._waiting += 1
        return begun

    def end(self, turn: QueuedLogin) -> None:
        """The work of this login is done: the next ones begin."""
        self._free += 1
        self._clients[turn.client] -= 1
        if not self._clients[turn.client]:
            del self._clients[turn.client]
        self._names.discard((turn.client, turn.name))
        if self._handing_on:
            return
        # One that is over as soon as it begins comes back to here: the loop goes on with the next, not a deeper stack.
        self._handing_on = True
        while self._free and (next_one := self._next()) is not None:
            self._begin(next_one)
            next_one.begun.callback(next_one)
        self._handing_on = False

    def _may_begin(self, turn: QueuedLogin) -> bool:
        return (
            self._free > 0
            and self._clients[turn.client] < _AT_ONCE_PER_CLIENT
            and (turn.client, turn.name) not in self._names
        )

    def _begin(self, turn: QueuedLogin) -> None:
        self._free -= 1
        self._clients[turn.client] += 1
        self._names.add((turn.client, turn.name))

    def _next(self) -> QueuedLogin | None:
        for client, queue in self._queues.items():
            turn = next((turn for turn in queue if self._may_begin(turn)), None)
            if turn is not None:
                self._leave(turn)
                if client in self._queues:
                    # Whoever has just had a turn comes after all others.
                    self._queues[client] = self._queues.pop(client)
                return turn
        return None

    def _leave(self, turn: QueuedLogin) -> None:
        queue = self._queues.get(turn.client, [])
        if turn in queue:
            queue.remove(turn)
            self._waiting -= 1
            if not queue:
                del self._queues[turn.client]

    def _make_room(self, held: int) -> bool:
        """Whether there is a place for a client that has ``held``; one with more gives one up if it must be."""
        if self._waiting < self._most_waiting:
            return True
        longest = max(self._queues.values(), key=len)
        if len(longest) <= held + 1:
            return False
        last = longest[-1]
        self._leave(last)
        last.begun.errback(TooManyLogins())
        return True
