"""Triplets, clients and correspondents, on every engine."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces.greylist import (
    GreylistClient,
    GreylistEntry,
    GreylistKnowledge,
    ICorrespondents,
    IGreylistStore,
    Triplet,
)
from tests.acceptance import acceptance
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

ONE = Triplet("192.0.2.0/24", "a@client.example", "user@example.test")
TWO = Triplet("192.0.2.0/24", "b@client.example", "user@example.test")
NULL = Triplet("spf:client.example", "", "user@example.test")


class GreylistContract(StoreTestCase):
    def look_up(self, *triplets: Triplet) -> GreylistKnowledge:
        return self.result(self.store.greylist.look_up(triplets))

    def begin(self, *triplets: Triplet, waiting_max: int = 100) -> bool:
        return self.result(self.store.greylist.begin(triplets, 1000, waiting_max))

    def passed(self, *triplets: Triplet) -> None:
        self.result(self.store.greylist.passed(triplets, 5000, 7000))

    def test_the_interfaces_are_fulfilled(self) -> None:
        verifyObject(IGreylistStore, self.store.greylist)
        verifyObject(ICorrespondents, self.store.correspondents)

    def test_what_was_never_seen_is_not_known(self) -> None:
        self.assertEqual(self.look_up(ONE, NULL), GreylistKnowledge(NOW))
        self.assertEqual(self.look_up(), GreylistKnowledge(NOW))

    def test_what_has_begun_stays_as_it_began(self) -> None:
        self.assertTrue(self.begin(ONE, NULL))
        self.clock.advance(10)
        self.assertTrue(self.begin(ONE))
        known = self.look_up(ONE, TWO, NULL)
        self.assertEqual(
            known.entries,
            {ONE: GreylistEntry(ONE, NOW, 0, NOW + 1000), NULL: GreylistEntry(NULL, NOW, 0, NOW + 1000)},
        )
        self.assertEqual(known.clients, {})

    def test_what_has_expired_begins_anew(self) -> None:
        self.begin(ONE)
        self.clock.advance(1000)
        self.assertEqual(self.look_up(ONE).entries, {})
        self.begin(ONE)
        self.assertEqual(self.look_up(ONE).entries[ONE].first_seen, NOW + 1000)

    @acceptance("S170")
    def test_a_pass_is_remembered_and_counted_once_for_its_client(self) -> None:
        self.begin(ONE, TWO)
        self.clock.advance(100)
        for one in [self.store.greylist.passed([ONE], 5000, 7000) for _ in range(3)]:
            self.result(one)
        self.passed(ONE, TWO)
        known = self.look_up(ONE)
        self.assertEqual(known.entries[ONE], GreylistEntry(ONE, NOW, NOW + 100, NOW + 5100))
        self.assertEqual(known.clients[ONE.client], GreylistClient(ONE.client, 2, False, NOW + 7100))

    def test_what_is_in_use_is_kept(self) -> None:
        self.begin(ONE)
        self.passed(ONE)
        self.clock.advance(4000)
        self.result(self.store.greylist.refresh([ONE], 5000, [ONE.client], 7000))
        known = self.look_up(ONE)
        self.assertEqual(known.entries[ONE].expires_at, NOW + 9000)
        self.assertEqual(known.clients[ONE.client].expires_at, NOW + 11000)

    def test_a_client_fills_only_its_own_part(self) -> None:
        many = [Triplet(ONE.client, f"{number}@client.example", "user@example.test") for number in range(5)]
        self.assertTrue(self.begin(*many[:3], waiting_max=3))
        self.assertFalse(self.begin(*many, waiting_max=3))
        self.assertEqual(len(self.look_up(*many).entries), 3)
        self.assertTrue(self.begin(NULL, waiting_max=3))
        self.passed(*many[:3])
        self.assertTrue(self.begin(*many[3:], waiting_max=3), "those who came back do not wait")

    def test_what_operators_say_of_a_client_stays(self) -> None:
        self.result(self.store.greylist.allow(ONE.client, 0.0))
        self.begin(ONE)
        self.passed(ONE)
        self.result(self.store.greylist.refresh([], 1, [ONE.client], 1))
        expected = GreylistClient(ONE.client, 1, True, 0.0)
        self.assertEqual(self.look_up(ONE).clients, {ONE.client: expected})
        self.assertEqual(self.result(self.store.greylist.clients(10)), [expected])

    def test_what_operators_say_for_a_time_ends(self) -> None:
        self.result(self.store.greylist.allow(ONE.client, NOW + 50))
        self.begin(ONE)
        self.clock.advance(50)
        self.assertEqual(self.look_up(ONE).clients, {})
        self.passed(ONE)
        self.assertEqual(self.look_up(ONE).clients[ONE.client], GreylistClient(ONE.client, 1, False, NOW + 7050))

    def test_entries_are_shown_and_forgotten(self) -> None:
        self.begin(ONE)
        self.clock.advance(1)
        self.begin(TWO, NULL)
        greylist = self.store.greylist
        shown = [entry.triplet for entry in self.result(greylist.entries(None, 10))]
        self.assertEqual(shown, [TWO, NULL, ONE])
        self.assertEqual(len(self.result(greylist.entries(ONE.client, 1))), 1)
        self.assertEqual(self.result(greylist.forget("", "a@client.example")), 1)
        self.assertEqual(self.result(greylist.forget(NULL.client, "")), 1)
        self.assertEqual([entry.triplet for entry in self.result(greylist.entries(None, 10))], [TWO])

    def test_names_of_any_length_are_told_apart(self) -> None:
        long = [Triplet(ONE.client, "x" * 3000 + end, "user@example.test") for end in ("a", "b", "\0", "\udcff")]
        self.begin(*long)
        self.assertEqual(set(self.look_up(*long).entries), set(long))

    def test_what_has_expired_is_swept(self) -> None:
        self.begin(ONE, TWO)
        self.passed(ONE)
        self.result(self.store.correspondents.note("a@x.example", ["b@y.example"], 1000))
        self.clock.advance(1000)
        self.assertEqual(self.result(self.store.maintenance.sweep(self.clock.seconds())), {"greylist": 1, "state": 1})
        self.assertEqual(list(self.look_up(ONE, TWO).entries), [ONE])
        self.clock.advance(6000)
        self.assertEqual(self.result(self.store.maintenance.sweep(self.clock.seconds()))["greylist"], 2)

    def test_another_node_sees_the_same(self) -> None:
        if not isinstance(self, OnDisk):
            return
        other = self.open_store()
        self.begin(ONE)
        self.assertEqual(list(self.result(other.greylist.look_up([ONE])).entries), [ONE])
        together = [store.greylist.passed([ONE], 5000, 7000) for store in (self.store, other)]
        for one in together:
            self.result(one)
        self.assertEqual(self.look_up(ONE).clients[ONE.client].passes, 1)

    def test_correspondents_are_known_by_both_addresses(self) -> None:
        known = self.store.correspondents
        for one in [known.note("ann@x.example", ["b@y.example", "c@y.example"], 1000) for _ in range(2)]:
            self.result(one)
        pairs = [("ann@x.example", "b@y.example"), ("ann@x.example", "d@y.example"), ("b@y.example", "ann@x.example")]
        self.assertEqual(self.result(known.knows(pairs)), {pairs[0]})
        self.assertEqual(self.result(known.knows([])), frozenset())
        self.clock.advance(1000)
        self.assertEqual(self.result(known.knows(pairs)), frozenset())


class GreylistInMemoryTests(GreylistContract, InMemory):
    pass


class GreylistOnDiskTests(GreylistContract, OnDisk):
    pass


class BoundedGreylistTests(InMemory):
    settings = StoreSection(greylist_entries=2)

    def test_what_is_above_the_bound_is_swept_the_oldest_first(self) -> None:
        triplets = [Triplet(f"192.0.{number}.0/24", "a@b.example", "c@d.example") for number in range(5)]
        for triplet in triplets:
            self.result(self.store.greylist.begin([triplet], 1000, 10))
            self.clock.advance(1)
        self.assertEqual(self.result(self.store.maintenance.sweep(self.clock.seconds()))["greylist_surplus"], 3)
        self.assertEqual(set(self.result(self.store.greylist.look_up(triplets)).entries), set(triplets[3:]))


del GreylistContract
