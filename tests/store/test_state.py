"""Octets and counts that expire, on every engine."""

from __future__ import annotations

import hashlib

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import LimitReached
from pymailsuite.interfaces import Count, IExpiringState, IStateStore, StateKey
from pymailsuite.store import inline_store
from pymailsuite.store.migrate import migrate_txn
from pymailsuite.store.state import add_txn, delete_txn, put_if_absent_txn, put_txn, values_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import Address
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase
from tests.support import stores

ADDRESS, LOGIN = StateKey("login.address", "192.0.2.1"), StateKey("login.name", "ann@example.org")


class CountsContract(StoreTestCase):
    def test_what_was_never_counted_is_not_there(self) -> None:
        self.assertEqual(self.result(self.store.state.counted([ADDRESS])), {})
        self.assertEqual(self.result(self.store.state.counted([])), {})

    def test_counts_add_up_within_their_window(self) -> None:
        counts = self.store.state
        self.assertEqual(
            self.result(counts.add([ADDRESS, LOGIN], 60)), dict.fromkeys([ADDRESS, LOGIN], Count(1, NOW + 60))
        )
        self.clock.advance(30)
        self.assertEqual(self.result(counts.add([LOGIN], 60, 5)), {LOGIN: Count(6, NOW + 60)})
        self.assertEqual(
            self.result(counts.counted([ADDRESS, LOGIN])), {ADDRESS: Count(1, NOW + 60), LOGIN: Count(6, NOW + 60)}
        )

    def test_a_window_that_ended_counts_no_more(self) -> None:
        counts = self.store.state
        self.result(counts.add([ADDRESS], 60, 7))
        self.clock.advance(60)
        self.assertEqual(self.result(counts.counted([ADDRESS])), {})
        self.assertEqual(self.result(counts.add([ADDRESS], 60)), {ADDRESS: Count(1, NOW + 120)})

    def test_what_is_forgotten_begins_at_nothing(self) -> None:
        counts = self.store.state
        self.result(counts.add([ADDRESS, LOGIN], 60))
        self.result(counts.delete([ADDRESS]))
        self.assertEqual(list(self.result(counts.counted([ADDRESS, LOGIN]))), [LOGIN])

    def test_names_of_any_length_and_kind_are_told_apart(self) -> None:
        counts = self.store.state
        names = ["x" * 5000, "x" * 5001, "a\0b", "a\0c", "\udcff", ""]
        for name in names:
            made = self.result(counts.add([StateKey("k", name)], 60))
            self.assertEqual(made[StateKey("k", name)].total, 1)

    def test_those_who_count_together_are_all_counted(self) -> None:
        asked = [self.store.state.add([ADDRESS], 60) for _ in range(20)]
        self.assertEqual([self.result(one)[ADDRESS].total for one in asked], list(range(1, 21)))
        self.assertEqual(self.result(self.store.state.counted([ADDRESS]))[ADDRESS].total, 20)

    def test_what_is_taken_back_is_not_below_nothing_and_begins_no_window(self) -> None:
        counts = self.store.state
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
        self.result(self.store.state.add([ADDRESS], 60))
        self.result(self.store.state.add([LOGIN], 600))
        self.clock.advance(61)
        self.assertEqual(self.result(self.store.maintenance.sweep(self.clock.seconds()))["state"], 1)
        self.assertEqual(list(self.result(self.store.state.counted([ADDRESS, LOGIN]))), [LOGIN])


