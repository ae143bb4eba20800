"""Dot-stuffing: there, back, in any cut; and what does not end a text."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.wire.dot_stuffing import BareLineEnd, DotDecoder, DotEncoder, dot_stuff, has_bare_line_end
from tests.acceptance import acceptance

TOKENS = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"..", b"\0\xff", b"\r\n."]), max_size=30)


def decode(octets, cuts=(), repair=False):
    """Text, rest and whether it had bare line ends, fed in the pieces that ``cuts`` make."""
    decoder = DotDecoder(repair)
    text, at = b"", 0
    for stop in [*sorted(cuts), len(octets)]:
        if decoder.ended:
            break
        piece, rest = decoder.decode(octets[at:stop])
        text += piece
        at = stop
        if decoder.ended:
            return text, rest + octets[at:], decoder.bare_line_end
    return text, None, decoder.bare_line_end


def by_line(octets):
    """The same by the book: RFC 5321 §4.5.2, line by line."""
    lines = octets.split(b"\r\n")
    text = []
    for number, line in enumerate(lines[:-1]):
        if line == b".":
            return b"".join(text), b"\r\n".join(lines[number + 1 :])
        text.append((line[1:] if line.startswith(b".") else line) + b"\r\n")
    return None


class DotDecoderTests(SynchronousTestCase):
    """DotDecoder."""

    def test_the_text_may_be_empty(self):
        self.assertEqual(decode(b".\r\nQUIT\r\n"), (b"", b"QUIT\r\n", False))

    def test_leading_dots_are_removed_once(self):
        self.assertEqual(decode(b"..\r\n.a\r\n...b\r\nc.d\r\n.\r\n"), (b".\r\na\r\n..b\r\nc.d\r\n", b"", False))

    def test_nul_and_high_octets_pass(self):
        self.assertEqual(decode(b"\0\xff\r\n.\r\n")[0], b"\0\xff\r\n")

    @acceptance("S047", "S048")
    @given(TOKENS.map(b"".join))
    def test_it_decodes_as_the_rule_says_line_by_line(self, octets):
        octets += b"\r\n.\r\nrest"
        text, rest, _ = decode(octets)
        self.assertEqual((text, rest), by_line(octets))

    @given(TOKENS.map(b"".join), st.lists(st.integers(0, 60), max_size=6))
    def test_any_cut_gives_the_same(self, octets, cuts):
        octets += b"\r\n.\r\nrest"
        whole = decode(octets)
        self.assertEqual(decode(octets, [cut for cut in cuts if cut < len(octets)]), whole)
        self.assertEqual(decode(octets, range(1, len(octets))), whole)

    @acceptance("S047")
    def test_no_other_sequence_ends_the_text(self):
        ends = [b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"\0\r\n", b"\r\n\0", b" \r\n"]
        for before, after in itertools.product(ends, ends):
            octets = b"text" + before + b"." + after + b"MAIL FROM:<x@y.example>\r\n"
            ends_here = octets.find(b"\r\n.\r\n") >= 0
            for cut in range(len(octets)):
                _, rest, bare = decode(octets, [cut])
                self.assertEqual(rest is not None, ends_here, octets)
                if not ends_here:
                    held_back = octets.replace(b"\r\n", b"")
                    self.assertEqual(bare, b"\r" in held_back or b"\n" in held_back, octets)

    @given(TOKENS.map(b"".join), st.lists(st.integers(0, 60), max_size=6))
    def test_bare_line_ends_are_seen_across_cuts(self, octets, cuts):
        octets += b"x\r\n.\r\n"
        text = octets[: octets.find(b"\r\n.\r\n") + 2] if not octets.startswith(b".\r\n") else b""
        expected = has_bare_line_end(text)
        self.assertEqual(decode(octets, [cut for cut in cuts if cut < len(octets)])[2], expected)


class RepairTests(SynchronousTestCase):
    """DotDecoder with ``repair``."""

    def test_lf_alone_and_cr_cr_lf_become_crlf(self):
        for octets, text in (
            (b"a\nb\r\r\nc\r\n.\r\n", b"a\r\nb\r\nc\r\n"),
            (b"\n\n\r\n.\r\n", b"\r\n\r\n\r\n"),
            (b"a\r\r\n.\r\n", b"a\r\n"),
            (b"a\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
            (b"a\n..b\r\n..c\r\n.\r\n", b"a\r\n..b\r\n.c\r\n"),
        ):
            self.assertEqual(decode(octets, range(1, len(octets)), repair=True), (text, b"", False), octets)

    def test_other_carriage_returns_are_bare(self):
        for line in (b"a\rb", b"a\r\r\r", b"\r\rb", b"a\n\rb"):
            self.assertTrue(decode(line + b"\r\n.\r\n", repair=True)[2], line)

    @acceptance("S047")
    @given(TOKENS.map(b"".join), st.lists(st.integers(0, 60), max_size=6))
    def test_the_end_is_where_it_is_without_repair_in_any_cut(self, octets, cuts):
        octets += b"\r\n.\r\nrest"
        text, rest, _ = decode(octets)
        repaired = re.sub(rb"\r{0,2}\n", b"\r\n", text)
        for pieces in ((), [cut for cut in cuts if cut < len(octets)], range(1, len(octets))):
            found, after, bare = decode(octets, pieces, repair=True)
            self.assertEqual((after, bare), (rest, has_bare_line_end(repaired)))
            if not bare:
                self.assertEqual(found, repaired)


class DotEncoderTests(SynchronousTestCase):
    """DotEncoder."""

    def test_the_end_brings_its_own_line_end_where_there_is_none(self):
        self.assertEqual(dot_stuff(b""), b".\r\n")
        self.assertEqual(dot_stuff(b"a"), b"a\r\n.\r\n")
        self.assertEqual(dot_stuff(b"a\r\n"), b"a\r\n.\r\n")
        self.assertEqual(dot_stuff(b".a\r\n.\r\n"), b"..a\r\n..\r\n.\r\n")

    @acceptance("S048")
    @given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b".", b"\r\n.", b"\r\n"])), max_size=20))
    def test_what_is_encoded_decodes_to_the_same_octets(self, pieces):
        encoder = DotEncoder()
        wire = b"".join([encoder.encode(piece) for piece in pieces]) + encoder.finish()
        octets = b"".join(pieces)
        text, rest, _ = decode(wire + b"rest")
        self.assertEqual(rest, b"rest")
        self.assertEqual(text, octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n")
        self.assertEqual(wire, dot_stuff(octets))

    @acceptance("S047")
    @given(TOKENS)
    def test_bare_line_ends_are_refused_in_any_cut(self, pieces):
        encoder = DotEncoder(refuse_bare=True)
        try:
            for piece in pieces:
                encoder.encode(piece)
            encoder.finish()
            refused = False
        except BareLineEnd:
            refused = True
        self.assertEqual(refused, has_bare_line_end(b"".join(pieces)))
