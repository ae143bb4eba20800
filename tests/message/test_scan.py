"""The structure scan: the same result for any cut, and part offsets that lose nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.message import MessageSettings
from pymailsuite.message.limits import ScanLimits
from pymailsuite.message.parts import Part, PartKind, decode_parts, encode_parts
from pymailsuite.message.scan import StructureScanner, scan
from pymailsuite.message.structure import MessageStructure
from tests.message.octets import messages

SMALL = ScanLimits(depth=3, parts=6, header_octets=80, total_header_octets=200, parameters=2)


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


class LimitTests(SynchronousTestCase):
    def test_the_settings_have_the_defaults_of_the_scan(self) -> None:
        self.assertEqual(ScanLimits(), MessageSettings().scan_limits())
        self.assertEqual(80, MessageSettings(depth=80).scan_limits().depth)
