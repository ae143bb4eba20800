"""Octets to events, in every cut."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap.receiver import (
    CommandReceived,
    ContinuationNeeded,
    Event,
    ImapReceiver,
    Limits,
    LineReceived,
    LineRefused,
    LiteralOffered,
    LiteralRefused,
    MessageEnded,
    MessageOctets,
)
from tests.acceptance import acceptance
from tests.support.imap import VOCABULARY
from tests.support.transcripts import octet_by_octet, whole

LIMITS = Limits(line=100, literals=20, skipped=50)


def events(octets: bytes, cut: Callable[[bytes], object] = whole, *, accept: bool = True) -> list[Event]:
    """All events of a stream; messages are accepted, and their octets joined."""
    receiver = ImapReceiver(LIMITS, VOCABULARY.has_messages)
    found: list[Event] = []
    for piece in cut(octets):  # type: ignore[attr-defined]
        receiver.receive(piece)
        while (event := receiver.next_event()) is not None:
            if isinstance(event, MessageOctets) and found and isinstance(found[-1], MessageOctets):
                found[-1] = MessageOctets(found[-1].octets + event.octets)
                continue
            found.append(event)
            if isinstance(event, LiteralOffered):
                if event.pieces == (b"a append ",):
                    receiver.collect_literal()
                elif accept:
                    receiver.accept_message()
                else:
                    receiver.refuse_literal()
    return found


CASES: list[tuple[str, bytes, list[Event]]] = [
    ("a line", b"a NOOP\r\n", [CommandReceived((b"a NOOP",))]),
    ("two lines", b"a NOOP\r\nb NOOP\r\n", [CommandReceived((b"a NOOP",)), CommandReceived((b"b NOOP",))]),
    ("half a line", b"a NOOP\r", []),
    ("an empty line", b"\r\n", [CommandReceived((b"",))]),
    (
        "literals",
        b"a LOGIN {3}\r\nann {2}\r\n\r\n\r\n",
        [ContinuationNeeded(), ContinuationNeeded(), CommandReceived((b"a LOGIN ", b"ann", b" ", b"\r\n", b""))],
    ),
    (
        "literals that do not wait",
        b"a LOGIN {3+}\r\nann {0+}\r\n\r\n",
        [CommandReceived((b"a LOGIN ", b"ann", b" ", b"", b""))],
    ),
    ("no literal", b'a LOGIN "{3}"\r\n', [CommandReceived((b'a LOGIN "{3}"',))]),
    ("braces that are no literal", b"a X {3} y\r\n", [CommandReceived((b"a X {3} y",))]),
    (
        "a message",
        b"a APPEND x (\\Seen) {5+}\r\nhello\r\nb NOOP\r\n",
        [
            LiteralOffered((b"a APPEND x (\\Seen) ",), 5, False),
            MessageOctets(b"hello"),
            MessageEnded((b"",)),
            CommandReceived((b"b NOOP",)),
        ],
    ),
    (
        "a message for a mailbox that is a literal",
        b"a append {1+}\r\nx {5}\r\nhello\r\n",
        [
            LiteralOffered((b"a append ",), 1, False),
            LiteralOffered((b"a append ", b"x", b" "), 5, True),
            MessageOctets(b"hello"),
            MessageEnded((b"",)),
        ],
    ),
    (
        "two messages",
        b"a APPEND x {2+}\r\nab (\\Seen) {3+}\r\ncde\r\n",
        [
            LiteralOffered((b"a APPEND x ",), 2, False),
            MessageOctets(b"ab"),
            LiteralOffered((b" (\\Seen) ",), 3, False, True),
            MessageOctets(b"cde"),
            MessageEnded((b"",)),
        ],
    ),
    (
        "rubbish behind a message",
        b"a APPEND x {2+}\r\nab cd\r\n",
        [LiteralOffered((b"a APPEND x ",), 2, False), MessageOctets(b"ab"), MessageEnded((b" cd",))],
    ),
    ("a long line", b"a %b\r\nb NOOP\r\n" % (b"x" * 200), [LineRefused(()), CommandReceived((b"b NOOP",))]),
    (
        "lines that are too long together",
        b"a %b {1}\r\nx%b\r\nb NOOP\r\n" % (b"x" * 60, b"y" * 60),
        [ContinuationNeeded(), LineRefused((b"a " + b"x" * 60 + b" ", b"x")), CommandReceived((b"b NOOP",))],
    ),
    (
        "a literal that is too big",
        b"a X {21}\r\nb NOOP\r\n",
        [LiteralRefused((b"a X ",)), CommandReceived((b"b NOOP",))],
    ),
    (
        "literals that are too big together",
        b"a X {15+}\r\n%b {6+}\r\n123456\r\nb NOOP\r\n" % (b"x" * 15),
        [LiteralRefused((b"a X ", b"x" * 15, b" ")), CommandReceived((b"b NOOP",))],
    ),
    (
        "a literal that is thrown away, with those behind it",
        b"a X {25+}\r\n%b {3+}\r\nabc {4}\r\nb NOOP\r\n" % (b"x" * 25),
        [LiteralRefused((b"a X ",)), CommandReceived((b"b NOOP",))],
    ),
    ("a literal too big to be thrown away", b"a X {51+}\r\n", [LiteralRefused((b"a X ",), skipped=False)]),
]


class Cuts(SynchronousTestCase):
    """The same events, however the octets come."""

    def test_whole(self) -> None:
        for name, octets, expected in CASES:
            self.assertEqual(events(octets), expected, name)

    def test_octet_by_octet(self) -> None:
        for name, octets, expected in CASES:
            self.assertEqual(events(octets, octet_by_octet), expected, name)

    @given(st.lists(st.sampled_from(range(len(CASES))), max_size=4), st.data())
    def test_any_cut(self, chosen: list[int], data: st.DataObject) -> None:
        octets = b"".join(CASES[number][1] for number in chosen)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=6)))
        bounds = [0, *cuts, len(octets)]
        pieces = [octets[low:high] for low, high in pairwise(bounds)]
        self.assertEqual(events(octets, lambda _: pieces), events(octets))


class Receiver(SynchronousTestCase):
    """What the session asks of it."""

    def test_a_refused_message_that_waits_is_not_skipped(self) -> None:
        self.assertEqual(
            events(b"a APPEND x {5}\r\nb NOOP\r\n", accept=False),
            [LiteralOffered((b"a APPEND x ",), 5, True), CommandReceived((b"b NOOP",))],
        )

    def test_a_refused_message_that_comes_unasked_is_skipped(self) -> None:
        self.assertEqual(
            events(b"a APPEND x {5+}\r\nhello\r\nb NOOP\r\n", octet_by_octet, accept=False),
            [LiteralOffered((b"a APPEND x ",), 5, False), CommandReceived((b"b NOOP",))],
        )

    def test_nothing_is_read_before_an_offer_is_answered(self) -> None:
        receiver = ImapReceiver(LIMITS, VOCABULARY.has_messages)
        receiver.receive(b"a APPEND x {5+}\r\nhello\r\n")
        self.assertIsInstance(receiver.next_event(), LiteralOffered)
        self.assertIsNone(receiver.next_event())
        receiver.accept_message()
        self.assertEqual(receiver.next_event(), MessageOctets(b"hello"))

    @acceptance("S208")
    def test_thousands_of_empty_literals_are_one_command(self) -> None:
        receiver = ImapReceiver(Limits(line=65536, literals=20, skipped=50_000), VOCABULARY.has_messages)
        receiver.receive(b"a LOGIN" + b" {0+}\r\n" * 9000 + b"\r\n")
        event = receiver.next_event()
        assert isinstance(event, CommandReceived)
        self.assertEqual(len(event.pieces), 18_001)
        receiver.receive(b"a LOGIN {21+}\r\n" + b"x" * 21 + b" {1+}\r\nx" * 9000 + b"\r\nb NOOP\r\n")
        self.assertEqual(receiver.next_event(), LiteralRefused((b"a LOGIN ",)))
        self.assertEqual(receiver.next_event(), CommandReceived((b"b NOOP",)))

    def test_an_expected_line_is_no_command(self) -> None:
        receiver = ImapReceiver(LIMITS, VOCABULARY.has_messages)
        receiver.expect_line()
        receiver.receive(b"abc {3}\r\na NOOP\r\n")
        self.assertEqual(receiver.next_event(), LineReceived(b"abc {3}"))
        self.assertEqual(receiver.next_event(), CommandReceived((b"a NOOP",)))

    def test_unread_octets_can_be_dropped(self) -> None:
        receiver = ImapReceiver(LIMITS, VOCABULARY.has_messages)
        receiver.receive(b"a STARTTLS\r\nb NOOP\r\nc N")
        receiver.next_event()
        self.assertEqual(receiver.drop_unread(), 11)
        self.assertIsNone(receiver.next_event())

    @acceptance("S208")
    def test_a_message_passes_through_without_being_held(self) -> None:
        receiver = ImapReceiver(LIMITS, VOCABULARY.has_messages)
        receiver.receive(b"a APPEND x {1000000+}\r\n")
        receiver.next_event()
        receiver.accept_message()
        for _ in range(100):
            receiver.receive(b"x" * 10_000)
            self.assertEqual(receiver.next_event(), MessageOctets(b"x" * 10_000))
            self.assertEqual(receiver.unread, 0)

    @acceptance("S208")
    def test_a_line_without_end_is_not_held(self) -> None:
        receiver = ImapReceiver(LIMITS, VOCABULARY.has_messages)
        for _ in range(100):
            receiver.receive(b"x" * 10_000)
            while receiver.next_event() is not None:
                pass
            self.assertLess(receiver.unread, 2)
