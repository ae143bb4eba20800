"""Supervision: which worker is started when, told to end, given up."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.bus.hub import DEAD_OWNERS, Hub
from pymailsuite.bus.outbox import BusUpdate, Outbox
from pymailsuite.bus.worker import WorkerBus
from pymailsuite.config.sections.workers import WorkerSettings
from pymailsuite.interfaces import IChangeBus
from pymailsuite.values import AccountId, ModSeq
from pymailsuite.wire.tally import Tally
from pymailsuite.workers.channel import boxes, news_of
from pymailsuite.workers.group import Slot, State, WorkerGroup, WorkersFailed


class FakeProcess:
    """Remembers what was asked of it."""

    def __init__(self, slot: Slot, pid: int) -> None:
        self.slot = slot
        self.pid: int | None = pid
        self.asked: list[str] = []

    def drain(self) -> None:
        self.asked.append("drain")

    def kill(self) -> None:
        self.asked.append("kill")


class GroupCase(SynchronousTestCase):
    """Three workers, whose processes the test plays."""

    settings = WorkerSettings(restart_first=1.0, restart_max=5.0, steady=60.0, start_limit=30.0, stop_limit=20.0)

    def setUp(self) -> None:
        self.clock = Clock()
        self.processes: list[FakeProcess] = []
        self.group = WorkerGroup(3, self.start, self.settings, self.clock)

    def start(self, slot: Slot) -> FakeProcess:
        self.processes.append(FakeProcess(slot, 100 + len(self.processes)))
        return self.processes[-1]

    def serve(self) -> None:
        """All are started and serve."""
        begun = self.group.begin()
        for process in self.processes:
            process.slot.serving()
        self.successResultOf(begun)

    def end(self, process: FakeProcess, how: str = "signal SIGKILL") -> None:
        process.slot.ended(how)


class BeginningTests(GroupCase):
    """Until all serve."""

    def test_it_has_begun_when_the_last_one_serves(self) -> None:
        begun = self.group.begin()
        self.assertEqual([process.slot.number for process in self.processes], [1, 2, 3])
        self.processes[0].slot.serving()
        self.processes[2].slot.serving()
        self.assertNoResult(begun)
        self.processes[1].slot.serving()
        self.successResultOf(begun)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_ends_before_is_the_end_of_it_with_its_own_reason(self) -> None:
        begun = self.group.begin()
        self.processes[1].slot.failed("store.url: no such thing")
        self.end(self.processes[1], "exit code 1")
        self.assertEqual(str(self.failureResultOf(begun, WorkersFailed).value), "store.url: no such thing")
        self.assertEqual(len(self.processes), 3)

    def test_one_that_takes_too_long_is_killed(self) -> None:
        begun = self.group.begin()
        self.processes[0].slot.serving()
        self.clock.advance(30.0)
        self.assertEqual([process.asked for process in self.processes], [[], ["kill"], ["kill"]])
        self.end(self.processes[1])
        self.failureResultOf(begun, WorkersFailed)

    def test_a_system_that_starts_no_process_is_a_failure(self) -> None:
        def refuse(slot: Slot) -> FakeProcess:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        group = WorkerGroup(3, refuse, self.settings, self.clock)
        failure = self.failureResultOf(group.begin(), WorkersFailed)
        self.assertEqual(str(failure.value), "Resource temporarily unavailable")

    def test_told_to_end_it_never_begins(self) -> None:
        begun = self.group.begin()
        drained = self.group.drain()
        self.failureResultOf(begun, WorkersFailed)
        for process in self.processes:
            self.end(process)
        self.successResultOf(drained)


class RestartTests(GroupCase):
    """Workers that die."""

    def test_one_that_lived_is_replaced_at_once(self) -> None:
        self.serve()
        self.clock.advance(60.0)
        self.end(self.processes[1])
        self.assertEqual([process.slot.number for process in self.processes], [1, 2, 3, 2])

    def test_one_that_dies_again_and_again_waits_longer_and_longer(self) -> None:
        self.serve()
        waits = []
        for _ in range(6):
            count = len(self.processes)
            self.end(self.processes[-1])
            before = self.clock.seconds()
            while len(self.processes) == count:
                self.clock.advance(0.5)
            waits.append(self.clock.seconds() - before)
        self.assertEqual(waits, [0, 1, 2, 4, 5, 5])

    def test_the_wait_is_forgotten_once_one_has_lived_for_a_while(self) -> None:
        self.serve()
        self.end(self.processes[-1])
        self.end(self.processes[-1])
        self.clock.advance(1.0)
        self.processes[-1].slot.serving()
        self.clock.advance(60.0)
        count = len(self.processes)
        self.end(self.processes[-1])
        self.assertEqual(len(self.processes), count + 1)

    def test_one_that_cannot_start_now_is_tried_again(self) -> None:
        self.serve()
        self.end(self.processes[0])
        self.processes[3].slot.failed("the database is away")
        self.end(self.processes[3], "exit code 1")
        self.clock.advance(1.0)
        self.processes[4].slot.serving()
        self.assertEqual([slot.state for slot in self.group.slots], [State.SERVING] * 3)


class DrainTests(GroupCase):
    """All are to end."""

    def test_it_waits_for_all_and_starts_none_again(self) -> None:
        self.serve()
        drained = self.group.drain()
        self.assertEqual([process.asked for process in self.processes], [["drain"]] * 3)
        for process in self.processes:
            self.assertNoResult(drained)
            self.end(process, "exit code 0")
        self.successResultOf(drained)
        self.assertEqual((len(self.processes), self.clock.getDelayedCalls()), (3, []))

    def test_one_that_does_not_end_is_killed(self) -> None:
        self.serve()
        drained = self.group.drain()
        self.end(self.processes[0])
        self.clock.advance(20.0)
        self.assertEqual(
            [process.asked for process in self.processes], [["drain"], ["drain", "kill"], ["drain", "kill"]]
        )
        self.end(self.processes[1])
        self.end(self.processes[2])
        self.successResultOf(drained)

    def test_one_that_waits_for_its_restart_stays_away(self) -> None:
        self.serve()
        self.end(self.processes[0])
        self.end(self.processes[3])
        drained = self.group.drain()
        self.clock.advance(10.0)
        self.assertEqual(len(self.processes), 4)
        self.end(self.processes[1])
        self.end(self.processes[2])
        self.successResultOf(drained)

    def test_asked_twice_both_are_told(self) -> None:
        self.serve()
        drained = [self.group.drain(), self.group.drain()]
        for process in self.processes:
            self.assertEqual(process.asked, ["drain"])
            self.end(process)
        for each in drained:
            self.successResultOf(each)


class OutboxTests(SynchronousTestCase):
    """What is sent together, and what is dropped."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[BusUpdate] = []
        self.outbox = Outbox(self.sent.append, 0.02, 3, self.clock)

    def test_one_turn_is_sent_at_its_end_with_the_last_modseq_of_each_account(self) -> None:
        self.outbox.add_changes({AccountId(1): ModSeq(5), AccountId(2): ModSeq(1)})
        self.outbox.add_changes({AccountId(1): ModSeq(6)})
        self.outbox.add_queue_due()
        self.assertEqual(self.sent, [])
        self.clock.advance(0)
        self.assertEqual(self.sent, [BusUpdate({AccountId(1): ModSeq(6), AccountId(2): ModSeq(1)}, True)])

    def test_what_follows_closely_waits_and_travels_together(self) -> None:
        for number in range(1, 5):
            self.outbox.add_changes({AccountId(1): ModSeq(number)})
            self.clock.advance(0.005)
        self.clock.advance(0.02)
        self.assertEqual([news.moved[AccountId(1)] for news in self.sent], [1, 4])

    def test_a_reader_that_does_not_read_costs_a_bounded_number_of_notices_and_no_count(self) -> None:
        self.outbox.hold()
        for number in range(10):
            self.outbox.add_changes({AccountId(number): ModSeq(1)})
            self.outbox.set_count("smtp", str(number), 1)
        self.outbox.add_message("word", b"lost")
        self.clock.advance(1)
        self.assertEqual(self.sent, [])
        self.outbox.release()
        self.clock.advance(0)
        (news,) = self.sent
        self.assertEqual((len(news.moved), len(news.counts["smtp"]), news.words), (3, 10, ()))
        self.assertEqual(self.outbox.dropped, 8)

    def test_closed_it_sends_no_more(self) -> None:
        self.outbox.add_queue_due()
        self.outbox.close()
        self.clock.advance(1)
        self.assertEqual((self.sent, self.clock.getDelayedCalls()), ([], []))


