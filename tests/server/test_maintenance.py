"""What the server does by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.server.maintenance import ReactorLagMonitor, StoreFiller, StoreSweeper


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


class _Unfilled:
    """A store with contents to be filled in; each answer is what one piece of that answers."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def fill(self) -> Deferred[int | None]:
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Deferred) else succeed(answer)


class FillerTests(SynchronousTestCase):
    """What an older release did not derive is made piece by piece."""

    def test_it_begins_at_the_start_and_leaves_others_room_between_the_pieces(self) -> None:
        clock, store = Clock(), _Unfilled([50, 50, 0, 7, None])
        filler = StoreFiller(store, True, clock)
        filler.startService()
        self.assertEqual(len(store.answers), 4)
        clock.advance(0.04)
        self.assertEqual(len(store.answers), 4)
        clock.pump([0.05] * 4)
        self.assertEqual(store.answers, [])
        store.answers = [None]
        clock.advance(3600.0)
        self.assertEqual(store.answers, [])
        self.successResultOf(filler.stopService())
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_it_ends_with_the_piece_under_way_when_the_server_stops(self) -> None:
        clock, piece = Clock(), Deferred[int | None]()
        store = _Unfilled([50, piece, 50])
        filler = StoreFiller(store, True, clock)
        filler.startService()
        clock.advance(0.05)
        stopped = filler.stopService()
        self.assertNoResult(stopped)
        piece.callback(50)
        clock.advance(0.05)
        self.successResultOf(stopped)
        self.assertEqual(store.answers, [50])

    def test_what_fails_is_tried_again_later(self) -> None:
        clock, store = Clock(), _Unfilled([fail(RuntimeError("a defect")), None])
        filler = StoreFiller(store, True, clock)
        filler.startService()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        clock.advance(3600.0)
        self.assertEqual(store.answers, [])

    def test_one_process_of_several_does_it(self) -> None:
        clock, store = Clock(), _Unfilled([])
        filler = StoreFiller(store, False, clock)
        filler.startService()
        self.assertEqual(clock.getDelayedCalls(), [])
        self.successResultOf(filler.stopService())


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
