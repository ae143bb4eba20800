"""What SEARCH finds without an index."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.parts import PartTable, decode_parts
from pymailsuite.message.scan import scan
from pymailsuite.message.search import Needle, body_texts
from pymailsuite.message.transfer import decode_transfer
from tests.acceptance import acceptance
from tests.message.octets import messages

MAIL = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\r\n"
    b"Subject: =?utf-8?b?w5xiZXI=?= alles\r\n"
    b"X-Empty:\r\n"
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    b"--x\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Stra=DFe nach M=FCn=\r\nchen\r\n"
    b"--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"PGI+UmVjaG51bmc8L2I+\r\n"
    b"--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nUmVjaG51bmc=\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: forwarded\r\n\r\ninner words\r\n"
    b"--x--\r\n"
)


def table(octets: bytes) -> PartTable:
    return decode_parts(scan(octets).parts)


class SearchTests(SynchronousTestCase):
    def test_text_parts_are_decoded(self) -> None:
        self.assertEqual(
            ["Straße nach München", "<b>Rechnung</b>", "Subject: forwarded", "inner words"],
            list(body_texts(MAIL, table(MAIL))),
        )

    def test_case_and_form_make_no_difference(self) -> None:
        for wanted in ("STRASSE", "münchen", "MU\u0308NCHEN", "<B>rechnung", "Forwarded", "Inner", ""):
            self.assertTrue(Needle(wanted).found_in_body(MAIL, table(MAIL)), wanted)
        for wanted in ("über", "UmVjaG51bmc", "--x"):
            self.assertFalse(Needle(wanted).found_in_body(MAIL, table(MAIL)), wanted)

    def test_fields_are_searched_decoded(self) -> None:
        header = MAIL[: scan(MAIL).header_size]
        self.assertTrue(Needle("über ALLES").found_in_header(header, b"subject"))
        self.assertFalse(Needle("w5xiZXI=").found_in_header(header, b"subject"))
        self.assertFalse(Needle("utf-8").found_in_header(header, b"subject"))
        self.assertTrue(Needle("").found_in_header(header, b"X-Empty"))
        self.assertFalse(Needle("").found_in_header(header, b"X-Absent"))
        self.assertFalse(Needle("über").found_in_header(header, b"from"))
        self.assertTrue(Needle("subject: über").found_in_text(MAIL, table(MAIL)))

    @settings(deadline=None)
    @given(messages, st.text(max_size=5))
    def test_any_message_can_be_searched(self, octets: bytes, wanted: str) -> None:
        Needle(wanted).found_in_text(octets, table(octets))


class TransferTests(SynchronousTestCase):
    @acceptance("S111")
    def test_encodings_are_undone(self) -> None:
        self.assertEqual(b"abc", decode_transfer(b"YW\r\nJj", "base64"))
        self.assertEqual(b"ab", decode_transfer(b"YWI", "base64"))
        self.assertEqual(b"a", decode_transfer(b"*YQ=!", "base64"))
        self.assertEqual(b"", decode_transfer(b"Y", "base64"))
        self.assertEqual(b"a=b", decode_transfer(b"a=3D=\r\nb", "quoted-printable"))
        self.assertEqual(b"\xff", decode_transfer(b"\xff", "8bit"))
        self.assertIsNone(decode_transfer(b"", "x-unknown"))

    @acceptance("S052")
    def test_uuencoded_text_is_undone(self) -> None:
        coded = b"text\nbegin 644 cat.txt\n#0V%T\n#0V%TXX\n`\nend\nmore\n"
        self.assertEqual(b"CatCat", decode_transfer(coded, "x-uuencode"))

    @given(st.binary(max_size=80), st.sampled_from(("base64", "quoted-printable", "uuencode")))
    def test_damage_is_no_error(self, octets: bytes, encoding: str) -> None:
        decode_transfer(octets, encoding)
        decode_transfer(b"begin 644 x\n" + octets, encoding)
