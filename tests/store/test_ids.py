"""Content ids: one process, and many that take node numbers from each other."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from pymailsuite.store import MailStore
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.ids import ALONE, ContentIds, NodeLease
from pymailsuite.store.node import LEASE_S
from tests.store.support import NOW, OnDisk


class ContentIdTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW

    def ids(self, lease: NodeLease = ALONE) -> ContentIds:
        return ContentIds(StoreClock(self.clock), lease)

    def test_ids_rise_within_a_millisecond_and_when_the_clock_goes_back(self) -> None:
        ids = self.ids()
        made = [ids.next_id() for _ in range(3000)]
        self.clock.rightNow -= 3600
        made += [ids.next_id() for _ in range(3000)]
        self.assertEqual(made, sorted(set(made)))

    def test_none_is_made_of_a_time_outside_the_lease(self) -> None:
        ids = self.ids(NodeLease(7, NOW, NOW + 10))
        ids.next_id()
        self.clock.advance(10.5)
        self.assertRaises(StoreUnavailable, ids.next_id)
        ids.lease = NodeLease(7, NOW, NOW + 20)
        ids.next_id()

    def test_who_takes_a_number_over_makes_other_ids_though_its_clock_is_behind(self) -> None:
        first = self.ids(NodeLease(7, NOW, NOW + 10))
        self.clock.advance(9.9)
        made = [first.next_id() for _ in range(2000)]
        self.clock.rightNow = NOW - 3600
        second = self.ids(NodeLease(7, NOW + 10, NOW + 20))
        self.assertGreater(second.next_id(), max(made))

    def test_the_clock_of_the_database_is_gone_by(self) -> None:
        clock = StoreClock(self.clock)
        clock.set_ahead(5.0)
        clock.set_ahead(None)
        self.assertEqual(clock.seconds(), NOW + 5)


class NodeTests(OnDisk):
    def number(self, store: MailStore) -> int:
        return store._node.ids.lease.number

    def die(self, store: MailStore) -> None:
        """Nothing is given back, and the heart beats no more."""
        timer, store._node._timer = store._node._timer, None
        assert timer is not None
        timer.cancel()

    def test_processes_have_numbers_of_their_own(self) -> None:
        self.assertEqual(len({self.number(store) for store in (self.store, self.open_store(), self.open_store())}), 3)

    def test_a_number_given_back_is_taken_again_and_no_id_comes_twice(self) -> None:
        made = [self.store._node.ids.next_id() for _ in range(5000)]
        number = self.number(self.store)
        self.close_store(self.store)
        self.clock.advance(5)
        second = self.open_store()
        self.assertEqual(self.number(second), number)
        self.assertGreater(second._node.ids.next_id(), max(made))

    def test_the_number_of_one_that_died_is_free_when_its_lease_ends(self) -> None:
        number = self.number(self.store)
        self.die(self.store)
        self.assertNotEqual(self.number(self.open_store()), number)
        self.clock.advance(LEASE_S + 1)
        self.assertEqual(self.number(self.open_store()), number)

    def test_a_living_process_keeps_its_number(self) -> None:
        for _ in range(20):
            self.clock.advance(120)
            self.result(self.store.maintenance.statistics())
            while self.store._node._timer is None:
                self.bell.run_calls(0.05)
                self.bell.advance(0)
            self.store.new_content().abort()
        self.assertNotEqual(self.number(self.open_store()), self.number(self.store))

    def test_one_that_slept_past_its_lease_goes_on_with_another_number(self) -> None:
        self.die(self.store)
        self.clock.advance(LEASE_S + 1)
        other = self.open_store()
        self.assertEqual(self.number(other), self.number(self.store))
        self.assertRaises(StoreUnavailable, self.store.new_content)
        self.store._node._start_beat()
        beating = self.store._node._beating
        assert beating is not None
        self.result(beating)
        self.assertNotEqual(self.number(other), self.number(self.store))
        self.store.new_content().abort()

    def test_a_sign_of_life_that_is_called_off_is_followed_by_the_next(self) -> None:
        self.store._node._timer.cancel()
        self.store._node._start_beat()
        beating = self.store._node._beating
        assert beating is not None
        beating.cancel()
        self.assertIsNotNone(self.store._node._timer)