class ChannelTests(SynchronousTestCase):
    """News as boxes of AMP."""

    def test_what_is_said_is_heard_however_much_it_is(self) -> None:
        news = BusUpdate(
            {AccountId(number): ModSeq(number * 2) for number in range(10_000)},
            True,
            tuple((f"topic{number}", bytes([number % 256]) * 2048) for number in range(60)),
            {"smtp": {f"192.0.2.{number}": number for number in range(1200)}, "imap": {"": 0}},
        )
        moved: dict[AccountId, ModSeq] = {}
        words: list[tuple[str, bytes]] = []
        counts: dict[str, dict[str, int]] = {}
        woke = 0
        for box in boxes(news):
            self.assertTrue(all(len(value) < 65536 for value in box.values() if isinstance(value, bytes)))
            heard = news_of(box)
            moved |= heard.moved
            words += heard.words
            woke += heard.woke
            for tally, part in heard.counts.items():
                counts.setdefault(tally, {}).update(part)
        self.assertEqual((moved, tuple(words), counts, woke), (news.moved, news.words, news.counts, 1))


class HubTests(SynchronousTestCase):
    """What one says the others hear, and counts are added up."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = Hub()
        self.sent: list[list[BusUpdate]] = [[], [], []]
        self.outboxes = [Outbox(sent.append, 0, 100, self.clock) for sent in self.sent]
        for outbox in self.outboxes:
            self.hub.join(outbox)

    def say(self, number: int, news: BusUpdate) -> None:
        self.hub.heard(self.outboxes[number], news)
        self.clock.advance(0)

    def counts(self, number: int, tally: str, key: str) -> int:
        """What a worker was told last that the others have."""
        told = [news.counts[tally][key] for news in self.sent[number] if key in news.counts.get(tally, {})]
        return told[-1] if told else 0

    def test_the_others_hear_it_and_the_speaker_does_not(self) -> None:
        news = BusUpdate({AccountId(1): ModSeq(2)}, True, (("word", b"x"),))
        self.say(0, news)
        self.assertEqual(self.sent, [[], [news], [news]])

    def test_each_is_told_what_all_others_have(self) -> None:
        self.say(0, BusUpdate(counts={"smtp": {"": 3}}))
        self.say(1, BusUpdate(counts={"smtp": {"": 4}}))
        self.assertEqual([self.counts(number, "smtp", "") for number in range(3)], [4, 3, 7])
        self.say(0, BusUpdate(counts={"smtp": {"": 0}}))
        self.assertEqual([self.counts(number, "smtp", "") for number in range(3)], [4, 0, 4])

    def test_one_that_joins_is_told_how_things_stand(self) -> None:
        self.say(0, BusUpdate(counts={"smtp": {"": 3, "192.0.2.1": 1}}))
        late: list[BusUpdate] = []
        self.hub.join(Outbox(late.append, 0, 100, self.clock))
        self.clock.advance(0)
        self.assertEqual([news.counts for news in late], [{"smtp": {"": 3, "192.0.2.1": 1}}])

    def test_what_one_that_is_gone_counted_is_gone_and_the_others_are_told(self) -> None:
        self.say(0, BusUpdate(counts={"smtp": {"": 3}}))
        self.hub.leave(self.outboxes[0])
        self.hub.leave(self.outboxes[0])
        self.clock.advance(0)
        self.assertEqual(self.counts(1, "smtp", ""), 0)
        self.assertEqual([word for news in self.sent[1] for word in news.words], [(DEAD_OWNERS, b"")])
        self.say(0, BusUpdate(woke=True))
        self.assertFalse(any(news.woke for news in self.sent[1]))


class BusTests(SynchronousTestCase):
    """The bus of a worker."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[BusUpdate] = []
        self.bus = WorkerBus(Outbox(self.sent.append, 0, 100, self.clock))
        self.bus.startService()  # type: ignore[no-untyped-call]

    def test_it_is_one(self) -> None:
        verifyObject(IChangeBus, self.bus)

    def test_what_is_published_is_sent_while_it_runs(self) -> None:
        self.bus.publish_changes({AccountId(1): ModSeq(2)})
        self.bus.publish_queue_due()
        self.bus.publish("word", b"x")
        self.clock.advance(0)
        self.bus.stopService()  # type: ignore[no-untyped-call]
        self.bus.publish_queue_due()
        self.clock.advance(0)
        self.assertEqual(self.sent, [BusUpdate({AccountId(1): ModSeq(2)}, True, (("word", b"x"),))])

    def test_limits_count_what_the_others_have(self) -> None:
        tally = Tally()
        self.bus.share({"smtp": tally})
        tally.add("192.0.2.1")
        self.clock.advance(0)
        self.assertEqual(self.sent[-1].counts, {"smtp": {"192.0.2.1": 1}})
        self.bus.take(BusUpdate(counts={"smtp": {"192.0.2.1": 4}, "unknown": {"x": 1}}))
        self.assertEqual(tally["192.0.2.1"], 5)
        self.bus.take(BusUpdate(counts={"smtp": {"192.0.2.1": 0}}))
        tally.remove("192.0.2.1")
        self.assertEqual(tally["192.0.2.1"], 0)
