"""Messages made 7-bit: what a reader sees stays the same, and what was signed stays as it is."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import Message
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pymailsuite.message import seven_bits
from pymailsuite.message.encoded_fields import NotEncodable, encoded_field
from pymailsuite.message.headers import decode_text, first_field, parse_addresses
from pymailsuite.message.seven_bits import NotConvertible, to_seven_bits, without_signatures
from tests.acceptance import acceptance

UMLAUTS = "Grüße aus Zürich, und viel Text ohne Umlaute dahinter, damit es sich lohnt.\r\n"


def message(text: str, body: bytes = b"") -> bytes:
    return text.replace("\n", "\r\n").encode() + body


def contents(octets: bytes) -> list[tuple[str, Any]]:
    """Type and decoded content of each part that has no parts."""
    parsed: Message = message_from_bytes(octets)
    return [
        (part.get_content_type(), part.get_payload(decode=True)) for part in parsed.walk() if not part.is_multipart()
    ]


@acceptance("S051")
def test_mostly_readable_text_becomes_quoted_printable_and_the_rest_base64() -> None:
    for body, encoding in ((UMLAUTS.encode(), "quoted-printable"), (("ж" * 50 + "\r\n").encode(), "base64")):
        converted = to_seven_bits(b"Subject: x\r\n\r\n" + body)
        header, _, rest = converted.partition(b"\r\n\r\n")
        assert header.split(b"\r\n") == [
            b"Subject: x",
            b"MIME-Version: 1.0",
            b"Content-Type: text/plain; charset=utf-8",
            b"Content-Transfer-Encoding: " + encoding.encode(),
        ]
        assert max(map(len, rest.split(b"\r\n"))) <= 76
        assert contents(converted) == [("text/plain", body)]


def test_text_in_no_known_charset_says_so_and_a_declared_one_stays() -> None:
    converted = to_seven_bits(b"Subject: x\r\n\r\nGr\xfc\xdfe\r\n")
    assert b"charset=unknown-8bit" in converted
    declared = b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n"
    converted = to_seven_bits(declared)
    assert converted.count(b"Content-Type") == converted.count(b"MIME-Version") == 1
    assert contents(converted) == [("text/html", b"Gr\xfc\xdfe\r\n")]


MIXED = message(
    """Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b1
Content-Transfer-Encoding: 8bit

Präambel
--b1

träger Text ohne Typ, und lang genug dafür, dass er lesbar bleibt, so wie er hier steht
--b1
Content-Type: text/plain
Content-Transfer-Encoding: 8bit

ascii
--b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

=C3=BC raw ü
--b1
Content-Type: application/octet-stream; name="ü.bin"
Content-Disposition: attachment; filename="ü x.bin"
Content-Transfer-Encoding: binary

\x00äöü
--b1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

From: Jürgen <j@example.com>
Content-Type: multipart/alternative; boundary="b 2"
Content-Transfer-Encoding: 8bit

--b 2
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

