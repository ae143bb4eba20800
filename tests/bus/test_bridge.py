"""The store's notices and the bus between processes."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.bus.bridge import ChangePoll, StoreBusBridge
from pymailsuite.bus.subscriptions import BusSubscriptions, LocalBus
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces import MAX_PAYLOAD, Delivery, IChangeBus, IChangeNotices
from pymailsuite.interfaces.queue import Acceptance
from pymailsuite.values import AccountId, ModSeq
from tests.support.stores import append, fired, make_account, make_store, stage


class RememberingBus(BusSubscriptions):
    """Remembers what was published; tests say what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[Mapping[AccountId, ModSeq]] = []
        self.woke = 0

    def publish_changes(self, moved: Mapping[AccountId, ModSeq]) -> None:
        self.moved.append(dict(moved))

    def publish_queue_due(self) -> None:
        self.woke += 1


class BusTests(SynchronousTestCase):
    """What all buses have in common."""

    def test_a_process_alone_has_a_bus_too(self) -> None:
        verifyObject(IChangeBus, LocalBus())

    def test_a_payload_is_bounded(self) -> None:
        LocalBus().publish("word", b"x" * MAX_PAYLOAD)
        with self.assertRaises(ValueError):
            LocalBus().publish("word", b"x" * (MAX_PAYLOAD + 1))

    def test_a_listener_hears_its_topic_until_it_stops(self) -> None:
        bus = BusSubscriptions()
        heard: list[bytes] = []
        stop = bus.subscribe("word", heard.append)
        bus.received("word", b"1")
        bus.received("other", b"2")
        stop()
        stop()
        bus.received("word", b"3")
        self.assertEqual(heard, [b"1"])

    def test_a_listener_that_fails_keeps_nobody_from_hearing(self) -> None:
        bus = BusSubscriptions()
        heard: list[bytes] = []
        bus.subscribe("word", lambda payload: 1 // 0)  # type: ignore[func-returns-value]
        bus.subscribe("word", heard.append)
        bus.received("word", b"1")
        self.assertEqual(heard, [b"1"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class StoreOnBusTests(SynchronousTestCase):
    """Commits go out, and what comes in reaches the subscribers."""

    def setUp(self) -> None:
        self.store = make_store()
        verifyObject(IChangeNotices, self.store.notices)
        self.account = make_account(self.store)
        self.bus = RememberingBus()
        self.joint = StoreBusBridge(self.store, self.bus)  # type: ignore[arg-type]
        self.joint.startService()

    def test_commits_of_this_process_are_published(self) -> None:
        append(self.store, self.account, "INBOX", b"Subject: 1\r\n\r\n")
        (moved,) = self.bus.moved
        self.assertEqual(list(moved), [self.account.account_id])

    def test_commits_of_others_reach_subscribers_and_are_not_published_again(self) -> None:
        heard: list[int] = []
        self.store.notices.subscribe(self.account.account_id, heard.append)
        self.bus.received_changes({self.account.account_id: ModSeq(7), AccountId(99): ModSeq(1)})
        self.assertEqual(heard, [7])
        self.assertEqual(self.bus.moved, [])

    def test_a_queue_woken_by_another_process_does_not_wake_that_one_again(self) -> None:
        woken: list[int] = []
        self.store.queue.subscribe(lambda: woken.append(1))
        self.bus.received_queue_due()
        self.assertEqual((woken, self.bus.woke), ([1], 0))
        self.store.queue.wake()
        self.assertEqual((woken, self.bus.woke), ([1, 1], 1))

    def test_mail_accepted_for_here_wakes_no_queue(self) -> None:
        content = stage(self.store, b"Subject: 1\r\n\r\n")
        fired(self.store.queue.accept(Acceptance(content, (Delivery(self.account.account_id, b""),))))
        self.assertEqual(self.bus.woke, 0)

    def test_nothing_travels_once_it_is_stopped(self) -> None:
        heard: list[int] = []
        self.store.notices.subscribe(self.account.account_id, heard.append)
        self.joint.stopService()
        append(self.store, self.account, "INBOX", b"Subject: 1\r\n\r\n")
        self.bus.received_changes({self.account.account_id: ModSeq(70)})
        self.assertEqual((self.bus.moved, 70 in heard), ([], False))


class PollTests(SynchronousTestCase):
    """What no bus told is found all the same."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = make_store(self.clock)
        self.account = make_account(self.store)
        self.poll = ChangePoll(self.store, 5.0, self.clock)
        self.poll.startService()

    def test_a_change_nobody_told_of_is_heard_within_the_interval(self) -> None:
        heard: list[int] = []
        self.store.notices.subscribe(self.account.account_id, heard.append)
        self.store.database.run("elsewhere", lambda txn: txn.execute("UPDATE account_state SET modseq = 1000"))
        self.clock.advance(4.9)
        self.assertEqual(heard, [])
        self.clock.advance(0.1)
        self.assertEqual(heard, [1000])

    def test_nobody_watching_costs_no_query(self) -> None:
        self.patch(self.store, "modseqs", lambda ids: self.fail("asked the store"))
        self.clock.advance(5.0)

    def test_it_goes_on_when_the_store_could_not_answer(self) -> None:
        heard: list[int] = []
        self.store.notices.subscribe(self.account.account_id, heard.append)
        fired(self.store.close())
        self.clock.advance(5.0)
        self.assertEqual(heard, [])
        fired(self.store.open())
        self.assertEqual(self.flushLoggedErrors(StoreUnavailable), [])
        self.clock.advance(5.0)
        self.successResultOf(self.poll.stopService())  # type: ignore[arg-type]
        self.assertEqual(self.clock.getDelayedCalls(), [])
