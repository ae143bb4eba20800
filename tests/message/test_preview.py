"""The beginning of a message's text. Source: RFC 8970."""

from __future__ import annotations

from base64 import b64encode

import pytest

from pymailsuite.message.preview import PREVIEW_MAX, html_text, preview
from tests.support.linear import assert_linear


def plain(octets: bytes, encoding: bytes = b"7bit", charset: bytes = b"") -> str:
    return preview(octets, False, encoding, charset)


def html(octets: bytes, encoding: bytes = b"8bit", charset: bytes = b"utf-8") -> str:
    return preview(octets, True, encoding, charset)


LONG = b"word " * 100


@pytest.mark.parametrize(
    ("octets", "encoding", "charset", "expected"),
    [
        (b"", b"7bit", b"", ""),
        (b"\r\n \t\r\n", b"7bit", b"", ""),
        (b"\r\n\r\nDear Anna,\r\n\r\n  it is  done.\r\n", b"7bit", b"us-ascii", "Dear Anna, it is done."),
        (b"bare\rreturns\nand\vothers", b"7bit", b"", "bare returns and others"),
        ("Grüße aus Köln\r\n".encode(), b"8bit", b"utf-8", "Grüße aus Köln"),
        ("Grüße".encode("latin-1"), b"8bit", b"ISO-8859-1", "Grüße"),
        ("Grüße".encode("latin-1"), b"8bit", b"", "Grüße"),
        (b"Gr=C3=BC=\r\n=C3=9Fe", b"quoted-printable", b"UTF-8", "Grüße"),
        (b64encode("Привет".encode()), b"base64", b"utf-8", "Привет"),
        ("短い".encode("utf-16"), b"binary", b"utf-16", "短い"),
        ("日本語".encode("iso-2022-jp"), b"7bit", b"iso-2022-jp", "日本語"),
        (b"+2AA-half, and nul\x00 and \x1b[1mescape", b"7bit", b"utf-7", "half, and nul and [1mescape"),
        (b"known =41 or not", b"x-unknown", b"", "known =41 or not"),
        (b"text", b"8bit", b"no-such-charset", "text"),
        ("a\u200b \u200c \u200d\u00a0 b\u200cc \u202ed".encode(), b"8bit", b"utf-8", "a b\u200cc d"),
        (LONG, b"7bit", b"", LONG[: PREVIEW_MAX - 1].decode()),
        (b"\r\n" * 1000 + LONG, b"7bit", b"", LONG[: PREVIEW_MAX - 1].decode()),
        ("я".encode() * 5000, b"8bit", b"utf-8", "я" * PREVIEW_MAX),
        (b"x" + "я".encode() * 5000, b"8bit", b"utf-8", "x" + "я" * (PREVIEW_MAX - 1)),
    ],
)
def test_plain_text_is_decoded_and_set_in_one_line(
    octets: bytes, encoding: bytes, charset: bytes, expected: str
) -> None:
    assert plain(octets, encoding, charset) == expected


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"<p>Dear <b>A</b>nna,</p><p>it&nbsp;is &lt;done&gt; &amp; good.</p>", "Dear Anna, it is <done> & good."),
        (b"<html><head><title>No</title><style>p {}</style></head><body>Yes<br>or no</body>", "Yes or no"),
        (b"<STYLE type='x'>p > a {}</STYLE ><SCRIPT>if (a < b) {}</SCRIPT>Text", "Text"),
        (b"<!-- a > b --><!DOCTYPE html><?xml?>Text<!-- open", "Text"),
        (b"1 < 2 <3 & <4", "1 < 2 <3 & <4"),
        (b"Text <a href='x", "Text"),
        (b"before<style>never closed", "before"),
        (b"<td>one</td><td>two</td>", "one two"),
        ("<p>Gr&uuml;&szlig;e aus K\u00f6ln".encode(), "Grüße aus Köln"),
        (b"&#0;&#xd800;x&#8203;&zwnj; &zwnj; y", "\ufffd\ufffdx\u200c y"),
        (b"", ""),
    ],
)
def test_of_html_what_stands_between_tags_is_taken(octets: bytes, expected: str) -> None:
    assert html(octets) == expected


def test_a_long_page_is_not_gone_through() -> None:
    assert html(b"<p>" + LONG * 100) == LONG[: PREVIEW_MAX - 1].decode()
    assert html(b"<head><style>" + b"x {}" * 5000 + b"</style></head>Text") == "Text"


def test_hostile_pages_take_time_that_grows_with_their_octets() -> None:
    for piece in ("<", "<style>", "<!--", "<p", "</head>", "&", "<style></style>", "<a><b>"):
        assert_linear(html_text, lambda n, piece=piece: piece * n)
