"""Refusals by limits: a flood of them is a few numbers."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces.history import TurnedAway
from pymailsuite.wire.refusal_counts import RefusalCounts
from tests.support.logs import captured_logs


class Record:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[TurnedAway] = []

    def turned_away(self, count: TurnedAway) -> None:
        """One more."""
        self.told.append(count)


class RefusalCountTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.record = Record()
        record: Any = self.record
        self.counts = RefusalCounts(self.clock, 60.0, 3, record)

    def note(self, ip: str, what: str = "too_many_connections") -> None:
        self.counts.note("smtp", what, ip, b"421 4.3.2 too many\r\n")

    def test_a_flood_is_one_number_and_two_lines(self) -> None:
        with captured_logs() as events:
            for _ in range(10_000):
                self.note("192.0.2.1")
            self.clock.advance(10)
            self.note("192.0.2.1")
            self.assertEqual(self.record.told, [])
            self.clock.advance(50)
        self.assertEqual(
            self.record.told,
            [TurnedAway("too_many_connections", "smtp", "192.0.2.1", "421 4.3.2 too many", 10_001, 1000, 1010)],
        )
        self.assertEqual([event["event"] for event in events], ["connection.refused", "connection.refused_often"])
        self.assertEqual(events[1]["count"], 10_001)

    def test_an_ipv6_network_is_one_and_each_reason_is_another(self) -> None:
        self.note("2001:db8::1")
        self.note("2001:db8::2")
        self.note("2001:db8::2", "login_refused")
        self.clock.advance(60)
        self.assertEqual([(one.ip, one.number) for one in self.record.told], [("2001:db8::2", 2), ("2001:db8::2", 1)])

    def test_a_flood_from_everywhere_is_counted_together(self) -> None:
        for number in range(250):
            self.note(f"192.0.2.{number}")
        self.clock.advance(60)
        self.assertEqual(
            [(one.ip, one.number) for one in self.record.told],
            [("192.0.2.0", 1), ("192.0.2.1", 1), ("192.0.2.2", 1), ("", 247)],
        )

    def test_what_was_counted_is_told_at_the_end_and_only_once(self) -> None:
        self.note("192.0.2.1")
        self.counts.startService()  # type: ignore[no-untyped-call]
        self.counts.stopService()
        self.assertEqual(len(self.record.told), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.note("192.0.2.1")
        self.clock.advance(60)
        self.assertEqual(len(self.record.told), 2)