class OctetsContract(StoreTestCase):
    settings = StoreSection(state_value=64, state_keys=3)

    def test_the_interfaces_are_fulfilled(self) -> None:
        verifyObject(IStateStore, self.store.state)
        verifyObject(IExpiringState, self.store.state.namespace("policy:night"))

    def test_octets_are_there_until_their_time_is_over_and_not_a_moment_longer(self) -> None:
        state = self.store.state
        self.assertIsNone(self.result(state.get(LOGIN)))
        self.result(state.put(LOGIN, b"\0\xff", 60))
        self.clock.advance(59)
        self.assertEqual(self.result(state.get(LOGIN)), b"\0\xff")
        self.clock.advance(1)
        self.assertIsNone(self.result(state.get(LOGIN)))

    def test_what_is_put_takes_the_place_of_what_was_there(self) -> None:
        state = self.store.state
        for value, keep_s in ((b"1", 60), (b"", 10)):
            self.result(state.put(LOGIN, value, keep_s))
            self.assertEqual(self.result(state.get(LOGIN)), value)
        self.clock.advance(10)
        self.assertIsNone(self.result(state.get(LOGIN)))

    def test_those_who_put_together_end_with_what_was_put_last(self) -> None:
        state = self.store.state
        asked = [state.put(LOGIN, str(number).encode(), 60) for number in range(20)]
        for one in asked:
            self.result(one)
        self.assertEqual(self.result(state.get(LOGIN)), b"19")

    def test_many_are_looked_up_at_once(self) -> None:
        state = self.store.state
        keys = [StateKey("k", f"{number} {'x' * 300}") for number in range(250)]
        for number, key in enumerate(keys[::2]):
            self.result(state.put(key, str(number).encode(), 60))
        found = self.result(state.get_many([*keys, LOGIN]))
        self.assertEqual(found, {key: str(number).encode() for number, key in enumerate(keys[::2])})
        self.assertEqual(self.result(state.get_many([])), {})

    def test_it_is_put_if_absent_once_until_it_expires(self) -> None:
        state = self.store.state
        self.assertTrue(self.result(state.put_if_absent(LOGIN, b"first", 60)))
        self.assertFalse(self.result(state.put_if_absent(LOGIN, b"second", 60)))
        self.assertEqual(self.result(state.get(LOGIN)), b"first")
        self.clock.advance(60)
        self.assertTrue(self.result(state.put_if_absent(LOGIN, b"third", 60)))

    def test_a_key_has_octets_or_a_count(self) -> None:
        state = self.store.state
        self.result(state.put(LOGIN, b"octets", 600))
        self.assertEqual(self.result(state.counted([LOGIN])), {})
        self.assertEqual(self.result(state.add([LOGIN], 60)), {LOGIN: Count(1, NOW + 60)})
        self.assertIsNone(self.result(state.get(LOGIN)))
        self.assertFalse(self.result(state.put_if_absent(LOGIN, b"octets", 60)))
        self.result(state.put(LOGIN, b"octets", 60))
        self.assertEqual(self.result(state.add([LOGIN], 60))[LOGIN].total, 1)

    def test_what_is_deleted_is_gone(self) -> None:
        state = self.store.state
        self.result(state.put(LOGIN, b"octets", 60))
        self.result(state.delete([LOGIN, ADDRESS]))
        self.assertIsNone(self.result(state.get(LOGIN)))

    def test_too_many_octets_are_refused_and_change_nothing(self) -> None:
        state = self.store.state
        self.result(state.put(LOGIN, b"x" * 64, 60))
        self.failure(state.put(LOGIN, b"y" * 65, 60), LimitReached)
        self.failure(state.put_if_absent(ADDRESS, b"y" * 65, 60), LimitReached)
        self.assertEqual(self.result(state.get(LOGIN)), b"x" * 64)

    def test_namespaces_do_not_see_each_other(self) -> None:
        night, day = map(self.store.state.namespace, ("policy:night", "policy:day"))
        self.result(night.put("a", b"night", 60))
        self.assertEqual(self.result(night.add("n", 60)), 1)
        self.assertEqual(self.result(night.add("n", 60, 2)), 3)
        self.assertTrue(self.result(day.put_if_absent("a", b"day", 60)))
        self.assertEqual(self.result(night.get("a")), b"night")
        self.assertEqual(self.result(day.get_many(["a", "n"])), {"a": b"day"})
        self.assertEqual([self.result(one.total("n")) for one in (night, day)], [3, 0])
        self.result(night.delete("a", "n"))
        self.assertEqual([self.result(night.get("a")), self.result(night.total("n"))], [None, 0])
        self.assertEqual(self.result(day.get("a")), b"day")

    def test_of_a_plugin_with_too_many_names_those_go_first_that_expire_first(self) -> None:
        night = self.store.state.namespace("policy:night")
        for number in range(5):
            self.result(night.put(str(number), b"", 100 - number))
            self.result(self.store.state.add([StateKey("login.name", str(number))], 60))
        self.assertEqual(self.result(self.store.maintenance.sweep(self.clock.seconds()))["state_surplus"], 2)
        self.assertEqual(sorted(self.result(night.get_many(map(str, range(5))))), ["0", "1", "2"])
        counted = self.result(self.store.state.counted([StateKey("login.name", str(n)) for n in range(5)]))
        self.assertEqual(len(counted), 5)

    def test_more_than_one_piece_is_swept(self) -> None:
        state = self.store.state
        rows = [("policy:night", str(number), b"", NOW + number % 2 * 100) for number in range(1200)]
        self.result(self.store.database.run("put", lambda txn: put_txn(txn, rows)))
        self.result(state.put(LOGIN, b"", 1000))
        dropped = self.result(self.store.maintenance.sweep(NOW + 50))
        self.assertEqual((dropped["state"], dropped["state_surplus"]), (600, 597))
        self.assertEqual(self.result(state.get(LOGIN)), b"")

    def test_functions_work_inside_another_transaction_and_are_undone_with_it(self) -> None:
        key = "login.name", "ann"

        def change_txn(txn: Transaction) -> None:
            self.assertTrue(put_if_absent_txn(txn, (*key, b"1", NOW + 60), NOW))
            self.assertEqual(values_txn(txn, [key], NOW), {key: b"1"})
            delete_txn(txn, [key])
            self.assertEqual(add_txn(txn, key, 2, NOW, NOW + 60), Count(2, NOW + 60))
            raise LimitReached

        self.failure(self.store.database.run("change", change_txn), LimitReached)
        self.assertEqual(self.result(self.store.state.counted([StateKey(*key)])), {})