inneres Ä
--b 2--
--b1--
Nachwört
"""
)


@acceptance("S051")
def test_each_part_is_converted_by_itself_however_deep() -> None:
    converted = to_seven_bits(MIXED)
    assert converted.isascii()
    assert b"8bit" not in converted
    assert b"binary" not in converted
    assert contents(converted) == contents(MIXED)
    parsed = message_from_bytes(converted, policy=policy.default)
    attachment = list(parsed.walk())[4]
    assert attachment.get_filename() == "ü x.bin"
    assert list(parsed.walk())[6]["From"] == "Jürgen <j@example.com>"


def test_what_is_7_bit_already_stays_to_the_octet() -> None:
    for octets in (
        b"Subject: x\r\n\r\nhello\r\n",
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n",
        b"Subject: x",
        b"\r\nbody only",
        b"Subject: x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + b"x" * 2000 + b"\r\n",
    ):
        assert to_seven_bits(octets) == octets


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("DKIM-Signature: v=1\n\nü\n", "DKIM-Signature would break"),
        ("ARC-Seal: i=1\n\nü\n", "ARC-Seal would break"),
        ("arc-message-signature: i=1\nSubject: ü\n\nx\n", "would break"),
        ("Content-Type: multipart/signed; boundary=b\n\n--b\n\nü\n--b--\n", "multipart/signed would break"),
        (
            "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/signed; boundary=b\n\n"
            "--b\n\nü\n--b--\n--a--\n",
            "multipart/signed would break",
        ),
        ("Content-Transfer-Encoding: x-own\n\nü\n", "whose encoding is x-own"),
        ("Content-Type: message/delivery-status\n\nReporting-MTA: dns; ü\n", "cannot be encoded"),
        ("Content-Type: multipart/mixed; boundary=b\n\nno delimiter, but ü\n", "cannot be encoded"),
        ("Content-Type: multipart/mixed; boundary=ü\n\n--ü\n\nx\n--ü--\n", "Content-Type"),
        ("From: ü@example.com\n\nx\n", "From field"),
        ("Message-ID: <ü@example.com>\n\nx\n", "Message-ID field"),
        ("Sübject: x\n\nx\n", "field"),
        ("no field ü\n\nx\n", "no field"),
    ],
)
def test_what_cannot_be_converted_says_why(octets: str, reason: str) -> None:
    with pytest.raises(NotConvertible, match=reason):
        to_seven_bits(message(octets))


def test_a_signed_part_that_is_ascii_keeps_nothing_from_being_converted() -> None:
    octets = message(
        "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/signed; boundary=b\n\n"
        "--b\n\nx\n--b--\n--a\n\nü\n--a--\n"
    )
    signed = b"--b\r\n\r\nx\r\n--b--\r\n"
    assert signed in to_seven_bits(octets)


def test_signatures_of_our_own_can_be_left_out() -> None:
    header = b"Received: x\r\nDKIM-Signature: a\r\n b\r\nARC-Seal: c\r\nX: d\r\n"
    assert without_signatures(header) == b"Received: x\r\nX: d\r\n"


@pytest.mark.parametrize(
    ("name", "body", "shown"),
    [
        ("Subject", "Grüße", "Grüße"),
        ("Subject", "Re: plain Grüße und =?utf-8?q?=C3=84?= plain", "Re: plain Grüße und Ä plain"),
        ("Subject", "ä  ö\r\n ü", "ä  ö ü"),
        ("X-Any", "ж" * 200, "ж" * 200),
        ("Comments", "ü =?utf-8?q?=0D=0AEvil:_x?=", "ü \r\nEvil: x"),
    ],
)
def test_text_is_read_as_before(name: str, body: str, shown: str) -> None:
    field = encoded_field(name.encode(), b" " + body.encode())
    assert field.isascii()
    assert field.endswith(b"\r\n")
    assert all(line.startswith((name.encode() + b":", b" ")) for line in field.split(b"\r\n")[:-1])
    assert max(map(len, field.split(b"\r\n"))) <= 100
    assert decode_text(first_field(field, name.encode()) or b"") == shown


@pytest.mark.parametrize(
    "body",
    [
        "Jürgen <j@example.com>",
        '"Müller, Jürgen" <j@example.com>, plain@example.com, "a, b" <c@d.example>',
        "Größe: Ä <a@example.com>, b@example.com;, c@example.com",
        "Leer ü:;",
        "j@example.com (Jürgen)",
        '"odd local"@example.com, ü <x@example.com>',
    ],
)
def test_addresses_are_read_as_before(body: str) -> None:
    field = encoded_field(b"To", body.encode())
    assert field.isascii()
    assert parse_addresses(first_field(field, b"To") or b"") == parse_addresses(body.encode())


def test_a_domain_goes_in_a_labels() -> None:
    assert encoded_field(b"From", "x <j@bücher.example>".encode()) == b"From: x <j@xn--bcher-kva.example>\r\n"


def test_what_can_be_read_in_two_ways_is_not_written_in_one() -> None:
    for body in ("ü <a@b.example> <c@d.example>", '"ü <a@b.example>', "ü@b.example"):
        with pytest.raises(NotEncodable):
            encoded_field(b"From", body.encode())


_LINES = st.lists(st.sampled_from(["", "ü", "text", ".", "--b", "=", "=C3", " ", "x" * 90, "жжж"]), max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["8bit", "quoted-printable", "binary", ""]), _LINES), max_size=4))
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_parts_are_read_as_before(parts: list[tuple[str, list[str]]]) -> None:
    pieces = ["Content-Type: multipart/mixed; boundary=qx", ""]
    for encoding, lines in parts:
        pieces += ["--qx", "Content-Type: text/plain; charset=utf-8"]
        pieces += [f"Content-Transfer-Encoding: {encoding}"] if encoding else []
        pieces += ["", *lines]
    octets = "\r\n".join([*pieces, "--qx--", ""]).encode()
    converted = to_seven_bits(octets)
    assert converted.isascii()
    assert contents(converted) == contents(octets)


@given(st.lists(st.sampled_from(["ü", "\r\n", "\r", "\n", " ", "=", "text" * 8]), max_size=40), st.integers(1, 9))
@hypothesis_settings(max_examples=150, deadline=None)
def test_long_bodies_are_converted_in_pieces_to_the_same(tokens: list[str], size: int) -> None:
    body = ("ü" + "plain" * 20 + "".join(tokens) + "\r\n").encode()
    with patch.object(seven_bits, "_PIECE", size):
        converted = to_seven_bits(b"Subject: x\r\n\r\n" + body)
    assert message_from_bytes(converted).get_payload(decode=True) == body
    assert max(map(len, converted.split(b"\r\n"))) <= 76


@given(st.binary(max_size=300))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_octets_are_converted_or_refused(octets: bytes) -> None:
    try:
        converted = to_seven_bits(octets)
    except NotConvertible:
        return
    assert converted.isascii()


@given(st.text(max_size=80))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_header_text_stays_within_its_field(text: str) -> None:
    for name in (b"Subject", b"To", b"Content-Type", b"Content-Disposition"):
        body = text.replace("\r", "").replace("\n", " ") + "ü"
        try:
            field = encoded_field(name, body.encode("utf-8", "replace"))
        except NotEncodable:
            continue
        assert field.isascii()
        assert field.count(b"\r\n") == field.count(b"\n") == field.count(b"\r")
        assert all(line.startswith(b" ") for line in field.split(b"\r\n")[1:-1])
