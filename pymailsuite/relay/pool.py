"""Connections to mail hosts, kept for the next message, given out in the order of requests, bounded in number.

The pool has for each destination its idle connections, the number of open ones, and the waiting requests. A host that
cannot be reached at all counts as dead for a while: requests for it fail at once, instead of each waiting for a timeout
of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.relay.connection import HostUnavailable, RelayConnection
from pymailsuite.relay.route import Destination
from pymailsuite.relay.session import HostProblem

log = Logger()

T = TypeVar("T")

Connect = Callable[[Destination, Callable[[RelayConnection], None]], Deferred[RelayConnection]]
"""Opens a connection; the callable is called once when an established connection is closed."""


_LOOK_EVERY_S = 5.0
"""Seconds between two checks of the waiting requests."""

_SWEEP_AT = 1000
"""Number of known destinations at which the unused ones are dropped."""


@define
class _Known:
    """The pool's state of a destination."""

    limit: int
    """The limit of connections: lower after the host has refused one while others were open."""
    raise_at: float = 0.0
    """When a lowered limit rises by one again."""
    open: int = 0
    """Number of connections, including those being established."""
    connecting: int = 0
    idle: list[RelayConnection] = field(factory=list)
    waiting: dict[Deferred[RelayConnection], float] = field(factory=dict)
    """The waiting requests, in their order, and since when each waits."""
    dead_until: float = 0.0
    problem: HostProblem | None = None


