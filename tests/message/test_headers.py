"""Header fields: chosen, decoded, and as values."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.charsets import decode_charset
from pymailsuite.message.headers import (
    FieldSelector,
    HeaderAddress,
    HeaderGroup,
    decode_text,
    field_parameters,
    fields,
    first_field,
    format_date,
    parse_addresses,
    parse_date,
    select_fields,
)
from pymailsuite.message.scan import scan
from tests.acceptance import acceptance
from tests.message.octets import messages

HEADER = (
    b"From someone Mon Jan  1 00:00:00 2001\r\n"
    b"Received: by one\r\n\twith SMTP\r\n"
    b"Subject : hi\r\n there\r\n"
    b"garbage\r\n"
    b"TO: a@b\r\n"
    b"Received: by two\r\n"
    b"X-Subject: no\r\n"
    b"\r\n"
)


class FieldTests(SynchronousTestCase):
    def test_fields_in_order_without_what_is_none(self) -> None:
        self.assertEqual(
            [
                (b"Received", b" by one\r\n\twith SMTP"),
                (b"Subject", b" hi\r\n there"),
                (b"TO", b" a@b"),
                (b"Received", b" by two"),
                (b"X-Subject", b" no"),
            ],
            fields(HEADER),
        )
        self.assertEqual(b"hi there", first_field(HEADER, b"SUBJECT"))
        self.assertIsNone(first_field(HEADER, b"Date"))

    @acceptance("S110")
    def test_chosen_fields_stand_in_message_order_with_an_empty_line(self) -> None:
        self.assertEqual(
            b"Subject : hi\r\n there\r\nTO: a@b\r\n\r\n", select_fields(HEADER, [b"to", b"SUBJECT", b"date"])
        )
        self.assertEqual(b"\r\n", select_fields(HEADER, [b"date"]))
        self.assertEqual(b"\r\n", select_fields(HEADER, []))
        self.assertEqual(b"A: b\r\n\r\n", select_fields(b"A: b", [b"a"]))
        self.assertEqual(b"A: b\n\r\n", select_fields(b"A: b\nB: c\n\n", [b"a"]))
        self.assertEqual(b"\r\n", select_fields(b"A.B: c\r\n\r\n", [b"A?B", b"A+"]))

    @acceptance("S110")
    def test_the_other_fields_with_negate(self) -> None:
        self.assertEqual(
            b"From someone Mon Jan  1 00:00:00 2001\r\ngarbage\r\nTO: a@b\r\nX-Subject: no\r\n\r\n",
            select_fields(HEADER, [b"received", b"Subject"], negate=True),
        )
        self.assertEqual(HEADER, select_fields(HEADER, [], negate=True))

    def test_many_names_give_the_same_as_few(self) -> None:
        many = [b"x-%d" % number for number in range(100)]
        for negate in (False, True):
            self.assertEqual(
                select_fields(HEADER, [b"to", b"subject"], negate),
                select_fields(HEADER, [*many, b"to", b"subject"], negate),
            )

    @given(messages, st.booleans())
    def test_a_choice_and_its_opposite_make_up_the_header(self, octets: bytes, many: bool) -> None:
        header = octets[: scan(octets).header_size]
        names = [b"from", b"subject", *(b"x-%d" % number for number in range(50 * many))]
        chosen = fields(select_fields(header, names))
        others = fields(select_fields(header, names, negate=True))
        self.assertTrue(all(name.lower() in names for name, _ in chosen), chosen)
        self.assertFalse(any(name.lower() in names for name, _ in others), others)


class TextTests(SynchronousTestCase):
    def test_encoded_words(self) -> None:
        # The examples of RFC 2047 §8, and what people send.
        for coded, text in (
            (b"=?ISO-8859-1?Q?a?=", "a"),
            (b"=?ISO-8859-1?Q?a?= b", "a b"),
            (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            (b"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
            (b"=?ISO-8859-1?Q?a_b?=", "a b"),
            (b"=?utf-8*de?q?gr=C3=BCn?=", "grün"),
            (b"=?utf-8?B?4oI=?= =?utf-8?B?rA==?=", "€"),
            (b"=?utf-8?q?=E2=82?= =?UTF-8?q?=AC?=", "€"),
            (b"=?utf-8?b?4oKs?x", "=?utf-8?b?4oKs?x"),
            (b"=?no-such-charset?q?=C3=A9?=", "é"),
            (b"=?gb2312?B?xOO6ww==?=", "你好"),
            (b"x =?utf-8?b?####?= y", "x  y"),
        ):
            self.assertEqual(text, decode_text(coded), coded)

    def test_raw_octets_are_utf8_or_western(self) -> None:
        self.assertEqual("é", decode_text(b" \xc3\xa9 "))
        self.assertEqual("é…", decode_text(b"\xe9\x85"))
        self.assertEqual("\x81", decode_text(b"\x81"))

    def test_charsets_by_any_name(self) -> None:
        self.assertEqual("“", decode_charset(b"\x93", "ISO-8859-1"))
        self.assertEqual("é", decode_charset(b"\xc3\xa9", "us-ascii"))
        self.assertEqual("é", decode_charset(b"\x82", "cp-850"))
        self.assertEqual("x\ufffd", decode_charset(b"x\xff", "utf-8"))
        for name in (
            "hex",
            "rot13",
            "zip",
            "idna",
            "punycode",
            "unicode_escape",
            "a\0b",
            "é",
            "x-",
            "cp-cp-",
            "'utf-8'",
        ):
            self.assertEqual("abc", decode_charset(b"abc", name), name)

    @given(st.binary(max_size=60), st.text(max_size=20))
    def test_any_octets_in_any_charset_are_text(self, octets: bytes, charset: str) -> None:
        decode_charset(octets, charset)
        decode_text(octets)
        decode_text(b"=?%b?q?%b?=" % (charset.encode(), octets))
        field_parameters(octets)
        parse_addresses(octets)
        parse_date(octets)


PIECES = [b"To: a", b"to:", b"X-Y : z", b"none", b"\r\n", b"\n", b" ", b"\t", b"\r", b":", b"\r\n ", b"To", b"\0"]


class SelectorTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join),
        st.lists(st.integers(0, 60), max_size=10),
        st.sampled_from([[b"TO"], [b"to", b"x-y"], [b"absent"], []]),
        st.booleans(),
    )
    def test_fields_chosen_in_any_cut_are_those_of_the_whole(
        self, header: bytes, cuts: list[int], names: list[bytes], negate: bool
    ) -> None:
        selector = FieldSelector(names, negate)
        edges = [0, *sorted(min(cut, len(header)) for cut in cuts), len(header)]
        found = b"".join([selector.feed(header[start:stop]) for start, stop in pairwise(edges)]) + selector.finish()
        self.assertEqual(select_fields(header, names, negate), found)


class ValueTests(SynchronousTestCase):
    def test_addresses_and_groups(self) -> None:
        parsed = parse_addresses(b'=?utf-8?q?J=C3=BCrgen?= <j@x.example>, Team: "A, B" <a@b>, c@d;, \xc3\xa9@e')
        self.assertEqual(
            [
                HeaderAddress("Jürgen", "j", "x.example"),
                HeaderGroup("Team", (HeaderAddress("A, B", "a", "b"), HeaderAddress("", "c", "d"))),
                HeaderAddress("", "é", "e"),
            ],
            parsed,
        )

    def test_dates(self) -> None:
        for value, moment in (
            (b"Sun, 22 Nov 2026 03:20:10 +0100", 1795314010.0),
            (b" Sun , 22 Nov 2026 03:20:10 +0100", None),
            (b"22 Nov 26 03:20 EST", 1795335600.0),
            (b"Sun Nov 22 03:20:10 2026", 1795317610.0),
            (b"Sun, 22 Nov 2026 3:20:10 (c) -0730 (foo)", 1795344610.0),
            (b"Thu, 1-Jan-1970 00:00:00 GMT", 0.0),
            (b"Fri, 31 Dec 99 23:59:60 Z", 946684799.0),
            (b"1 Jan 100 00:00:00 +0000", 946684800.0),
            (b"31 Feb 2020 00:00:00 +0000", None),
            (b"1 Foo 2020 00:00:00 +0000", None),
            (b"1 Jan 0000 00:00:00 +0000", None),
            (b"yesterday", None),
            (b"", None),
        ):
            self.assertEqual(moment, parse_date(value), value)

    @given(st.integers(-60_000_000_000, 250_000_000_000))
    def test_a_date_written_is_read_again(self, moment: int) -> None:
        self.assertEqual(float(moment), parse_date(format_date(moment).encode()))

    def test_parameters(self) -> None:
        self.assertEqual(
            {"filename": "€ rates.txt", "size": "1", "name": "né"},
            field_parameters(
                b"attachment; filename*0*=utf-8''%e2%82; filename*1*=%ac; filename*2=\" rates.txt\"; filename=old;\r\n"
                b' size=1; name="=?utf-8?q?n=C3=A9?="'
            ),
        )
        self.assertEqual({"a": "1"}, field_parameters(b"x; a=1; b=2", limit=1))
        self.assertEqual({"a": "é"}, field_parameters(b"x; a*=iso-8859-1'en'%e9"))
