"""The structure scan: the same result for any cut, and part offsets that lose nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.message import MessageSettings
from pymailsuite.message.fields import compact, first_fields
from pymailsuite.message.limits import ScanLimits
from pymailsuite.message.parts import Part, PartKind, decode_parts, encode_parts
from pymailsuite.message.scan import StructureScanner, scan
from pymailsuite.message.structure import MessageStructure
from tests.message.octets import messages

SMALL = ScanLimits(
    depth=3,
    parts=6,
    header_octets=80,
    total_header_octets=200,
    parameters=2,
    address_tokens=20,
    described_octets=1000,
    described_ratio=1,
)


def fed(pieces: list[bytes], limits: ScanLimits) -> MessageStructure:
    scanner = StructureScanner(limits)
    for piece in pieces:
        scanner.feed(piece)
    return scanner.finish()


def covered(part: Part) -> None:
    """Assert that offsets are ordered and parts lie inside one another without overlap."""
    assert part.header_start <= part.body_start <= part.end, part
    position = part.body_start
    for child in part.children:
        assert position <= child.header_start, (part, child)
        assert child.end <= part.end, (part, child)
        position = child.end
        covered(child)
    if part.kind is PartKind.MESSAGE:
        (message,) = part.children
        assert (message.header_start, message.end) == (part.body_start, part.end)


class CutTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(messages, st.lists(st.integers(0, 400), max_size=12), st.sampled_from((ScanLimits(), SMALL)))
    @example(b"\n", [], ScanLimits())
    @example(b"\r\n", [1], ScanLimits())
    @example(b"", [], ScanLimits())
    def test_the_result_does_not_depend_on_the_cut(self, octets: bytes, cuts: list[int], limits: ScanLimits) -> None:
        whole = scan(octets, limits)
        edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
        pieces = [octets[start:stop] for start, stop in pairwise(edges)]
        self.assertEqual(whole, fed(pieces, limits))
        self.assertEqual(whole, fed([octets[i : i + 1] for i in range(len(octets))], limits))

    @settings(max_examples=200, deadline=None)
    @given(messages, st.sampled_from((ScanLimits(), SMALL)))
    def test_parts_lie_inside_one_another_and_cover_the_message(self, octets: bytes, limits: ScanLimits) -> None:
        structure = scan(octets, limits)
        table = decode_parts(structure.parts)
        covered(table.root)
        self.assertEqual((0, len(octets)), table.section(()))
        self.assertEqual((0, structure.header_size), table.section((), "HEADER"))
        self.assertEqual((structure.header_size, len(octets)), table.section((), "TEXT"))
        self.assertEqual(structure.parts, encode_parts(table))


HEADERS = st.lists(
    st.sampled_from(
        [
            b"Subject",
            b"To",
            b"to",
            b"X-Other",
            b"Su",
            b"bject",
            b"Content-Type",
            b":",
            b" ",
            b"\t",
            b"\r\n",
            b"\n",
            b"\n ",
        ]
        + [b"a@b", b",", b'"', b"x" * 9, b"x" * 40, b"\r", b"Subject: s\r\n", b"To: a@b, c@d\r\n", b"Cc : e@f\n"]
    ),
    max_size=40,
).map(b"".join)


class CompactTests(SynchronousTestCase):
    @settings(max_examples=600, deadline=None)
    @given(HEADERS, HEADERS, HEADERS, st.sampled_from((1, 10, 25, 1000)))
    def test_nothing_that_is_shown_is_lost(self, first: bytes, second: bytes, third: bytes, octets_max: int) -> None:
        whole = first_fields(first + second + third, octets_max)
        once = compact(first, octets_max)
        twice = compact(once + second, octets_max)
        self.assertEqual(whole, first_fields(twice + third, octets_max))

    def test_what_is_not_shown_is_not_kept(self) -> None:
        for piece in (b"X: y\n", b"Subject: s\n", b"x", b" ", b"\n ", b"To: a\n", b"Subject ", b"To: " + b"a" * 99):
            header = b""
            for _ in range(50):
                header = compact(header + piece * 100, 1000)
            self.assertLess(len(header), 4000, piece)


class LimitTests(SynchronousTestCase):
    def test_the_settings_have_the_defaults_of_the_scan(self) -> None:
        self.assertEqual(ScanLimits(), MessageSettings().scan_limits())
        self.assertEqual(80, MessageSettings(depth=80).scan_limits().depth)
