"""Parts decoded from octets that are read as they are needed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.parts import Part, decode_parts
from pymailsuite.message.reading import part_octets, part_texts
from pymailsuite.message.scan import scan
from pymailsuite.message.search import part_text

T = TypeVar("T")

TEXT = "Gr\u00fc\u00dfe, und noch eine Zeile\r\n" * 9000
FILE = bytes(range(256)) * 700
MESSAGE = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(TEXT.encode("utf-16")).replace(b"\n", b"\r\n")
    + b"\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(FILE).replace(b"\n", b"\r\n")
    + b"\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-own\r\n\r\nas it stands\r\n--b--\r\n"
)
PARTS = decode_parts(scan(MESSAGE).parts).root.children


class ReadingTests(SynchronousTestCase):
    """What is read at once and what is held stay small, whatever the part."""

    def setUp(self) -> None:
        self.reads: list[int] = []

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        self.reads.append(stop - start)
        return succeed(MESSAGE[start:stop])

    async def collected(self, pieces: Callable[..., AsyncIterator[T]], part: Part) -> list[T]:
        return [piece async for piece in pieces(self.read, part)]

    def all_of(self, pieces: Callable[..., AsyncIterator[T]], part: Part) -> list[T]:
        return self.successResultOf(Deferred.fromCoroutine(self.collected(pieces, part)))

    def test_text_comes_in_pieces_with_encoding_and_charset_undone(self) -> None:
        pieces = self.all_of(part_texts, PARTS[0])
        self.assertEqual("".join(pieces), TEXT)
        self.assertEqual("".join(pieces), part_text(MESSAGE, PARTS[0]))
        self.assertGreater(len(pieces), 2)
        self.assertLessEqual(max(self.reads), 64 * 1024)

    def test_octets_come_in_pieces_with_the_encoding_undone(self) -> None:
        self.assertEqual(b"".join(self.all_of(part_octets, PARTS[1])), FILE)
        self.assertLessEqual(max(self.reads), 64 * 1024)
        self.assertEqual(self.all_of(part_octets, PARTS[2]), [b"as it stands"])

    def test_a_part_that_holds_others_has_no_text(self) -> None:
        root = decode_parts(scan(MESSAGE).parts).root
        for pieces in (part_texts, part_octets):
            self.failureResultOf(Deferred.fromCoroutine(self.collected(pieces, root)), ValueError)
