"""What we say of a message's structure is what Dovecot says of it.

Where the standards leave a choice we may differ: Dovecot names the default charset in BODYSTRUCTURE, joins parameters
in pieces (RFC 2231), and writes MISSING_DOMAIN where an address has none; a multipart without a single delimiter is
an empty part to it, and plain text to us. Only what must agree is compared.
"""

from __future__ import annotations

import contextlib
import imaplib
import re
import unittest
from collections.abc import Iterator, Sequence

import pytest

from benchmarks.load import corpus
from pymailsuite.message.parts import Part, PartKind, PartTable, decode_parts
from pymailsuite.message.scan import scan
from tests.interop.dovecot import needs_dovecot, running_dovecot
from tests.interop.test_roundtrip import cpython_messages, crlf

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_BROKEN = {
    "msg_12.txt",  # a part that ends within its header
    "msg_17.txt",  # multiparts without their delimiters
    "msg_25.txt",
    "msg_31.txt",
    "msg_33.txt",  # boundary only in the form of RFC 2231
    "msg_38.txt",  # text behind the end of a multipart within a multipart
    "msg_41.txt",  # a multipart without boundary
    "msg_43.txt",
    "msg_47.txt",  # parts that end within their header
}
"""Messages of which no two programs need to think the same."""


def numbers(table: PartTable) -> list[tuple[int, ...]]:
    """The numbers of all parts."""
    found: list[tuple[int, ...]] = []

    def walk(prefix: tuple[int, ...], parts: Sequence[Part]) -> None:
        for number, part in enumerate(parts, 1):
            path = (*prefix, number)
            found.append(path)
            if part.kind is PartKind.MULTIPART:
                walk(path, part.children)
            elif part.kind is PartKind.MESSAGE:
                inside = part.children[0]
                walk(path, inside.children if inside.kind is PartKind.MULTIPART else (inside,))

    root = table.root
    walk((), root.children if root.kind is PartKind.MULTIPART else (root,))
    return found


def comparable(octets: bytes) -> bytes:
    """Without what is a matter of taste: case, white space, the default charset, whether there is no domain."""
    octets = re.sub(rb"\s+", b" ", octets).lower().replace(b'"missing_domain"', b'""')
    return octets.replace(b'("charset" "us-ascii")', b"nil").replace(b' "charset" "us-ascii"', b"")


@needs_dovecot
class AgreementTests(unittest.TestCase):
    """Our scan beside Dovecot's answers."""

    client: imaplib.IMAP4

    @classmethod
    def setUpClass(cls) -> None:
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        port, _ = stack.enter_context(running_dovecot("test"))
        cls.client = stack.enter_context(imaplib.IMAP4("127.0.0.1", port))
        cls.client.login("ann", "test")

    def _store(self, octets: bytes) -> str:
        self.assertEqual(self.client.append("INBOX", None, None, octets)[0], "OK")  # type: ignore[arg-type]
        newest = self.client.select("INBOX")[1][0]
        assert newest is not None
        return newest.decode()

    def _fetched(self, number: str, item: str) -> bytes:
        data = self.client.fetch(number, f"({item})")[1]
        whole = b"".join(piece[0] + b"\r\n" + piece[1] if isinstance(piece, tuple) else piece or b"" for piece in data)
        return re.sub(rb"\A\d+ \(\S+ ", b"", whole)[:-1]

    def _section(self, number: str, section: str) -> bytes:
        piece = self.client.fetch(number, f"(BODY.PEEK[{section}])")[1][0]
        return piece[1] if isinstance(piece, tuple) else b""

    def _messages(self) -> Iterator[tuple[str, bytes]]:
        for number in range(60):
            yield f"corpus {number}", corpus.message(number)
        nested = b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
        nested += b"Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nin\r\n--i--\r\n"
        nested += b"--o\r\n\r\nx\r\n--o--\r\n"
        yield "a multipart within a multipart", nested
        for name, octets in cpython_messages():
            if name not in _BROKEN:
                yield name, crlf(octets)

    def test_every_part_begins_and_ends_at_the_same_octet(self) -> None:
        for name, octets in self._messages():
            number = self._store(octets)
            table = decode_parts(scan(octets).parts)
            for path in numbers(table):
                for kind in ("", "MIME"):
                    span = table.section(path, kind)
                    assert span is not None
                    section = ".".join([*map(str, path), *([kind] if kind else [])])
                    with self.subTest(message=name, section=section):
                        ours, theirs = octets[slice(*span)], self._section(number, section)
                        # Dovecot 2.3.19 has a multipart within a multipart end with the line end of the delimiter.
                        self.assertIn(theirs, (ours, ours + b"\r\n"))

    def test_envelope_and_bodystructure_say_the_same(self) -> None:
        for number in range(60):
            octets = corpus.message(number)
            stored = self._store(octets)
            ours = scan(octets)
            with self.subTest(message=number):
                self.assertEqual(comparable(ours.envelope), comparable(self._fetched(stored, "ENVELOPE")))
                self.assertEqual(comparable(ours.bodystructure), comparable(self._fetched(stored, "BODYSTRUCTURE")))
