"""Octets into events."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import MessageTooBig, StorageFull
from pymailsuite.smtp.receiver import (
    CommandLine,
    EndOfText,
    LineRefused,
    NulRefused,
    SmtpReceiver,
    Text,
    TextLines,
    TextLineTooLong,
    TextRefused,
)
from pymailsuite.wire.dot_stuffing import BareLineEnd


def events_of(receiver):
    """All events there are."""
    events = []
    while (event := receiver.next_event()) is not None:
        events.append(event)
    return events


class SmtpReceiverTests(SynchronousTestCase):
    """SmtpReceiver."""

    def receive_text(self, octets, max_size=10**6, max_line=10**6):
        receiver = SmtpReceiver(512)
        receiver.expect_text(max_size, max_line)
        receiver.receive(octets)
        return receiver, events_of(receiver)

    def test_lines_then_text_then_lines(self):
        receiver = SmtpReceiver(512)
        receiver.receive(b"DATA\r\n..text\r\n.\r\nQUIT\r\nNO")
        self.assertEqual(receiver.next_event(), CommandLine(b"DATA"))
        receiver.expect_text(100, 100)
        self.assertEqual(events_of(receiver), [Text(b".text\r\n"), EndOfText(7, None), CommandLine(b"QUIT")])
        self.assertEqual(receiver.drop_unread(), 2)

    def test_text_comes_in_the_pieces_it_was_received_in(self):
        receiver, events = self.receive_text(b"x" * 50000)
        self.assertEqual([len(event.octets) for event in events], [50000])
        self.assertTrue(receiver.within_text)
        self.assertEqual(len(receiver), 0)

    def test_lines_that_are_too_long_are_an_event(self):
        receiver = SmtpReceiver(10)
        receiver.receive(b"12345678\r\n123456789\r\nNOOP\r\n")
        first, second, third = events_of(receiver)
        self.assertEqual((first, third), (CommandLine(b"12345678"), CommandLine(b"NOOP")))
        self.assertIsInstance(second, LineRefused)

    def test_what_is_wrong_with_a_text_is_told_once_and_again_at_its_end(self):
        for octets, error, size in (
            (b"a\nb\r\nmore\r\n.\r\n", BareLineEnd, 11),
            (b"x" * 20 + b"\r\n.\r\n", MessageTooBig, 22),
            (b"x" * 9 + b"\r\n.\r\n", TextLineTooLong, 11),
            (b"x\0y\r\n.\r\n", NulRefused, 5),
        ):
            receiver, (refused, end) = self.receive_text(octets, max_size=20, max_line=8)
            self.assertIsInstance(refused, TextRefused)
            self.assertIsInstance(refused.error, error)
            self.assertIsInstance(end.error, error)
            self.assertEqual(end.size, size)
            self.assertFalse(receiver.within_text)

    def test_nul_passes_where_it_is_allowed(self):
        receiver = SmtpReceiver(512)
        receiver.expect_text(100, 100, allow_nul=True)
        receiver.receive(b"x\0y\r\n.\r\n")
        self.assertEqual(events_of(receiver), [Text(b"x\0y\r\n"), EndOfText(5, None)])

    def test_a_text_is_discarded_on_demand(self):
        receiver = SmtpReceiver(512)
        receiver.expect_text(100, 100)
        receiver.receive(b"one\r\n")
        self.assertEqual(events_of(receiver), [Text(b"one")])
        error = StorageFull()
        receiver.discard_text(error)
        receiver.receive(b"two\r\n.\r\n")
        self.assertEqual(events_of(receiver), [EndOfText(10, error)])

    @given(
        st.lists(st.sampled_from([b"a", b"bcd", b"\r\n", b"efghij"]), max_size=30).map(b"".join),
        st.integers(1, 8),
        st.lists(st.integers(0, 100), max_size=5),
    )
    def test_line_lengths_are_right_in_any_cut(self, text, limit, cuts):
        lines = TextLines(limit)
        text += b"\r\n"
        stops = [0, *sorted(c for c in cuts if c < len(text) and text[c - 1 : c + 1] != b"\r\n"), len(text)]
        seen = any(lines.too_long(text[start:stop]) for start, stop in pairwise(stops))
        self.assertEqual(seen, any(len(line) > limit for line in text.split(b"\r\n")))
