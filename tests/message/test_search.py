"""What SEARCH finds without an index."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.charsets import charset_decoder
from pymailsuite.message.parts import PartTable, decode_parts
from pymailsuite.message.scan import scan
from pymailsuite.message.search import Needle, TextWindows, body_texts
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

CHARSETS = ("", "utf-8", "utf-16", "utf-16le", "UTF-16BE", "utf-32", "utf-7", "latin1", "gb18030", "shift_jis")
CHARSETS += ("iso-2022-jp", "euc-kr", "big5", "hz", "koi8-r", "x-unknown-to-all")


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


TEXTS = st.lists(
    st.sampled_from(
        ["fold", " ", "\t", "\r\n", "\r\n ", "ed", "e\u0301", "ﬁ", "Straße", "日本", "\u0301", "\U0001f600", "\0"]
    ),
    max_size=30,
).map("".join)
WANTED = ["fold", "folded", "fold ed", "é", "e", "fi", "STRASSE fi", " ", "日本", "日本 日", "d\r\ne", ""]


class WindowTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=300)
    @given(TEXTS, st.lists(st.integers(0, 60), max_size=12), st.sampled_from(WANTED))
    @example("ﬁ\u0301", [], "fi")
    def test_windows_of_any_cut_hold_what_the_whole_holds(self, text: str, cuts: list[int], wanted: str) -> None:
        needle = Needle(wanted)
        edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
        # As far back as this text needs, so that windows are not always the whole.
        windows = TextWindows(12)
        found = [needle.found_in(windows.feed(text[start:stop])) for start, stop in pairwise(edges)]
        found.append(needle.found_in(windows.finish()))
        self.assertEqual(needle.found_in(text), any(found))

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(
            st.sampled_from(
                [
                    b"\xff\xfe",
                    b"\xfe\xff",
                    b"a\0",
                    b"\0a",
                    b"\xd8\x3d",
                    b"\xde\x00",
                    b"\xc3\xa9",
                    b"\xe2\x82",
                    b"+AG",
                    b"\x1b$B",
                ]
            )
            | st.binary(max_size=4),
            max_size=20,
        ).map(b"".join),
        st.lists(st.integers(0, 60), max_size=12),
        st.sampled_from(CHARSETS),
    )
    def test_charsets_decode_the_same_in_any_cut(self, octets: bytes, cuts: list[int], charset: str) -> None:
        whole = charset_decoder(charset).decode(octets, True)
        decoder = charset_decoder(charset)
        edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
        pieces = [decoder.decode(octets[start:stop]) for start, stop in pairwise(edges)]
        self.assertEqual(whole, "".join(pieces) + decoder.decode(b"", True))

    def test_what_declares_nothing_is_utf_8_but_for_what_is_none(self) -> None:
        self.assertEqual(
            "grün é grün", charset_decoder("").decode("grün é grün".encode().replace(b"\xc3\xa9", b"\xe9"), True)
        )
        self.assertEqual("é" * 500, charset_decoder("").decode(b"\xe9" * 500, True))
        self.assertEqual("\x81€", charset_decoder("latin1").decode(b"\x81\x80", True))

    def test_codecs_that_are_no_charsets_are_not_used(self) -> None:
        for name in ("zlib", "base64", "rot13", "hex", "bz2", "punycode", "no such"):
            self.assertEqual("YWJj", charset_decoder(name).decode(b"YWJj", True), name)
