"""Lines out of octets: whole, cut, dripped, and too long."""

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.wire.lines import LineBuffer, LineTooLong
from tests.acceptance import acceptance

PIECES = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"word ", b"\0", b"x" * 9]), max_size=40).map(b"".join)


def drain(buffer):
    """All lines there are; LineTooLong stands for one that was too long."""
    lines = []
    while True:
        try:
            line = buffer.next_line()
        except LineTooLong:
            lines.append(LineTooLong)
            continue
        if line is None:
            return lines
        lines.append(line)


class LineBufferTests(SynchronousTestCase):
    """LineBuffer."""

    def test_lines_end_with_crlf_only(self):
        buffer = LineBuffer(100)
        buffer.receive(b"a\rb\nc\r\n\n\r\r\n")
        self.assertEqual(drain(buffer), [b"a\rb\nc", b"\n\r"])
        self.assertEqual(len(buffer), 0)

    @given(PIECES, st.integers(0, 12))
    def test_any_cut_gives_the_same_lines(self, octets, limit):
        whole, dripped = LineBuffer(limit), LineBuffer(limit)
        whole.receive(octets)
        expected = drain(whole)
        lines = []
        for at in range(len(octets)):
            dripped.receive(octets[at : at + 1])
            lines += drain(dripped)
        self.assertEqual(lines, expected)

    def test_a_line_of_the_limit_passes_and_one_more_does_not(self):
        buffer = LineBuffer(3)
        buffer.receive(b"abc\r\nabcd\r\nef\r\n")
        self.assertEqual(drain(buffer), [b"abc", LineTooLong, b"ef"])

    @acceptance("S208")
    def test_an_endless_line_takes_no_memory(self):
        buffer = LineBuffer(512)
        raised = 0
        for _ in range(64):
            buffer.receive(b"x" * 16384)
            raised += len(drain(buffer))
            self.assertLessEqual(len(buffer), 513)
        buffer.receive(b"\r\nnext\r\n")
        self.assertEqual((raised, drain(buffer)), (1, [b"next"]))

    def test_dripped_input_costs_linear_time(self):
        buffer = LineBuffer(300_000)
        began = time.process_time()
        for _ in range(200_000):
            buffer.receive(b"x")
            buffer.next_line()
        self.assertLess(time.process_time() - began, 5)

    def test_raw_octets_can_be_taken_between_lines(self):
        buffer = LineBuffer(10)
        buffer.receive(b"a\r\n12345b\r\n")
        self.assertEqual(buffer.next_line(), b"a")
        self.assertEqual(buffer.take(3), b"123")
        self.assertEqual(buffer.take(2), b"45")
        self.assertEqual(buffer.next_line(), b"b")
        self.assertEqual(buffer.take(5), b"")

    def test_octets_put_back_come_first(self):
        buffer = LineBuffer(10)
        buffer.receive(b"text|QUIT\r\nNOOP")
        taken = buffer.take(11)
        buffer.untake(taken[5:])
        self.assertEqual(drain(buffer), [b"QUIT"])
        buffer.receive(b"\r\n")
        self.assertEqual(drain(buffer), [b"NOOP"])

    @acceptance("S189")
    def test_unread_octets_are_dropped_for_tls(self):
        buffer = LineBuffer(100)
        buffer.receive(b"STARTTLS\r\nMAIL FROM:<a@b.example>\r\nRC")
        self.assertEqual(buffer.next_line(), b"STARTTLS")
        self.assertEqual(buffer.drop_unread(), 27)
        buffer.receive(b"EHLO x\r\n")
        self.assertEqual(drain(buffer), [b"EHLO x"])

    def test_pieces_pass_uncopied(self):
        buffer = LineBuffer(100)
        piece = bytes(65536)
        buffer.receive(piece)
        self.assertIs(buffer.take(len(buffer)), piece)


class BareLf(SynchronousTestCase):
    """A buffer that takes LF alone for a line end too."""

    def test_both_ends_end_a_line(self):
        buffer = LineBuffer(100, bare_lf=True)
        buffer.receive(b"a\rb\nc\r\n\n\r\n\r\r\nd\n")
        self.assertEqual(drain(buffer), [b"a\rb", b"c", b"", b"", b"\r", b"d"])

    @given(PIECES, st.integers(0, 12))
    def test_any_cut_gives_the_same_lines(self, octets, limit):
        whole, dripped = LineBuffer(limit, bare_lf=True), LineBuffer(limit, bare_lf=True)
        whole.receive(octets)
        expected = drain(whole)
        lines = []
        for at in range(len(octets)):
            dripped.receive(octets[at : at + 1])
            lines += drain(dripped)
        self.assertEqual(lines, expected)

    @given(st.integers(1, 200), st.booleans(), st.sampled_from([b"\n", b"\r\n"]))
    def test_beginning_and_end_of_a_line_that_is_too_long(self, size, bare_lf, end):
        line = b"tag " + b"x" * 300 + b" {5+}"
        octets = line + (end if bare_lf else b"\r\n") + b"next\r\n"
        buffer = LineBuffer(100, bare_lf=bare_lf)
        beginnings, tails = [], []
        for at in range(0, len(octets), size):
            buffer.receive(octets[at : at + size])
            try:
                if not beginnings:
                    self.assertIsNone(buffer.next_line())
            except LineTooLong as error:
                beginnings.append(error.beginning)
            if beginnings and not tails and (tail := buffer.end_of_skipped()) is not None:
                tails.append(tail)
        self.assertEqual(beginnings, [line[:101]])
        self.assertTrue(line.endswith(tails[0]))
        self.assertGreater(len(tails[0]), 60)
        self.assertEqual(drain(buffer), [b"next"])
