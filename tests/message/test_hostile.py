"""Input made to hurt: time grows with the octets and no faster, memory stays bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

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
from tests.acceptance import acceptance
from tests.support.linear import assert_linear

UNLIMITED = ScanLimits(depth=300, parts=10**6, header_octets=10**8, total_header_octets=10**8, parameters=10**6)
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
        root = decode_parts(scan(MULTIPART + b"--x\n\na\n" * 50_000).parts).root
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

    def test_limits_bound_what_is_described(self) -> None:
        header = b"Content-Description: " + b"d" * 100_000 + b"\n\n"
        structure = scan(MULTIPART + (b"--x\n" + header) * 200)
        self.assertLess(len(structure.bodystructure), 4_000_000)
