"""Reputations, on every engine."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.interfaces.reputation import Event, Identity, IReputationStore, Reputation
from tests.acceptance import acceptance
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

GOOD, BAD = Identity("domain", "good.example"), Identity("network", "192.0.2.0/24")
HALF_LIFE_S = 1000.0


class ReputationContract(StoreTestCase):
    def look_up(self, identity: Identity) -> Reputation | None:
        return self.result(self.store.reputations.look_up([identity, BAD], HALF_LIFE_S)).get(identity)

    def add(self, identity: Identity, event: Event, number: float = 1) -> None:
        self.result(self.store.reputations.add({(identity, event): number}, HALF_LIFE_S))

    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(IReputationStore, self.store.reputations)

    @acceptance("S162")
    def test_events_add_up_and_halve_with_time(self) -> None:
        self.assertIsNone(self.look_up(GOOD))
        self.add(GOOD, Event.ACCEPTED, 8)
        self.clock.advance(HALF_LIFE_S)
        self.add(GOOD, Event.ACCEPTED, 2)
        self.add(GOOD, Event.JUNK)
        self.assertEqual(self.look_up(GOOD), Reputation(GOOD, 6.0, 0.0, 1.0, 0.0, NOW, NOW + HALF_LIFE_S))
        self.clock.advance(HALF_LIFE_S)
        self.assertEqual(self.look_up(GOOD), Reputation(GOOD, 3.0, 0.0, 0.5, 0.0, NOW, NOW + 2 * HALF_LIFE_S))

    def test_those_who_note_together_are_all_counted(self) -> None:
        events = {(GOOD, Event.ACCEPTED): 1.0, (BAD, Event.REFUSED): 2.0}
        for one in [self.store.reputations.add(events, HALF_LIFE_S) for _ in range(10)]:
            self.result(one)
        found = self.result(self.store.reputations.look_up([GOOD, BAD], HALF_LIFE_S))
        self.assertEqual((found[GOOD].accepted, found[BAD].refused), (10.0, 20.0))
        self.assertEqual(self.result(self.store.reputations.look_up([], HALF_LIFE_S)), {})

    def test_who_was_met_stays_as_it_was(self) -> None:
        self.result(self.store.reputations.meet([GOOD]))
        self.clock.advance(5)
        self.result(self.store.reputations.meet([GOOD, BAD]))
        self.assertEqual(self.look_up(GOOD), Reputation(GOOD, first_seen=NOW, noted_at=NOW + 5))
        self.add(GOOD, Event.ACCEPTED)
        self.assertEqual(self.look_up(GOOD), Reputation(GOOD, 1.0, first_seen=NOW, noted_at=NOW + 5))

    def test_they_are_shown_and_forgotten(self) -> None:
        self.add(GOOD, Event.ACCEPTED)
        self.clock.advance(1)
        self.add(BAD, Event.REFUSED)
        reputations = self.store.reputations
        names = [one.identity for one in self.result(reputations.all(None, "", HALF_LIFE_S, 10))]
        self.assertEqual(names, [BAD, GOOD])
        self.assertEqual(len(self.result(reputations.all("domain", "", HALF_LIFE_S, 10))), 1)
        self.assertEqual(len(self.result(reputations.all(None, "good.example", HALF_LIFE_S, 10))), 1)
        self.assertEqual(self.result(reputations.forget("good.example")), 1)
        self.assertIsNone(self.look_up(GOOD))

    def test_who_was_not_seen_for_long_is_swept(self) -> None:
        self.add(GOOD, Event.ACCEPTED)
        self.clock.advance(self.settings.reputation_time + 1)
        self.add(BAD, Event.REFUSED)
        self.assertEqual(self.result(self.store.maintenance.sweep(self.clock.seconds()))["reputations"], 1)
        self.assertIsNone(self.look_up(GOOD))


class ReputationInMemoryTests(ReputationContract, InMemory):
    pass


class ReputationOnDiskTests(ReputationContract, OnDisk):
    def test_two_nodes_count_together(self) -> None:
        other = self.open_store()
        asked = [
            store.reputations.add({(GOOD, Event.ACCEPTED): 1.0}, HALF_LIFE_S)
            for _ in range(10)
            for store in (self.store, other)
        ]
        for one in asked:
            self.result(one)
        found = self.look_up(GOOD)
        assert found is not None
        self.assertEqual(found.accepted, 20.0)


del ReputationContract
