"""The bus on a store's channel: what one process publishes, the others hear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pymailsuite.bus.database import DatabaseBus
from pymailsuite.interfaces import MAX_PAYLOAD, IChangeBus
from pymailsuite.interfaces.channel import MAX_TEXT, IStoreChannel
from pymailsuite.values import AccountId, ModSeq


@implementer(IStoreChannel)
class Wire:
    """Carries texts to one other process, in this one."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.peer: Wire | None = None
        self.heard: Callable[[Sequence[str]], None] | None = None
        self.missed: Callable[[], None] | None = None

    def start(self, heard: Callable[[Sequence[str]], None], missed: Callable[[], None]) -> None:
        self.heard, self.missed = heard, missed

    def send(self, texts: Sequence[str]) -> None:
        self.sent += texts
        if self.peer is not None and self.peer.heard is not None:
            self.peer.heard(texts)

    def stop(self) -> Deferred[None]:
        return succeed(None)


class StoreBusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wires = (Wire(), Wire())
        self.wires[0].peer = self.wires[1]
        self.missed = 0
        self.here, self.there = (DatabaseBus(wire, 0.0, self.clock, self.miss) for wire in self.wires)
        self.here.startService()
        self.there.startService()
        self.moved: list[Mapping[AccountId, ModSeq]] = []
        self.woken = 0
        self.there.on_changes(self.moved.append)
        self.there.on_queue_due(self.wake)

    def miss(self) -> None:
        self.missed += 1

    def wake(self) -> None:
        self.woken += 1

    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(IChangeBus, self.here)

    def test_what_is_published_in_one_turn_travels_together(self) -> None:
        self.here.publish_changes({AccountId(7): ModSeq(1), AccountId(8): ModSeq(5)})
        self.here.publish_changes({AccountId(7): ModSeq(2)})
        self.here.publish_queue_due()
        self.here.publish_queue_due()
        self.clock.advance(0)
        self.assertEqual(len(self.wires[0].sent), 1)
        self.assertEqual(self.moved, [{7: 2, 8: 5}])
        self.assertEqual(self.woken, 1)

    def test_topics_carry_octets(self) -> None:
        heard: list[bytes] = []
        self.there.subscribe("word", heard.append)
        payloads = [b"", b"\0\xff \r\n", b"x" * MAX_PAYLOAD]
        for payload in payloads:
            self.here.publish("word", payload)
            self.here.publish("unheard", payload)
        self.clock.advance(0)
        self.assertEqual(heard, payloads)
        with self.assertRaises(ValueError):
            self.here.publish("word", b"x" * (MAX_PAYLOAD + 1))

    def test_much_goes_in_several_texts(self) -> None:
        moved = {AccountId(number): ModSeq(10**9 + number) for number in range(5000)}
        self.here.publish_changes(moved)
        self.clock.advance(0)
        self.assertGreater(len(self.wires[0].sent), 1)
        self.assertLessEqual(max(map(len, self.wires[0].sent)), MAX_TEXT)
        self.assertEqual({key: value for part in self.moved for key, value in part.items()}, moved)

    def test_words_of_a_later_release_are_passed_over(self) -> None:
        assert self.wires[1].heard is not None
        self.wires[1].heard(["x1 mseven:2 tword:??? w", ""])
        self.assertEqual((self.moved, self.woken), ([], 1))

    def test_after_a_gap_everybody_looks(self) -> None:
        assert self.wires[1].missed is not None
        self.wires[1].missed()
        self.assertEqual((self.missed, self.woken), (1, 1))

    def test_what_was_published_before_the_stop_is_sent_and_nothing_after_it(self) -> None:
        self.here.publish_queue_due()
        self.successResultOf(self.here.stopService())
        self.here.publish_queue_due()
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
