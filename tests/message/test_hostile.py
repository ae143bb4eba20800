"""Input made to hurt: time grows with the octets and no faster, memory stays bounded."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.addresses import raw_addresses
from pymailsuite.message.headers import (
    decode_text,
    field_parameters,
    fields,
    parse_addresses,
    parse_date,
    select_fields,
)
from pymailsuite.message.limits import ScanLimits
from pymailsuite.message.parts import decode_parts
from pymailsuite.message.scan import StructureScanner, scan
from pymailsuite.message.search import Needle
from pymailsuite.message.transfer import decode_transfer
from pymailsuite.values import MAX_CHUNK
from tests.acceptance import acceptance
from tests.message.test_envelope import assert_nested
from tests.support.linear import assert_linear
from tests.support.patience import at_best

UNLIMITED = ScanLimits(
    depth=300,
    parts=10**6,
    header_octets=10**8,
    total_header_octets=10**8,
    parameters=10**6,
    address_tokens=10**8,
    described_ratio=10**3,
)
MULTIPART = b"Content-Type: multipart/mixed; boundary=x\n\n"


def scan_unlimited(octets: bytes) -> object:
    return scan(octets, UNLIMITED)


class LinearTests(SynchronousTestCase):
    def test_scan(self) -> None:
        shapes: dict[str, Callable[[int], bytes]] = {
            "many fields": lambda n: b"a:\n" * n,
            "many address fields": lambda n: b"To: a@b\n" * n,
            "one long folded field": lambda n: b"Subject: x\n" + b" y\n" * n,
            "a header line without end": lambda n: b"x" * n * 10,
            "lines that are no fields": lambda n: b"nonsense\n" * n,
            "hyphens": lambda n: MULTIPART + b"\n--" * n,
            "delimiters": lambda n: MULTIPART + b"--x\n" * n,
            "delimiters with white space": lambda n: MULTIPART + (b"--x" + b" " * 200 + b"y\n") * (n // 10),
            "parts": lambda n: MULTIPART + b"--x\n\na\n" * n,
            "parts without end of header": lambda n: MULTIPART + b"--x\nA: b\n" * n,
            "almost delimiters": lambda n: MULTIPART + b"\n--xx" * n,
            "nested boundaries": lambda n: b"".join(
                b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(n // 4)
            ),
            "nested messages": lambda n: b"Content-Type: message/rfc822\n\n" * n,
            "the same boundary again": lambda n: (MULTIPART + b"--x\n") * n,
            "closed and reopened": lambda n: MULTIPART + (b"--x\n" + MULTIPART + b"--x\n\n--x--\n") * (n // 4),
            "parameters": lambda n: b"Content-Type: a/b" + b"; a=b" * n,
            "parameters without value": lambda n: b"Content-Type: a/b" + b";" * n,
            "open quotes": lambda n: b"Content-Type: a/b" + b'; a="' * n,
            "escapes": lambda n: b'Content-Type: a/b; a="' + b"\\" * n,
            "comments before a type": lambda n: b"Content-Type: " + b"()" * n + b"a/b",
            "languages": lambda n: b"Content-Language: " + b"a," * n,
            "carriage returns": lambda n: b"\r" * n + MULTIPART + b"\r" * n,
            "white space": lambda n: b"Subject:" + b" " * n + b"x\n" + b"\n " * n,
        }
        for name, make in shapes.items():
            with self.subTest(name):
                assert_linear(scan_unlimited, make)

    def test_addresses(self) -> None:
        for piece in (
            b"(",
            b"()",
            b'"',
            b"\\",
            b"<",
            b"a@",
            b"a,",
            b":;",
            b"g:a@b;",
            b"g:",
            b":",
            b"(a):",
            b"@a,",
            b"<@a,",
            b". ",
            b'"\\',
            b"a ",
        ):
            with self.subTest(piece):
                assert_linear(raw_addresses, lambda n, piece=piece: piece * n, 1_000)  # type: ignore[misc]
                assert_linear(parse_addresses, lambda n, piece=piece: b"<" + piece * n, 1_000)  # type: ignore[misc]
        assert_linear(raw_addresses, lambda n: b"<" + b" ()" * n + b"@" * n)
        assert_linear(raw_addresses, lambda n: b"<" + b" ()" * n + b"@" + b"," * n)

    def test_text_fields_and_bodies(self) -> None:
        needle = Needle("needle")
        works: list[tuple[Callable[[bytes], object], bytes]] = [
            (decode_text, b"=?utf-8?q?a?= "),
            (decode_text, b"=?"),
            (decode_text, b"=?a?q?"),
            (parse_date, b"1 Jan "),
            (parse_date, b"("),
            (field_parameters, b"; a*0=b"),
            (field_parameters, b"; a*%d=b"),
            (fields, b"a "),
            (fields, b"a:\n \n"),
            (lambda octets: select_fields(octets, [b"a", b"b"]), b"a:\n\n"),
            (lambda octets: select_fields(octets, [b"a", b"b"], negate=True), b"a \t"),
            (lambda octets: decode_transfer(octets, "base64"), b"a="),
            (lambda octets: decode_transfer(octets, "quoted-printable"), b"= \n"),
            (lambda octets: decode_transfer(octets, "uuencode"), b"begin \n!\n"),
            (lambda octets: needle.found_in_text(octets, decode_parts(scan(octets).parts)), MULTIPART + b"--x\n"),
        ]
        for work, piece in works:
            with self.subTest(piece):
                assert_linear(work, lambda n, piece=piece: piece * n)  # type: ignore[misc]


class BoundedTests(SynchronousTestCase):
    def test_a_hundred_thousand_nested_boundaries(self) -> None:
        octets = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%06d\n\n--b%06d\n" % (i, i) for i in range(100_000)
        )
        depth, part = 0, decode_parts(scan(octets).parts).root
        while part.children:
            depth, part = depth + 1, part.children[0]
        self.assertEqual(ScanLimits().depth, depth)
        self.assertEqual(len(octets), part.end)

    def test_fifty_thousand_parts(self) -> None:
        root = decode_parts(scan(MULTIPART + (b"--x\n\n" + b"a" * 60 + b"\n") * 50_000).parts).root
        self.assertEqual(ScanLimits().parts, len(list(root.walk())))

    @acceptance("S112")
    def test_a_long_message_is_never_held(self) -> None:
        scanner = StructureScanner()
        scanner.feed(MULTIPART + b"--x\nContent-Type: image/png\n\n")
        chunk = b"x" * 76 + b"\r\n"
        chunk *= 800
        tracemalloc.start()
        try:
            for _ in range(320):  # 20 MB
                scanner.feed(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 4 * len(chunk))
        self.assertIn(b'"image" "png"', scanner.finish().body)

    def test_a_header_without_end_is_not_held(self) -> None:
        scanner = StructureScanner()
        tracemalloc.start()
        try:
            for _ in range(200):
                scanner.feed(b"X-Long: " + b"y" * 60_000 + b"\n")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 2_000_000)
        self.assertEqual(200 * 60_009, scanner.finish().header_size)

    @acceptance("S112")
    def test_descriptions_take_a_small_multiple_of_the_message(self) -> None:
        """Whatever makes a long description of few octets; and what is left out is left out visibly."""
        nested = b"Content-Type: message/rfc822\n"
        shapes: dict[str, bytes] = {
            "groups without members": b"From: " + b"g:;" * 40_000,
            "bare words": b"From: " + b"a," * 60_000,
            "short addresses": b"From: " + b"a@b," * 30_000,
            "one author and all copies": b"From: " + b"anna@mail.example, " * 6_000,
            "many fields": b"To: g:;\nCc: a,\n" * 10_000,
            "nested groups": (nested + b"From: " + b"g:;" * 1_600 + b"\n\n") * 100,
            "nested short authors": (nested + b"From: a@b\n\n") * 90,
            "messages of a digest": b"Content-Type: multipart/digest; boundary=x\n\n" + b"--x\n\nFrom:g:;\n\n" * 9_000,
            "authors of a digest": b"Content-Type: multipart/digest; boundary=x\n\n" + b"--x\n\nFrom:a@b\n\n" * 9_000,
            "empty parts": MULTIPART + b"--x\n\n" * 20_000,
            "empty multiparts": MULTIPART + (b"--x\nContent-Type:multipart/a;boundary=y\n\n--y\n--y--\n") * 5_000,
            "parameters": MULTIPART + (b"--x\nContent-Type:a/b" + b";a=" * 100 + b"\n\n") * 1_000,
            "parameters in pieces": MULTIPART + (b"--x\nContent-Type:a/b" + b";a*0=" * 100 + b"\n\n") * 1_000,
            "languages": MULTIPART + (b"--x\nContent-Language:" + b"a," * 1_000 + b"\n\n") * 100,
            "quoted pairs": MULTIPART + (b"--x\nContent-ID:" + b'"' * 900 + b"\n\n") * 400,
            "descriptions": MULTIPART + (b"--x\nContent-Description: " + b"d" * 100_000 + b"\n\n") * 100,
        }
        for name, octets in shapes.items():
            with self.subTest(name):
                structure = scan(octets)
                described = len(structure.envelope) + len(structure.body) + len(structure.bodystructure)
                self.assertLess(described, 65_536 + 8 * len(octets))
                self.assertLess(len(structure.parts), 65_536 + 8 * len(octets))
                for wire in (structure.envelope, structure.body, structure.bodystructure):
                    assert_nested(wire)
        groups = scan(shapes["groups without members"]).envelope
        self.assertIn(b'(NIL NIL "g" NIL)(NIL NIL NIL NIL)(NIL NIL "..." NIL)(NIL NIL NIL NIL))', groups)
        self.assertIn(b'"application" "octet-stream"', scan(shapes["empty parts"]).body)

    def test_unusual_addresses_take_bounded_time(self) -> None:
        """All messages in one together have so many tokens; usual ones do not count."""
        nested = b"Content-Type: message/rfc822\nTo: %b\n\n"
        usual = b"Anna <anna@mail.example>, bob@mail.example (Bob), carol@mail.example"
        for unusual in (b"()" * 2_000, b"((a)) " * 700, b". " * 2_000, b'"" ' * 1_500, b"<" * 4_000):
            structure = scan(nested % usual + (nested % unusual) * 20 + nested % usual)
            self.assertIn(b"...", structure.bodystructure)
            described = structure.envelope + structure.bodystructure
            self.assertEqual(2, described.count(b'("Bob" NIL "bob" "mail.example")'))


class BigTurnTests(SynchronousTestCase):
    """The scan runs in the reactor, a chunk in a turn. A turn shall take a tenth of a second at most, on a machine that
    has nothing else to do; what these shapes once took was some seconds."""

    def test_no_chunk_takes_a_turn_for_itself(self) -> None:
        two = b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
        deep = b"".join(
            b"Content-Type: multipart/mixed; boundary=%d%b\n\n--%d%b\n" % (i, b"-" * 60, i, b"-" * 60)
            for i in range(10, 99)
        )
        shapes: dict[str, bytes] = {
            "hyphens in nested multiparts": two + b"\r\n--" * 65_000,
            "hyphens in a hundred multiparts": deep + b"\n\n" + b"\r\n--1" * 50_000,
            "hyphens in a header": two + b"--b\n" + b"--\n" * 80_000,
            "almost delimiters": deep + b"\n\n" + (b"\n--10" + b"-" * 59) * 4_000,
            "delimiters": deep + (b"--98" + b"-" * 60 + b"\n\n") * 4_000,
            "nested groups": (b"Content-Type: message/rfc822\nFrom: " + b"g:;" * 850 + b"\n\n") * 99,
            "comments": b"From: " + b"(" * 120_000 + b"\nTo: " + b"()" * 60_000,
            "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 18_000,
            "parameters": MULTIPART + (b"--x\nContent-Type:a/b" + b";a*0=" * 100 + b"\n\n") * 450,
            "fields": b"To: a\n" * 40_000,
            "empty lines of a header": MULTIPART + b"--x\nA:b\n\n" * 25_000,
        }
        for name, octets in shapes.items():
            with self.subTest(name):
                at_best(partial(cpu_seconds, octets[:MAX_CHUNK]), 0.5)


def cpu_seconds(octets: bytes) -> float:
    begin = time.process_time()
    scan(octets)
    return time.process_time() - begin
