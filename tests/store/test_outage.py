"""Patience with a database that is away."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.store.outage import Outage


class OutageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.outage = Outage(10.0, self.clock.seconds)

    def is_refused(self, deadline: float = 0.0) -> bool:
        try:
            self.outage.check(deadline)
        except ConnectionError:
            return True
        return False

    def test_a_request_waits_for_it_until_its_own_deadline_or_the_end_of_patience(self) -> None:
        self.assertEqual(self.outage.deadline(30.0), 30.0)
        self.outage.goes_on(ConnectionError(), 1.0)
        self.assertEqual(self.outage.deadline(30.0), 10.0)
        self.assertEqual(self.outage.deadline(5.0), 5.0)

    def test_patience_is_counted_from_the_first_failure(self) -> None:
        for _ in range(12):
            self.outage.goes_on(ConnectionError(), 1.0)
            self.clock.advance(1.0)
        self.assertEqual(self.outage.deadline(100.0), 10.0)

    def test_after_it_requests_fail_at_once_but_for_one_attempt_now_and_then(self) -> None:
        self.outage.goes_on(ConnectionError(), 1.0)
        self.assertFalse(self.is_refused(30.0))
        self.clock.advance(11.0)
        self.assertFalse(self.is_refused(30.0))
        self.outage.goes_on(ConnectionError(), 1.0)
        self.assertTrue(self.is_refused(30.0))
        self.clock.advance(1.0)
        self.assertFalse(self.is_refused(30.0))

    def test_the_next_outage_is_waited_for_anew(self) -> None:
        self.outage.goes_on(ConnectionError(), 1.0)
        self.clock.advance(20.0)
        self.outage.is_over()
        self.outage.goes_on(ConnectionError(), 1.0)
        self.assertFalse(self.is_refused(50.0))
        self.assertEqual(self.outage.deadline(50.0), 30.0)