class ConnectionPool:
    """Gives out established connections. ``connect`` opens one."""

    def __init__(self, settings: RelaySettings, connect: Connect, clock: IReactorTime) -> None:
        self._settings = settings
        self._connect = connect
        self._clock = clock
        self._known: dict[Destination, _Known] = {}
        self._sweep_at = _SWEEP_AT
        self._destination_of: dict[RelayConnection, Destination] = {}
        self._connecting: set[Deferred[RelayConnection]] = set()
        self._open = 0
        self._closed = False
        self._emptied: list[Deferred[None]] = []
        self._impatience: IDelayedCall | None = None
        self._grace: IDelayedCall | None = None

    def acquire(self, destination: Destination, fresh: bool = False) -> Deferred[RelayConnection]:
        """A usable connection, to be given back with ``release``. HostUnavailable.

        ``fresh``: a new connection, since all idle ones may be stale."""
        if self._closed:
            return fail(HostUnavailable(HostProblem("4.3.2", "shutting down")))
        known = self._known.get(destination)
        if known is None:
            self._sweep()
            known = self._known[destination] = _Known(self._settings.connections_per_host)
        if known.problem is not None:
            if self._clock.seconds() < known.dead_until:
                return fail(HostUnavailable(known.problem))
            known.problem = None
        while known.idle:
            connection = known.idle.pop()
            if fresh:
                connection.leave()
            elif connection.usable:
                return succeed(connection)
        waiter: Deferred[RelayConnection] = Deferred(known.waiting.__delitem__)
        known.waiting[waiter] = self._clock.seconds()
        if self._impatience is None:
            self._impatience = self._clock.callLater(_LOOK_EVERY_S, self._look_at_waiting)
        self._grow(destination, known)
        return waiter

    def release(self, connection: RelayConnection) -> None:
        """Give a connection back: to the next request for its host, to be kept for a while, or to be closed."""
        destination = self._destination_of.get(connection)
        if destination is None:
            return
        if self._closed or not connection.usable or connection.messages >= self._settings.messages_per_connection:
            connection.leave()
            return
        known = self._known[destination]
        if known.waiting:
            waiter = next(iter(known.waiting))
            del known.waiting[waiter]
            waiter.callback(connection)
        elif self._others_wait():
            connection.leave()
        else:
            known.idle.append(connection)

    def close(self) -> Deferred[None]:
        """Close the connections to all hosts and refuse all requests; fires when the last connection is closed.

        Transactions under way may end, for the time the settings grant."""
        self._closed = True
        problem = HostProblem("4.3.2", "shutting down")
        for known in self._known.values():
            self._refuse_waiting(known, problem)
            while known.idle:
                known.idle.pop().leave()
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
        # No request waits for them any more, and a host may take minutes to greet.
        for connecting in list(self._connecting):
            connecting.cancel()
        if not self._open:
            return succeed(None)
        if self._grace is None:
            self._grace = self._clock.callLater(self._settings.stop_grace, self._cut)
        emptied: Deferred[None] = Deferred()
        self._emptied.append(emptied)
        return emptied

    def _cut(self) -> None:
        self._grace = None
        for connection in list(self._destination_of):
            connection.abort()

    def _others_wait(self) -> bool:
        return self._is_full() and any(known.waiting for known in self._known.values())

    def _is_full(self) -> bool:
        return self._open >= self._settings.connections

    def _grow(self, destination: Destination, known: _Known) -> None:
        """Open connections for the waiting requests, as many as the limits allow."""
        self._recover(known)
        while known.connecting < len(known.waiting) and known.open < known.limit:
            if self._is_full():
                self._make_room()
                return
            known.open += 1
            known.connecting += 1
            self._open += 1
            # The connection is counted first: connecting may end at once.
            connecting = self._connect(destination, self._gone)
            self._connecting.add(connecting)
            connecting.addBoth(self._has_ended, connecting).addCallbacks(
                self._connected, self._not_connected, callbackArgs=(destination,), errbackArgs=(destination,)
            )

    def _has_ended(self, result: T, connecting: Deferred[RelayConnection]) -> T:
        self._connecting.discard(connecting)
        return result

    def _recover(self, known: _Known) -> None:
        """Raise a lowered limit: by one after each period of the settings, since the host may accept more later."""
        now, most = self._clock.seconds(), self._settings.connections_per_host
        while known.limit < most and now >= known.raise_at:
            known.limit += 1
            known.raise_at += self._settings.limit_recovery

    def _make_room(self) -> None:
        """Close an idle connection to some host; when it is closed, the waiting requests are checked again."""
        for known in self._known.values():
            if known.idle:
                known.idle.pop(0).leave()
                return

    def _connected(self, connection: RelayConnection, destination: Destination) -> None:
        self._known[destination].connecting -= 1
        self._destination_of[connection] = destination
        self.release(connection)

    def _not_connected(self, failure: Failure, destination: Destination) -> None:
        known = self._known[destination]
        known.connecting -= 1
        error = failure.value
        target = str(destination.target)
        if isinstance(error, HostUnavailable):
            problem = error.problem
        else:
            if not isinstance(error, CancelledError):
                log.failure("{event} {target}", failure, event="relay.connect_broken", target=target)
            problem = HostProblem("4.3.0", "internal error")
        log.info(
            "{event} {target} {status} {reply}",
            event="relay.unavailable",
            target=target,
            status=problem.status,
            reply=problem.reply,
        )
        now = self._clock.seconds()
        if known.open == 1:
            # No connection works: fail the waiting requests. While others are open, the host refuses because of their
            # number.
            known.problem = problem
            known.dead_until = now + self._settings.dead_host
            self._refuse_waiting(known, problem)
        else:
            known.limit = known.open - 1
            known.raise_at = now + self._settings.limit_recovery
        self._place_free(destination)

    def _refuse_waiting(self, known: _Known, problem: HostProblem) -> None:
        waiting = list(known.waiting)
        known.waiting.clear()
        for waiter in waiting:
            waiter.errback(Failure(HostUnavailable(problem)))

    def _look_at_waiting(self) -> None:
        """Fail the requests that have waited too long (the host is alive, but slow or in demand), and open the
        connections that a raised limit allows."""
        self._impatience = None
        oldest = self._clock.seconds() - self._settings.connection_wait
        for destination, known in list(self._known.items()):
            # For the first requests connections are being established, with timeouts of their own.
            queued = list(known.waiting.items())[known.connecting :]
            impatient = [waiter for waiter, since in queued if since <= oldest]
            for waiter in impatient:
                del known.waiting[waiter]
            for waiter in impatient:
                waiter.errback(Failure(HostUnavailable(HostProblem("4.4.5", "all connections to the host in use"))))
            if known.waiting:
                self._grow(destination, known)
        if any(known.waiting for known in self._known.values()) and self._impatience is None:
            self._impatience = self._clock.callLater(_LOOK_EVERY_S, self._look_at_waiting)

    def _gone(self, connection: RelayConnection) -> None:
        destination = self._destination_of.pop(connection, None)
        if destination is None:
            return  # never established: _not_connected has counted it
        known = self._known[destination]
        if connection in known.idle:
            known.idle.remove(connection)
        self._place_free(destination)

    def _place_free(self, destination: Destination) -> None:
        known = self._known[destination]
        known.open -= 1
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
        if known.waiting:
            self._grow(destination, known)
        if self._is_full():
            return
        # The requests for other hosts that have waited longest come first.
        waiting = [(next(iter(other.waiting.values())), key) for key, other in self._known.items() if other.waiting]
        for _, key in sorted(waiting, key=lambda pair: pair[0]):
            self._grow(key, self._known[key])

    def _sweep(self) -> None:
        """Drop destinations without connection, waiting request or remembered failure, or they would accumulate."""
        if len(self._known) < self._sweep_at:
            return
        now = self._clock.seconds()
        for destination, known in list(self._known.items()):
            if not known.open and not known.waiting and now >= max(known.dead_until, known.raise_at):
                del self._known[destination]
        # Where most destinations are in use, a new one must not check all of them each time.
        self._sweep_at = max(_SWEEP_AT, 2 * len(self._known))
