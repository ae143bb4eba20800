"""Counts within windows of time, on every engine."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.interfaces import Count, CountKey, ISharedCounts
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

ADDRESS, LOGIN = CountKey("login.address", "192.0.2.1"), CountKey("login.name", "ann@example.org")


class CountsContract(StoreTestCase):
    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(ISharedCounts, self.store.counts)

    def test_what_was_never_counted_is_not_there(self) -> None:
        self.assertEqual(self.result(self.store.counts.counted([ADDRESS])), {})
        self.assertEqual(self.result(self.store.counts.counted([])), {})

    def test_counts_add_up_within_their_window(self) -> None:
        counts = self.store.counts
        self.assertEqual(
            self.result(counts.add([ADDRESS, LOGIN], 60)), dict.fromkeys([ADDRESS, LOGIN], Count(1, NOW + 60))
        )
        self.clock.advance(30)
        self.assertEqual(self.result(counts.add([LOGIN], 60, 5)), {LOGIN: Count(6, NOW + 60)})
        self.assertEqual(
            self.result(counts.counted([ADDRESS, LOGIN])), {ADDRESS: Count(1, NOW + 60), LOGIN: Count(6, NOW + 60)}
        )

    def test_a_window_that_ended_counts_no_more(self) -> None:
        counts = self.store.counts
        self.result(counts.add([ADDRESS], 60, 7))
        self.clock.advance(60)
        self.assertEqual(self.result(counts.counted([ADDRESS])), {})
        self.assertEqual(self.result(counts.add([ADDRESS], 60)), {ADDRESS: Count(1, NOW + 120)})

    def test_what_is_forgotten_begins_at_nothing(self) -> None:
        counts = self.store.counts
        self.result(counts.add([ADDRESS, LOGIN], 60))
        self.result(counts.forget([ADDRESS]))
        self.assertEqual(list(self.result(counts.counted([ADDRESS, LOGIN]))), [LOGIN])

    def test_names_of_any_length_and_kind_are_told_apart(self) -> None:
        counts = self.store.counts
        names = ["x" * 5000, "x" * 5001, "a\0b", "a\0c", "\udcff", ""]
        for name in names:
            made = self.result(counts.add([CountKey("k", name)], 60))
            self.assertEqual(made[CountKey("k", name)].total, 1)

    def test_those_who_count_together_are_all_counted(self) -> None:
        asked = [self.store.counts.add([ADDRESS], 60) for _ in range(20)]
        self.assertEqual([self.result(one)[ADDRESS].total for one in asked], list(range(1, 21)))
        self.assertEqual(self.result(self.store.counts.counted([ADDRESS]))[ADDRESS].total, 20)

    def test_what_is_taken_back_is_not_below_nothing_and_begins_no_window(self) -> None:
        counts = self.store.counts
        self.result(counts.take_back([ADDRESS]))
        self.assertEqual(self.result(counts.counted([ADDRESS])), {})
        self.result(counts.add([ADDRESS, LOGIN], 60, 3, lasting=False))
        self.result(counts.take_back([ADDRESS, LOGIN, ADDRESS]))
        self.result(counts.take_back([LOGIN], 5))
        self.assertEqual(
            self.result(counts.counted([ADDRESS, LOGIN])), {ADDRESS: Count(2, NOW + 60), LOGIN: Count(0, NOW + 60)}
        )
        self.clock.advance(60)
        self.result(counts.take_back([ADDRESS]))
        self.assertEqual(self.result(counts.add([ADDRESS], 60))[ADDRESS].total, 1)

    def test_windows_that_ended_are_swept(self) -> None:
        self.result(self.store.counts.add([ADDRESS], 60))
        self.result(self.store.counts.add([LOGIN], 600))
        self.clock.advance(61)
        self.assertEqual(self.result(self.store.upkeep.sweep(self.clock.seconds()))["counts"], 1)
        self.assertEqual(list(self.result(self.store.counts.counted([ADDRESS, LOGIN]))), [LOGIN])


class CountsInMemoryTests(CountsContract, InMemory):
    pass


class CountsOnDiskTests(CountsContract, OnDisk):
    pass


del CountsContract