class OctetsInMemoryTests(OctetsContract, InMemory):
    settings = OctetsContract.settings


class OctetsOnDiskTests(OctetsContract, OnDisk):
    settings = OctetsContract.settings


class TwoNodesTests(OnDisk):
    """Another node on the same database, played by a second store."""

    def test_what_two_nodes_add_at_once_is_all_counted(self) -> None:
        nodes = [self.store, self.open_store()]
        keys = [StateKey("k", name) for name in "abc"]
        asked = []
        for number in range(40):
            # In turns and in either order, so that each node wants rows that the other has.
            asked.append(nodes[number % 2].state.add(keys[:: 1 if number % 4 < 2 else -1], 60))
            self.bell.advance(0)
        totals = sorted(self.result(one)[keys[0]].total for one in asked)
        self.assertEqual(totals, list(range(1, 41)))
        for node in nodes:
            self.assertEqual({count.total for count in self.result(node.state.counted(keys)).values()}, {40})

    def test_of_two_nodes_that_put_if_absent_one_does(self) -> None:
        nodes = [self.store, self.open_store()]
        for number in range(10):
            key = StateKey("k", str(number))
            asked = [node.state.put_if_absent(key, str(n).encode(), 60) for n, node in enumerate(nodes)]
            self.bell.advance(0)
            was_absent = [self.result(one) for one in asked]
            self.assertEqual(sorted(was_absent), [False, True])
            self.assertEqual(self.result(nodes[0].state.get(key)), str(was_absent.index(True)).encode())


class OlderStoreTests(SynchronousTestCase):
    def test_what_had_tables_of_its_own_is_there_afterwards(self) -> None:
        clock = Clock()
        clock.advance(NOW)
        url = "sqlite://" if stores.schemas is None else stores.schemas.make_bare()
        store = inline_store(StoreSection(), clock, url=url)
        later = 2e9  # a database goes by its own clock
        local_part = 's@m "\u00fc'

        def before_txn(txn: Transaction) -> None:
            migrate_txn(txn, store.database.engine, NOW, upto=19)
            txn.execute("INSERT INTO shared_counts VALUES (?, ?, 5, ?)", (LOGIN.namespace, LOGIN.name, later))
            txn.execute("INSERT INTO kept_paths VALUES ('token', ?, 'peer.example', ?)", (local_part, later))
            pair = hashlib.blake2b(b"ann@x.example\0bob@y.example", digest_size=16).digest()
            txn.execute("INSERT INTO correspondents VALUES (?, ?)", (pair, later))

        result = self.successResultOf
        result(store.database.open(before_txn))
        result(store.open())
        self.addCleanup(store.close)
        self.assertEqual(result(store.state.counted([LOGIN])), {LOGIN: Count(5, later)})
        self.assertEqual(result(store.kept_paths.kept("token", NOW)), Address(local_part, "peer.example"))
        pairs = [("ann@x.example", "bob@y.example"), ("bob@y.example", "ann@x.example")]
        self.assertEqual(result(store.correspondents.knows(pairs)), {pairs[0]})
        self.assertEqual(result(store.maintenance.sweep(later))["state"], 3)


class CountsInMemoryTests(CountsContract, InMemory):
    pass


class CountsOnDiskTests(CountsContract, OnDisk):
    pass


del CountsContract
del OctetsContract
