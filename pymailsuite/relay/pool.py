"""Connections to mail hosts, kept for the next message, shared out in the order asked for, bounded in number.

Each target has a lane: its idle connections, how many are open, and who waits. A host that cannot be reached at all is
dead for a while: those in its lane are told at once, instead of each waiting for a timeout of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.relay.connection import HostUnavailable, RelayConnection
from pymailsuite.relay.route import Target
from pymailsuite.relay.session import HostProblem

log = Logger()

LaneKey = tuple[Target, bool]
"""A target, and whether to log in there: such connections are not shared with others."""

Connect = Callable[[LaneKey, Callable[[RelayConnection], None]], Deferred[RelayConnection]]
"""Opens a connection; the callable is called once when an established connection is gone."""


_LOOK_EVERY_S = 5.0
"""How often those who wait are looked at."""

_SWEEP_AT = 1000
"""Lanes at which those of hosts long dead are looked for."""


@define
class _Lane:
    limit: int
    """Connections it may have: fewer once the host has refused one while others were open."""
    open: int = 0
    """Connections, those being established included."""
    connecting: int = 0
    idle: list[RelayConnection] = field(factory=list)
    waiting: dict[Deferred[RelayConnection], float] = field(factory=dict)
    """Who waits, first come first served, and since when."""
    dead_until: float = 0.0
    problem: HostProblem | None = None


class ConnectionPool:
    """Gives out established connections. ``connect`` opens one."""

    def __init__(self, settings: RelaySettings, connect: Connect, clock: IReactorTime) -> None:
        self._settings = settings
        self._connect = connect
        self._clock = clock
        self._lanes: dict[LaneKey, _Lane] = {}
        self._lane_of: dict[RelayConnection, LaneKey] = {}
        self._open = 0
        self._closed = False
        self._emptied: list[Deferred[None]] = []
        self._impatience: IDelayedCall | None = None
        self._grace: IDelayedCall | None = None

    def acquire(self, key: LaneKey, fresh: bool = False) -> Deferred[RelayConnection]:
        """A usable connection, to be given back with ``release``. HostUnavailable.

        ``fresh``: not an idle one, for those may have gone stale all together."""
        if self._closed:
            return fail(HostUnavailable(HostProblem("4.3.2", "shutting down")))
        lane = self._lanes.get(key)
        if lane is None:
            self._sweep()
            lane = self._lanes[key] = _Lane(self._settings.connections_per_host)
        if lane.problem is not None:
            if self._clock.seconds() < lane.dead_until:
                return fail(HostUnavailable(lane.problem))
            lane.problem = None
        while lane.idle:
            connection = lane.idle.pop()
            if fresh:
                connection.leave()
            elif connection.usable:
                return succeed(connection)
        waiter: Deferred[RelayConnection] = Deferred(lane.waiting.__delitem__)
        lane.waiting[waiter] = self._clock.seconds()
        if self._impatience is None:
            self._impatience = self._clock.callLater(_LOOK_EVERY_S, self._look_at_waiting)
        self._grow(key, lane)
        return waiter

    def release(self, connection: RelayConnection) -> None:
        """Give a connection back: to the next in its lane, to be kept for a while, or to be closed."""
        key = self._lane_of.get(connection)
        if key is None:
            return
        if self._closed or not connection.usable or connection.messages >= self._settings.messages_per_connection:
            connection.leave()
            return
        lane = self._lanes[key]
        if lane.waiting:
            waiter = next(iter(lane.waiting))
            del lane.waiting[waiter]
            waiter.callback(connection)
        elif self._others_wait():
            connection.leave()
        else:
            lane.idle.append(connection)

    def close(self) -> Deferred[None]:
        """Take leave of all hosts and refuse everybody; fires when the last connection is gone.

        Transactions under way may end, for the time the settings grant."""
        self._closed = True
        problem = HostProblem("4.3.2", "shutting down")
        for lane in self._lanes.values():
            self._refuse_waiting(lane, problem)
            while lane.idle:
                lane.idle.pop().leave()
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
        if not self._open:
            return succeed(None)
        if self._grace is None:
            self._grace = self._clock.callLater(self._settings.stop_grace, self._cut)
        emptied: Deferred[None] = Deferred()
        self._emptied.append(emptied)
        return emptied

    def _cut(self) -> None:
        self._grace = None
        for connection in list(self._lane_of):
            connection.abort()

    def _others_wait(self) -> bool:
        return self._open >= self._settings.connections and any(lane.waiting for lane in self._lanes.values())

    def _grow(self, key: LaneKey, lane: _Lane) -> None:
        """Open connections for those who wait, as many as may be."""
        while lane.connecting < len(lane.waiting) and lane.open < lane.limit:
            if self._open >= self._settings.connections:
                self._make_room()
                return
            lane.open += 1
            lane.connecting += 1
            self._open += 1
            # Not before the lane is counted: connecting may end at once.
            self._connect(key, self._gone).addCallbacks(
                self._connected, self._not_connected, callbackArgs=(key,), errbackArgs=(key,)
            )

    def _make_room(self) -> None:
        """Close an idle connection of some lane; when it is gone, the lanes that wait are looked at again."""
        for lane in self._lanes.values():
            if lane.idle:
                lane.idle.pop(0).leave()
                return

    def _connected(self, connection: RelayConnection, key: LaneKey) -> None:
        self._lanes[key].connecting -= 1
        self._lane_of[connection] = key
        self.release(connection)

    def _not_connected(self, failure: Failure, key: LaneKey) -> None:
        lane = self._lanes[key]
        lane.connecting -= 1
        error = failure.value
        if isinstance(error, HostUnavailable):
            problem = error.problem
        else:
            if not isinstance(error, CancelledError):
                log.failure("{event} {target}", failure, event="relay.connect_broken", target=str(key[0]))
            problem = HostProblem("4.3.0", "internal error")
        log.info(
            "{event} {target} {status} {reply}",
            event="relay.unavailable",
            target=str(key[0]),
            status=problem.status,
            reply=problem.reply,
        )
        if lane.open == 1:
            # None works: whoever waits may as well know. With others open it is their number the host minds.
            lane.problem = problem
            lane.dead_until = self._clock.seconds() + self._settings.dead_host
            self._refuse_waiting(lane, problem)
        else:
            lane.limit = lane.open - 1
        self._place_free(key)

    def _refuse_waiting(self, lane: _Lane, problem: HostProblem) -> None:
        waiting = list(lane.waiting)
        lane.waiting.clear()
        for waiter in waiting:
            waiter.errback(Failure(HostUnavailable(problem)))

    def _look_at_waiting(self) -> None:
        """Tell those who have waited too long; the host is alive, but slow or wanted by too many."""
        self._impatience = None
        oldest = self._clock.seconds() - self._settings.connection_wait
        for lane in list(self._lanes.values()):
            # The first ones have a connection under way for them, with timeouts of its own.
            queued = list(lane.waiting.items())[lane.connecting :]
            impatient = [waiter for waiter, since in queued if since <= oldest]
            for waiter in impatient:
                del lane.waiting[waiter]
            for waiter in impatient:
                waiter.errback(Failure(HostUnavailable(HostProblem("4.4.5", "all connections to the host in use"))))
        if any(lane.waiting for lane in self._lanes.values()) and self._impatience is None:
            self._impatience = self._clock.callLater(_LOOK_EVERY_S, self._look_at_waiting)

    def _gone(self, connection: RelayConnection) -> None:
        key = self._lane_of.pop(connection, None)
        if key is None:
            return  # never established: _not_connected has counted it
        lane = self._lanes[key]
        if connection in lane.idle:
            lane.idle.remove(connection)
        self._place_free(key)

    def _place_free(self, key: LaneKey) -> None:
        lane = self._lanes[key]
        lane.open -= 1
        self._open -= 1
        if self._closed:
            if not self._open:
                if self._grace is not None:
                    self._grace.cancel()
                    self._grace = None
                emptied, self._emptied = self._emptied, []
                for waiter in emptied:
                    waiter.callback(None)
            return
        if lane.waiting:
            self._grow(key, lane)
        else:
            for other_key, other in list(self._lanes.items()):
                if other.waiting:
                    self._grow(other_key, other)

    def _sweep(self) -> None:
        """Drop lanes without connection, waiter or memory of trouble, or they would pile up."""
        if len(self._lanes) >= _SWEEP_AT:
            now = self._clock.seconds()
            idle = [key for key, lane in self._lanes.items() if not lane.open and now >= lane.dead_until]
            for key in idle:
                del self._lanes[key]
