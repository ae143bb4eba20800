"""The table of parts: RFC 3501 §6.4.5 numbering and sections as slices."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.parts import PartTable, decode_parts, encode_parts
from pymailsuite.message.scan import scan
from tests.acceptance import acceptance

# The tree of RFC 3501 §6.4.5: each leaf's text is its own part number.
NUMBERED = b"""\
Subject: HEADER
Content-Type: multipart/mixed; boundary=A

--A
Content-Type: text/plain

1
--A
Content-Type: application/octet-stream

2
--A
Content-Type: message/rfc822

Subject: 3.HEADER
Content-Type: multipart/mixed; boundary=B

--B
Content-Type: text/plain

3.1
--B
Content-Type: application/octet-stream

3.2
--B--
--A
Content-Type: multipart/mixed; boundary=C

--C
Content-Type: image/gif

4.1
--C
Content-Type: message/rfc822

Subject: 4.2.HEADER
Content-Type: multipart/mixed; boundary=D

--D
Content-Type: text/plain

4.2.1
--D
Content-Type: multipart/alternative; boundary=E

--E
Content-Type: text/plain

4.2.2.1
--E
Content-Type: text/richtext

4.2.2.2
--E--
--D--
--C
Content-Type: message/rfc822

Subject: 4.3.HEADER

4.3.1
--C--
--A--
""".replace(b"\n", b"\r\n")


class SectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table: PartTable = decode_parts(scan(NUMBERED).parts)

    def octets(self, path: tuple[int, ...], kind: str = "") -> bytes | None:
        section = self.table.section(path, kind)
        return None if section is None else NUMBERED[slice(*section)]

    @acceptance("S111")
    def test_numbers_as_the_rfc_shows_them(self) -> None:
        leaves = ("1", "2", "3.1", "3.2", "4.1", "4.2.1", "4.2.2.1", "4.2.2.2", "4.3.1")
        for number in leaves:
            path = tuple(map(int, number.split(".")))
            self.assertEqual(number.encode(), self.octets(path))
            header = self.octets(path, "MIME")
            assert header is not None
            self.assertTrue(header.endswith(b"\r\n\r\n"))
            self.assertIsNone(self.octets(path, "HEADER"))
            self.assertIsNone(self.octets(path, "TEXT"))
            self.assertIsNone(self.octets((*path, 1)))

    @acceptance("S111")
    def test_messages_inside_have_header_and_text(self) -> None:
        for path, number in (((3,), b"3"), ((4, 2), b"4.2"), ((4, 3), b"4.3")):
            header, text = self.octets(path, "HEADER"), self.octets(path, "TEXT")
            assert header is not None and text is not None
            self.assertTrue(header.startswith(b"Subject: %b.HEADER\r\n" % number))
            self.assertEqual(self.octets(path), header + text)
            self.assertEqual(b"Content-Type: message/rfc822\r\n\r\n", self.octets(path, "MIME"))

    def test_header_and_text_make_the_message(self) -> None:
        header, text = self.octets((), "HEADER"), self.octets((), "TEXT")
        assert header is not None and text is not None
        self.assertEqual(NUMBERED, header + text)
        self.assertEqual(NUMBERED, self.octets(()))
        self.assertIsNone(self.octets((), "MIME"))

    def test_what_is_not_there_is_none(self) -> None:
        for path in ((0,), (5,), (1, 1), (3, 3), (4, 2, 2, 3), (-1,)):
            self.assertIsNone(self.octets(path), path)
        self.assertRaises(ValueError, self.table.section, (3,), "BOGUS")

    def test_a_message_that_is_no_multipart_has_part_one(self) -> None:
        octets = b"Subject: x\n\nbody"
        table = decode_parts(scan(octets).parts)
        self.assertEqual(table.section((), "TEXT"), table.section((1,)))
        self.assertEqual((0, 12), table.section((1,), "MIME"))
        self.assertIsNone(table.section((1,), "HEADER"))
        self.assertIsNone(table.section((2,)))
        self.assertIsNone(table.section((1, 1)))

    def test_a_message_that_is_a_message(self) -> None:
        octets = b"Content-Type: message/rfc822\n\nSubject: in\n\nbody"
        table = decode_parts(scan(octets).parts)
        for path, kind, expected in (
            ((1,), "", b"Subject: in\n\nbody"),
            ((1,), "HEADER", b"Subject: in\n\n"),
            ((1,), "TEXT", b"body"),
            ((1, 1), "", b"body"),
        ):
            section = table.section(path, kind)
            assert section is not None
            self.assertEqual(expected, octets[slice(*section)])

    def test_the_stored_form_comes_back(self) -> None:
        self.assertEqual(scan(NUMBERED).parts, encode_parts(self.table))

    def test_what_is_no_table_is_refused(self) -> None:
        for parts in (b"", b"x", b"1 L 0 0 0 a/b 7bit ", b"0 L 0 0 0 a/b 7bit \n0 L 0 0 0 a/b 7bit "):
            self.assertRaises(ValueError, decode_parts, parts)
