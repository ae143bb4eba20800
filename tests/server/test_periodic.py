"""What is done again and again goes on, whatever becomes of one round."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from pymailsuite.periodic import PeriodicService


class _Rounds(PeriodicService):
    def __init__(self, clock: Clock) -> None:
        super().__init__("rounds", 10.0, clock)
        self.waiting: list[Deferred[None]] = []

    async def once(self) -> None:
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        await waiting


class PeriodicTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.rounds = _Rounds(self.clock)
        self.rounds.startService()
        self.clock.advance(10)

    def test_a_round_that_fails_or_is_called_off_is_not_the_last(self) -> None:
        for number, error in enumerate((StoreUnavailable(), CancelledError(), KeyError("x"), None), 1):
            self.assertEqual(len(self.rounds.waiting), number, error)
            waiting = self.rounds.waiting[-1]
            waiting.callback(None) if error is None else waiting.errback(error)
            self.clock.advance(10)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.rounds.waiting[-1].callback(None)

    def test_it_stops_when_the_round_under_way_has_ended(self) -> None:
        stopped = self.rounds.stopService()
        self.assertNoResult(stopped)
        self.rounds.waiting[-1].callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stop_that_waits_no_longer_ends_the_round(self) -> None:
        stopped = self.rounds.stopService()
        stopped.cancel()
        self.successResultOf(stopped)
        self.assertTrue(self.rounds.waiting[-1].called)
        self.assertEqual(self.clock.getDelayedCalls(), [])
