"""The record of what happened: bounded, and nobody waits for it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.history import HistorySettings
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces import LocalRecipient, RemoteRecipient
from pymailsuite.interfaces.delivery import DeliveryPlan, Placement, PlannedRecipient, Transmission
from pymailsuite.interfaces.history import HistoryEntry, HistoryKind, IRefusalRecord, Refused, TurnedAway
from pymailsuite.interfaces.policy import Action, AppliedVerdict, Effect, Stage, Verdict
from pymailsuite.values import AccountId, Address, ContentId, Envelope, Peer

ANN, BOB, LIST = Address("ann", "example.test"), Address("bob", "far.example"), Address("list", "example.test")


class Recorded:
    """A store that keeps what it is given, or fails."""

    def __init__(self) -> None:
        self.entries: list[HistoryEntry] = []
        self.writes = 0
        self.error: Exception | None = None
        self._last = 0

    def new_id(self) -> ContentId:
        self._last += 1
        return ContentId(self._last)

    def add(self, entries: list[HistoryEntry]) -> Deferred[None]:
        self.writes += 1
        if self.error is not None:
            return fail(self.error)
        self.entries += entries
        return succeed(None)

    @property
    def facts(self) -> list[Any]:
        return [json.loads(entry.facts) for entry in self.entries]


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = Recorded()

    def recorder(self, **options: Any) -> HistoryRecorder:
        store: Any = self.store
        recorder = HistoryRecorder(HistorySettings(**options), store, self.clock)
        recorder.startService()
        self.addCleanup(lambda: recorder.running and recorder.stopService())
        return recorder

    def refusal(self, ip: str = "192.0.2.1", **more: Any) -> Refused:
        return Refused("recipient_refused", Peer(ip), "550 5.7.1 no", BOB, (ANN,), **more)

    def test_refusals_are_written_together(self) -> None:
        recorder = self.recorder()
        verifyObject(IRefusalRecord, recorder)
        applied = AppliedVerdict(
            "spf", Stage.MAIL, Verdict(Action.REJECT, "not theirs", evidence={"a": 1}), Effect.REJECT
        )
        for _ in range(3):
            recorder.refused(self.refusal(policy="spf", applied_verdicts=(applied,)))
        self.assertEqual(self.store.entries, [])
        self.clock.advance(1)
        self.assertEqual((self.store.writes, len(self.store.entries)), (1, 3))
        self.assertEqual(self.store.entries[0].names, ("192.0.2.1", "bob@far.example", "ann@example.test"))
        facts = self.store.facts[0]
        self.assertEqual((facts["policy"], facts["sender"], facts["reply"]), ("spf", "bob@far.example", "550 5.7.1 no"))
        self.assertEqual(facts["rulings"][0]["evidence"], {"a": 1})

    def test_of_a_client_that_is_refused_again_and_again_only_the_number_is_kept(self) -> None:
        recorder = self.recorder(refusals_per_address=2, refusal_window=60.0)
        for _ in range(1000):
            recorder.refused(self.refusal())
        self.clock.pump([1.0] * 61)
        self.assertEqual(
            [entry.kind for entry in self.store.entries],
            [HistoryKind.REFUSED, HistoryKind.REFUSED, HistoryKind.MORE_REFUSED],
        )
        self.assertEqual((self.store.facts[-1]["number"], self.store.entries[-1].names), (998, ("192.0.2.1",)))
        recorder.refused(self.refusal())
        self.clock.advance(1)
        self.assertIs(self.store.entries[-1].kind, HistoryKind.REFUSED)

    def test_the_number_is_told_after_a_minute_and_at_the_end(self) -> None:
        recorder = self.recorder(refusals_per_address=1)
        for _ in range(10 * 60):
            recorder.refused(self.refusal())
            self.clock.advance(10)
            if self.clock.seconds() == 1_770_000_000 + 80:
                self.assertEqual([facts.get("number") for facts in self.store.facts], [None, 6])
            if self.clock.seconds() >= 1_770_000_000 + 3600:
                break
        self.assertEqual([facts.get("number") for facts in self.store.facts], [None, 6, 353])

    def test_a_flood_from_everywhere_is_counted(self) -> None:
        recorder = self.recorder(refusals_per_minute=10, addresses_max=100)
        for number in range(1000):
            recorder.refused(self.refusal(f"10.0.{number // 250}.{number % 250}"))
        self.successResultOf(recorder.stopService())
        told = [entry for entry in self.store.entries if entry.kind is HistoryKind.REFUSED]
        self.assertEqual((len(told), len(self.store.entries)), (10, 10 + 90 + 1))
        self.assertEqual(sum(facts.get("number", 0) for facts in self.store.facts), 990)

    def test_what_was_counted_can_be_found_by_address_and_network(self) -> None:
        recorder = self.recorder()
        recorder.turned_away(TurnedAway("too_many_connections", "smtp", "2001:db8::7", "421 busy", 12, 5.0, 6.0))
        recorder.turned_away(TurnedAway("too_many_connections", "smtp", "", "421 busy", 99, 5.0, 6.0))
        self.clock.advance(1)
        self.assertEqual({entry.kind for entry in self.store.entries}, {HistoryKind.TURNED_AWAY})
        self.assertEqual([entry.names for entry in self.store.entries], [("2001:db8::7", "2001:db8::/64"), ()])
        facts = self.store.facts[0]
        self.assertEqual((facts["number"], facts["protocol"], facts["peer"]), (12, "smtp", {"ip": "2001:db8::7"}))

    def test_what_the_store_cannot_take_is_forgotten(self) -> None:
        recorder = self.recorder()
        for writes, error in enumerate((StoreUnavailable(), CancelledError()), 1):
            self.store.error = error
            recorder.refused(self.refusal())
            self.clock.advance(1)
            self.store.error = None
            self.clock.advance(1)
            self.assertEqual((self.store.writes, self.store.entries), (writes, []))
        recorder.refused(self.refusal())
        self.clock.advance(1)
        self.assertEqual(len(self.store.entries), 1)

    def test_an_accepted_message_tells_where_it_goes(self) -> None:
        plan = DeliveryPlan(
            (
                PlannedRecipient(LIST, LocalRecipient(AccountId(7), ANN), (Placement(),)),
                PlannedRecipient(LIST, RemoteRecipient(BOB), (), (Transmission(BOB, None),)),
            )
        )
        entry = self.recorder().accepted(ContentId(5), Peer("192.0.2.1"), Envelope(None, (LIST,)), plan, 3, "1@x", ())
        assert entry is not None
        self.assertEqual((entry.story_id, entry.entry_id, entry.kind), (5, 5, HistoryKind.ACCEPTED))
        self.assertEqual(
            json.loads(entry.facts)["recipients"],
            [
                {"recipient": str(LIST), "address": str(ANN), "account_id": 7, "mailbox": "INBOX"},
                {"recipient": str(LIST), "address": str(BOB)},
            ],
        )
        self.assertEqual(set(entry.names), {"192.0.2.1", "1@x", "", *map(str, (LIST, ANN, BOB))})

    def test_evidence_that_is_too_long_or_no_json_does_no_harm(self) -> None:
        recorder = self.recorder(facts_max=1000)
        long = AppliedVerdict("spf", Stage.MAIL, Verdict(evidence={"x": "y" * 5000}), Effect.NONE)
        odd = AppliedVerdict("odd", Stage.MAIL, Verdict(evidence={"x": object(), "s": "\udcff\0"}), Effect.NONE)
        for applied in (long, odd):
            recorder.refused(self.refusal(applied_verdicts=(applied,)))
        self.clock.advance(1)
        self.assertTrue(self.store.facts[0]["rulings"][0]["evidence_left_out"])
        self.assertEqual(self.store.facts[1]["rulings"][0]["evidence"]["s"], "\udcff\0")
        self.assertTrue(all(entry.facts.isascii() and len(entry.facts) <= 1000 for entry in self.store.entries))
