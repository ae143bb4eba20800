"""Who gets a connection when there are too few of them: nobody is forgotten, and limits recover."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.relay.connection import HostUnavailable
from pymailsuite.relay.pool import ConnectionPool
from pymailsuite.relay.route import Destination, Target
from pymailsuite.relay.session import HostProblem

REFUSED = HostUnavailable(HostProblem("4.7.0", "421 too many"))


def destination(number: int = 0) -> Destination:
    return Destination(Target(f"mx{number}.example", f"192.0.2.{number % 250}", 25 + number // 250))


class FakeConnection:
    def __init__(self, gone: Callable[[Any], None]) -> None:
        self._gone = gone
        self.usable = True
        self.messages = 0
        self.ended = False

    def leave(self) -> None:
        self.usable = False
        if not self.ended:
            self.ended = True
            self._gone(self)

    abort = leave


class PoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[Destination, Deferred[Any], Callable[[Any], None]]] = []

    def pool(self, **options: Any) -> ConnectionPool:
        return ConnectionPool(RelaySettings(**options), self.connect, self.clock)

    def connect(self, destination: Destination, gone: Callable[[Any], None]) -> Deferred[Any]:
        connected: Deferred[Any] = Deferred()
        self.asked.append((destination, connected, gone))
        return connected

    def answer(self, number: int = 0) -> FakeConnection:
        """A connection that was asked for is there."""
        _, connected, gone = self.asked.pop(number)
        connection = FakeConnection(gone)
        connected.callback(connection)
        return connection

    def refuse(self, number: int = 0) -> None:
        self.asked.pop(number)[1].errback(REFUSED)

    def test_those_who_wait_are_not_forgotten_however_many_destinations_there_are(self) -> None:
        pool = self.pool(connections=1, connection_wait=1000)
        first = pool.acquire(destination())
        waiting = [pool.acquire(destination(number)) for number in range(1, 1500)]
        connection = self.answer()
        self.assertIs(self.successResultOf(first), connection)
        for waiter in waiting[:5]:
            pool.release(connection)  # type: ignore[arg-type]
            connection = self.answer()
            self.assertIs(self.successResultOf(waiter), connection)
        closed = pool.close()
        for waiter in waiting[5:]:
            self.assertEqual(self.failureResultOf(waiter, HostUnavailable).value.problem.status, "4.3.2")
        connection.leave()
        self.successResultOf(closed)

    def test_who_waits_in_vain_is_told_also_where_no_connection_is_open(self) -> None:
        pool = self.pool(connections=1, connection_wait=60)
        pool.acquire(destination())
        waiting = [pool.acquire(destination(number)) for number in range(1, 1200)]
        self.clock.pump([5.0] * 13)
        for waiter in waiting:
            self.assertEqual(self.failureResultOf(waiter, HostUnavailable).value.problem.status, "4.4.5")

    def test_what_nothing_is_left_of_is_dropped(self) -> None:
        pool = self.pool(messages_per_connection=1)
        for number in range(3000):
            pool.acquire(destination(number))
            connection = self.answer()
            connection.messages = 1
            pool.release(connection)  # type: ignore[arg-type]
        self.assertLess(len(pool._known), 1500)

    def limited(self, pool: ConnectionPool) -> list[Deferred[Any]]:
        """Five who want the same host, which takes one connection only."""
        waiting = [pool.acquire(destination()) for _ in range(5)]
        self.connection = self.answer()
        while self.asked:
            self.refuse()
        self.assertIs(self.successResultOf(waiting.pop(0)), self.connection)
        return waiting

    def test_a_limit_that_fell_rises_again_step_by_step(self) -> None:
        pool = self.pool(connections_per_host=4, limit_recovery=60, connection_wait=1000)
        waiting = self.limited(pool)
        self.clock.pump([5.0] * 11)
        self.assertEqual(self.asked, [])
        self.clock.pump([5.0] * 2)
        second = self.answer()
        self.assertIs(self.successResultOf(waiting.pop(0)), second)
        self.clock.pump([5.0] * 10)
        self.assertEqual(self.asked, [])
        self.clock.pump([5.0] * 2)
        self.assertEqual(len(self.asked), 1)

    def test_a_limit_falls_again_where_it_rose_in_vain(self) -> None:
        pool = self.pool(connections_per_host=4, limit_recovery=60, connection_wait=1000)
        self.limited(pool)
        self.clock.pump([5.0] * 13)
        self.refuse()
        self.clock.pump([5.0] * 11)
        self.assertEqual(self.asked, [])
        self.clock.pump([5.0] * 2)
        self.assertEqual(len(self.asked), 1)

    def test_whatever_happens_everybody_is_answered_and_the_bounds_hold(self) -> None:
        for seed in range(60):
            self.setUp()
            chance = random.Random(seed)
            pool = self.pool(connections=3, connections_per_host=2, connection_wait=50, messages_per_connection=3)
            waiting: list[Deferred[Any]] = []
            held: list[FakeConnection] = []

            def got(result: Any, held: list[FakeConnection] = held) -> None:
                if isinstance(result, FakeConnection):
                    result.messages += 1
                    held.append(result)

            for _ in range(300):
                move = chance.randrange(6)
                if move == 0:
                    waiting.append(pool.acquire(destination(chance.randrange(6)), chance.random() < 0.2).addBoth(got))
                elif move == 1 and self.asked:
                    self.answer(chance.randrange(len(self.asked)))
                elif move == 2 and self.asked and chance.random() < 0.5:
                    self.refuse(chance.randrange(len(self.asked)))
                elif move == 3 and held:
                    pool.release(held.pop(chance.randrange(len(held))))  # type: ignore[arg-type]
                elif move == 4 and held and chance.random() < 0.3:
                    lost = held.pop(chance.randrange(len(held)))
                    lost.leave()
                    pool.release(lost)  # type: ignore[arg-type]
                else:
                    self.clock.advance(chance.random() * 3)
                self.assertLessEqual(pool._open, 3)
                self.assertTrue(all(known.open <= 2 for known in pool._known.values()))
            # From here on all goes well: nobody may be left over.
            while any(not waiter.called for waiter in waiting):
                while self.asked:
                    self.answer()
                while held:
                    pool.release(held.pop())  # type: ignore[arg-type]
                self.clock.advance(1)
                self.assertLess(self.clock.seconds(), 3000, seed)
            closed = pool.close()
            while held:
                pool.release(held.pop())  # type: ignore[arg-type]
            self.successResultOf(closed)

    def test_a_place_that_a_limited_host_cannot_use_goes_to_others(self) -> None:
        pool = self.pool(connections=2, connections_per_host=2, connection_wait=1000)
        one, two = pool.acquire(destination()), pool.acquire(destination())
        other = pool.acquire(destination(1))
        self.assertEqual([asked[0] for asked in self.asked], [destination(), destination()])
        self.answer()
        self.refuse()
        self.assertEqual([asked[0] for asked in self.asked], [destination(1)])
        self.successResultOf(one)
        self.assertNoResult(two)
        self.assertNoResult(other)
        connection = self.answer()
        self.assertIs(self.successResultOf(other), connection)
