"""TOP, in any cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.pop3.top import TopCutter

_TEXT = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"a", b".", b"Subject: x\r\n"]), max_size=30).map(b"".join)


def top_of(octets, lines):
    """The same, line by line."""
    taken, in_body = [], False
    for line in _lines(octets):
        if in_body:
            if lines == 0:
                break
            lines -= 1
        taken.append(line)
        in_body = in_body or line in (b"\n", b"\r\n")
    return b"".join(taken)


def _lines(octets):
    parts = octets.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


class TopCutterTests(SynchronousTestCase):
    @given(_TEXT, st.integers(0, 6), st.lists(st.integers(0, 40), max_size=6))
    def test_cut_anywhere_it_is_the_same_as_line_by_line(self, octets, lines, cuts):
        cutter = TopCutter(lines)
        places = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
        pieces = [octets[begin:end] for begin, end in pairwise(places)]
        self.assertEqual(b"".join(map(cutter.cut, pieces)), top_of(octets, lines))

    @given(_TEXT, st.integers(0, 6))
    def test_octet_by_octet_it_is_the_same_too(self, octets, lines):
        cutter = TopCutter(lines)
        self.assertEqual(b"".join(cutter.cut(bytes([octet])) for octet in octets), top_of(octets, lines))

    def test_tells_when_no_more_is_needed(self):
        cutter = TopCutter(1)
        cutter.cut(b"a: b\r\n\r\nfirst")
        self.assertFalse(cutter.complete)
        self.assertEqual(cutter.cut(b" line\r\nsecond"), b" line\r\n")
        self.assertTrue(cutter.complete)
        self.assertEqual(cutter.cut(b"third"), b"")
