"""When to try again and when to give up."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.queue import QueueSettings
from pymailsuite.interfaces import Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.queue.schedule import (
    decide,
    expires_at,
    hosts_that_took,
    is_delay_to_report,
    next_attempt,
    wants_transaction_of_its_own,
)
from pymailsuite.values import Address, ContentId, QueueId
from tests.acceptance import acceptance

HOUR, DAY = 3600.0, 86400.0
BOB = QueuedRecipient(0, Address("bob", "b.example"), "b.example")
ENTRY = QueueEntry(QueueId("Q"), ContentId(1), 10, 5, Address("ann", "a.example"), (BOB,), created_at=1000.0)
REPORT = evolve(ENTRY, reverse_path=None)
LATER = Outcome(0, RecipientState.DELAYED, "4.2.0", "450 later", "mx.b.example")


class NextAttemptTests(SynchronousTestCase):
    settings = QueueSettings()

    def test_waits_double_up_to_a_limit(self) -> None:
        waits = [next_attempt(self.settings, ENTRY, attempts, 1000.0, 0.5) for attempts in range(1, 8)]
        self.assertEqual(
            [wait and wait - 1000.0 for wait in waits], [300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0, 3600.0]
        )

    @given(st.integers(1, 10**6), st.floats(0, 1))
    def test_chance_spreads_tries_within_bounds(self, attempts: int, chance: float) -> None:
        even = next_attempt(self.settings, ENTRY, attempts, 1000.0, 0.5)
        due = next_attempt(self.settings, ENTRY, attempts, 1000.0, chance)
        assert even is not None and due is not None
        self.assertLessEqual(abs(due - even), 0.2 * (even - 1000.0) + 1e-6)

    @acceptance("S079")
    def test_after_five_days_there_is_no_further_try(self) -> None:
        end = 1000.0 + 5 * DAY
        self.assertEqual(expires_at(self.settings, ENTRY), end)
        self.assertEqual(next_attempt(self.settings, ENTRY, 90, end - 1, 0.5), end)
        self.assertIsNone(next_attempt(self.settings, ENTRY, 91, end, 0.5))

    @acceptance("S079")
    def test_reports_are_given_up_sooner(self) -> None:
        self.assertEqual(expires_at(self.settings, REPORT), 1000.0 + DAY)


class DecisionTests(SynchronousTestCase):
    settings = QueueSettings()

    def test_whom_a_host_wants_separately_is_sent_to_at_once_if_it_took_others(self) -> None:
        taken = Outcome(1, RecipientState.DELIVERED, "2.0.0", "250 ok", "mx.b.example")
        apart = Outcome(0, RecipientState.DELAYED, "4.5.3", "452 separately", "mx.b.example")
        for outcome, others, at_once in (
            (apart, [taken], True),
            (apart, [], False),
            (apart, [evolve(taken, host="mx2.b.example")], False),
            (apart, [evolve(taken, state=RecipientState.FAILED)], False),
            (LATER, [taken], False),
            (evolve(apart, state=RecipientState.FAILED), [taken], False),
        ):
            self.assertEqual(
                wants_transaction_of_its_own(outcome, hosts_that_took([outcome, *others])), at_once, (outcome, others)
            )

    def test_a_waiting_recipient_gets_its_time_and_the_others_stay_as_they_are(self) -> None:
        again = decide(self.settings, ENTRY, evolve(BOB, attempts=1), LATER, 1000.0, 0.5)
        self.assertEqual(again, evolve(LATER, next_attempt=1600.0))
        for state in (RecipientState.DELIVERED, RecipientState.FAILED):
            outcome = evolve(LATER, state=state)
            self.assertEqual(decide(self.settings, ENTRY, BOB, outcome, 1e9, 0.5), outcome)

    def test_past_its_time_it_has_expired_with_the_last_words_said_of_it(self) -> None:
        outcome = decide(self.settings, ENTRY, BOB, LATER, 1000.0 + 5 * DAY, 0.5)
        self.assertEqual(outcome, evolve(LATER, state=RecipientState.FAILED, status="4.4.7"))

    def test_a_delay_is_reported_once_after_four_hours(self) -> None:
        self.assertFalse(is_delay_to_report(self.settings, ENTRY, BOB, LATER, 1000.0 + 4 * HOUR - 1))
        self.assertTrue(is_delay_to_report(self.settings, ENTRY, BOB, LATER, 1000.0 + 4 * HOUR))
        told = decide(self.settings, ENTRY, evolve(BOB, delay_reported=True), LATER, 1000.0 + 5 * HOUR, 0.5)
        self.assertFalse(is_delay_to_report(self.settings, ENTRY, BOB, told, 1000.0 + 5 * HOUR))

    def test_nobody_is_told_of_a_delayed_report_or_where_warnings_are_off(self) -> None:
        self.assertFalse(is_delay_to_report(self.settings, REPORT, BOB, LATER, 1e9))
        self.assertFalse(is_delay_to_report(QueueSettings(warn_after=0), ENTRY, BOB, LATER, 1e9))
