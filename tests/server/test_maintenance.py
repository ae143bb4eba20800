"""What the server does by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.server.maintenance import ReactorLagMonitor, StoreSweeper


class FakeMaintenance:
    """Remembers when it was swept; ``answer`` is what a sweep answers."""

    def __init__(self) -> None:
        self.swept_at: list[float] = []
        self.answer: Deferred[Mapping[str, int]] | None = None

    def sweep(self, now: float) -> Deferred[Any]:
        self.swept_at.append(now)
        return self.answer if self.answer is not None else succeed({"contents": 1})


class SweeperTests(SynchronousTestCase):
    """The store is swept from time to time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.maintenance = FakeMaintenance()
        self.sweeper = StoreSweeper(self.maintenance, 3600.0, self.clock)

    def test_it_sweeps_every_interval_and_not_at_once(self) -> None:
        self.sweeper.startService()
        self.clock.pump([1800.0] * 5)
        self.assertEqual(self.maintenance.swept_at, [3600.0, 7200.0])
        self.successResultOf(self.sweeper.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_interval_of_0_is_never(self) -> None:
        sweeper = StoreSweeper(self.maintenance, 0.0, self.clock)
        sweeper.startService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(sweeper.stopService())

    def test_a_sweep_that_fails_is_logged_and_the_next_is_tried(self) -> None:
        self.maintenance.answer = fail(RuntimeError("a defect"))
        self.sweeper.startService()
        self.clock.advance(3600.0)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.maintenance.answer = None
        self.clock.advance(3600.0)
        self.assertEqual(len(self.maintenance.swept_at), 2)

    def test_stopping_waits_for_the_sweep_under_way(self) -> None:
        self.maintenance.answer = Deferred()
        self.sweeper.startService()
        self.clock.advance(3600.0)
        stopped = self.sweeper.stopService()
        self.assertNoResult(stopped)
        self.maintenance.answer.callback({})
        self.successResultOf(stopped)


class ReactorLagMonitorTests(SynchronousTestCase):
    """Turns of the reactor that take too long are noticed."""

    def test_a_late_timer_is_a_slow_turn(self) -> None:
        clock = Clock()
        watch = ReactorLagMonitor(0.5, clock)
        watch.startService()
        clock.pump([0.5] * 4)
        self.assertEqual(watch.longest_s, 0.0)
        clock.advance(1.75)
        self.assertEqual(watch.longest_s, 1.25)
        watch.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_limit_of_0_is_no_watch(self) -> None:
        clock = Clock()
        ReactorLagMonitor(0.0, clock).startService()
        self.assertEqual(clock.getDelayedCalls(), [])
