"""Look-ups side by side."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.dns.gather import gather_all


class TogetherTests(SynchronousTestCase):
    def test_results_come_in_order(self) -> None:
        first: Deferred[int] = Deferred()
        found = gather_all([first, succeed(2)])
        self.assertNoResult(found)
        first.callback(1)
        self.assertEqual(self.successResultOf(found), [1, 2])
        self.assertEqual(self.successResultOf(gather_all([])), [])

    def test_the_first_failure_is_told_as_it_is_and_the_others_are_called_off(self) -> None:
        cancelled: list[Deferred[int]] = []
        asked: list[Deferred[int]] = [Deferred(cancelled.append) for _ in range(3)]
        found = gather_all(asked)
        asked[1].errback(KeyError("x"))
        self.failureResultOf(found, KeyError)
        self.assertEqual(cancelled, [asked[0], asked[2]])

    def test_called_off_all_are(self) -> None:
        cancelled: list[Deferred[int]] = []
        asked: list[Deferred[int]] = [Deferred(cancelled.append) for _ in range(2)]
        found = gather_all(asked)
        found.cancel()
        self.failureResultOf(found, CancelledError)
        self.assertEqual(cancelled, asked)
