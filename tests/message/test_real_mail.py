"""The message files of CPython's own e-mail tests: every one scans, and its parts join to the original octets."""

from __future__ import annotations

import email
import email.policy
from importlib import resources
from itertools import pairwise

import pytest
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.parts import Part, PartKind, decode_parts
from pymailsuite.message.scan import StructureScanner, scan
from pymailsuite.message.search import Needle
from tests.acceptance import acceptance
from tests.message.test_envelope import assert_nested


def samples() -> list[tuple[str, bytes]]:
    """(name, octets) of each file, with LF and with CRLF line ends."""
    try:
        folder = resources.files("test.test_email.data")
    except ModuleNotFoundError:
        return []
    found = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".txt"):
            octets = file.read_bytes()
            found += [
                (file.name, octets),
                (f"{file.name} CRLF", octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")),
            ]
    return found


SAMPLES = samples()

EXPECTED_TO_DIFFER = [
    *("msg_15.txt", "msg_39.txt"),  # one boundary for two levels
    *("msg_16.txt", "msg_43.txt"),  # the library cuts message/delivery-status into messages
    *("msg_17.txt", "msg_25.txt", "msg_31.txt", "msg_41.txt", "msg_42.txt"),  # a multipart without delimiters
    "msg_36.txt",  # ... and message/external-body
    "msg_37.txt",  # two delimiters in a row: for us an empty part
]


def rejoined(octets: bytes, part: Part) -> bytes:
    """The octets of a part, put together from those of the parts inside and what stands between them."""
    pieces = [octets[part.header_start : part.body_start]]
    edges = [(part.body_start, part.body_start), *((one.header_start, one.end) for one in part.children)]
    for (_, stop), (start, _) in pairwise([*edges, (part.end, part.end)]):
        pieces.append(octets[stop:start])
        pieces += [rejoined(octets, one) for one in part.children if one.header_start == start and start != part.end]
    return b"".join(pieces)


@pytest.mark.skipif(not SAMPLES, reason="this Python comes without its test data")
class RealMailTests(SynchronousTestCase):
    @acceptance("S053", "S112")
    def test_parts_join_to_the_original_octets(self) -> None:
        for name, octets in SAMPLES:
            root = decode_parts(scan(octets).parts).root
            self.assertEqual(octets, rejoined(octets, root), name)

    def test_wire_forms_are_well_formed(self) -> None:
        for _, octets in SAMPLES:
            structure = scan(octets)
            for wire in (structure.envelope, structure.body, structure.bodystructure):
                assert_nested(wire)

    def test_any_cut_gives_the_same(self) -> None:
        for name, octets in SAMPLES:
            for step in (1, 7, 4096):
                scanner = StructureScanner()
                for start in range(0, len(octets), step):
                    scanner.feed(octets[start : start + step])
                self.assertEqual(scan(octets), scanner.finish(), name)

    def test_leaves_are_those_the_standard_library_finds(self) -> None:
        # Where a file is broken on purpose, or nests message parts that are no messages, the library guesses otherwise.
        differing = []
        for name, octets in SAMPLES:
            ours = [
                part.content_type for part in decode_parts(scan(octets).parts).root.walk() if part.kind is PartKind.LEAF
            ]
            message = email.message_from_bytes(octets, policy=email.policy.compat32)
            theirs = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
            if ours != theirs:
                differing.append(name.removesuffix(" CRLF"))
        self.assertEqual(sorted(EXPECTED_TO_DIFFER), sorted(set(differing)))

    def test_all_can_be_searched(self) -> None:
        for _, octets in SAMPLES:
            self.assertFalse(Needle("no such words anywhere").found_in_text(octets, decode_parts(scan(octets).parts)))
