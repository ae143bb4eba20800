"""What is noted of a message while it is scanned, and can be made of it again later."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailsuite.message.dates import parse_date, sent_date
from pymailsuite.message.keys import HEAD_OCTETS, stored_keys
from pymailsuite.message.preview import PREVIEW_MAX
from pymailsuite.message.scan import StructureScanner, scan
from pymailsuite.message.structure import NO_SENT_DAY, MessageKeys
from tests.message.octets import messages

MESSAGE = (
    b"From: Anna Berg <anna@example.org>\r\nTo: bob@example.org, carl@example.org\r\nCc: Dora <dora@example.org>\r\n"
    b"Date: Tue, 3 Nov 2026 23:30:00 -0500\r\nSubject: Re: [tea] =?utf-8?q?Gr=C3=BCner?= Tee\r\n"
    b"Message-ID: <b@example.org>\r\nReferences: <a@example.org>\r\n\r\nDear Bob,\r\n\r\nit is ready.\r\n"
)


def later(octets: bytes) -> MessageKeys:
    """As they are made of what is stored."""
    found = scan(octets)
    head = octets[: max(found.header_size, HEAD_OCTETS)]
    return stored_keys(head, found.header_size, found.parts, found.bodystructure)


def test_a_message_is_noted_in_all_its_keys() -> None:
    keys = scan(MESSAGE).keys
    assert (keys.sent_at, keys.sent_day) == (parse_date(b"4 Nov 2026 04:30:00 +0000"), 20760)
    assert (keys.subject, keys.base_subject) == ("re: [tea] grüner tee", "grüner tee")
    assert (keys.from_mailbox, keys.to_mailbox, keys.cc_mailbox) == ("anna", "bob", "dora")
    assert (keys.from_display, keys.to_display) == ("anna berg", "bob@example.org")
    assert (keys.has_attachment, keys.preview) == (0, "Dear Bob, it is ready.")
    first = MESSAGE.replace(b"b@example.org>\r\nRef", b"a@example.org>\r\nX-").replace(b"Re: ", b"")
    assert keys.links == scan(first).keys.own_link.to_bytes(8, signed=True)


@settings(max_examples=200, deadline=None)
@given(messages, st.integers(0, 400))
def test_they_are_the_same_when_they_are_made_later_and_can_be_stored(octets: bytes, cut: int) -> None:
    keys = scan(octets).keys
    assert later(octets) == keys
    scanner = StructureScanner()
    scanner.feed(octets[:cut])
    scanner.feed(octets[cut:])
    assert scanner.finish().keys == keys
    for value in keys:
        if isinstance(value, str):
            assert "\0" not in value.encode("utf-8").decode("utf-8")
    assert len(keys.preview) <= PREVIEW_MAX


@pytest.mark.parametrize("padding", [0, 60_000, 70_000, 300_000])
def test_a_long_message_has_the_keys_of_its_beginning(padding: int) -> None:
    octets = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: image/png\r\n\r\n"
        + b"A" * padding
        + b"\r\n--q\r\n\r\nText\r\n--q--\r\n"
    )
    scanner = StructureScanner()
    for start in range(0, len(octets), 1000):
        scanner.feed(octets[start : start + 1000])
    keys = scanner.finish().keys
    assert keys == scan(octets).keys == later(octets)
    assert keys.preview == ("Text" if padding < HEAD_OCTETS - 200 else "")


def test_a_message_of_nothing_has_keys() -> None:
    keys = scan(b"").keys
    assert (keys.sent_at, keys.sent_day, keys.subject, keys.preview) == (None, NO_SENT_DAY, "", "")


def test_messages_without_an_identifier_are_told_apart_by_what_they_say() -> None:
    one, two, other = (scan(b"From: root\r\n\r\n" + text).keys.own_link for text in (b"one", b"one", b"two"))
    assert one == two != other


# --- attachments


def mixed(*headers: bytes, kind: bytes = b"mixed") -> bytes:
    parts = b"".join(b"--q\r\n%b\r\n\r\nx\r\n" % header for header in headers)
    return b"Content-Type: multipart/%b; boundary=q\r\n\r\n%b--q--\r\n" % (kind, parts)


TEXT, HTML, PDF = b"Content-Type: text/plain", b"Content-Type: text/html", b"Content-Type: application/pdf"
ATTACHED = b"\r\nContent-Disposition: attachment"


@pytest.mark.parametrize(
    ("octets", "has"),
    [
        (b"Subject: x\r\n\r\ntext", 0),
        (PDF + b"\r\n\r\nx", 1),
        (TEXT + ATTACHED + b"; filename=x\r\n\r\nx", 1),
        (mixed(TEXT, HTML, kind=b"alternative"), 0),
        (mixed(TEXT, PDF), 1),
        (mixed(TEXT, TEXT + ATTACHED), 1),
        (mixed(TEXT, TEXT + b"\r\nContent-Disposition: inline; filename=attachment"), 0),
        (mixed(TEXT, b"Content-Type: image/png", kind=b"related"), 0),
        (mixed(TEXT, b"Content-Type: image/png" + ATTACHED), 1),
        (mixed(TEXT, b"Content-Type: application/pgp-signature", kind=b"signed"), 0),
        (mixed(TEXT, b"Content-Type: message/rfc822\r\n\r\nSubject: inside"), 1),
        (mixed(TEXT, b"Content-Type: message/rfc822\r\n\r\nSubject: inside", kind=b"report"), 0),
        (b'Subject: ("attachment" NIL\r\n\r\ntext', 0),
    ],
)
def test_what_is_to_be_saved_apart_from_the_text_is_an_attachment(octets: bytes, has: int) -> None:
    assert scan(octets).keys.has_attachment == has


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (mixed(TEXT + b"\r\n\r\nplain", HTML + b"\r\n\r\n<p>rich", kind=b"alternative"), "plain x"),
        (mixed(TEXT + b"\r\n\r\n" + b"\t\r\n" * 3, kind=b"alternative"), "x"),
        (mixed(PDF, HTML + b"\r\n\r\n<b>rich</b>"), "rich x"),
        (mixed(PDF), ""),
        (PDF + b"\r\n\r\nx", ""),
        (TEXT + b"; charset=no/thing\r\n\r\nx", "x"),
    ],
)
def test_the_preview_is_of_the_first_text(octets: bytes, text: str) -> None:
    assert scan(octets).keys.preview == text


# --- the Date field


def day(year: int, month: int, number: int) -> int:
    return datetime.date(year, month, number).toordinal() - datetime.date(1970, 1, 1).toordinal()


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"Tue, 3 Nov 2026 23:30:00 -0500", day(2026, 11, 3)),
        (b"03 Nov 2026 00:30:00 +0200 (CET)", day(2026, 11, 3)),
        (b"Tue, 3 NOV 2026 23:30 EST", day(2026, 11, 3)),
        (b"3-Nov-26 10:00:00", day(2026, 11, 3)),
        (b"3 Nov 99 10:00:00 GMT", day(1999, 11, 3)),
        (b"Tue Nov  3 10:00:00 2026", day(2026, 11, 3)),
        (b"Tue, 3 Nov 2026 (a comment)", day(2026, 11, 3)),
        (b"Tue, 31 Feb 2026 10:00:00 +0000", NO_SENT_DAY),
        (b"yesterday", NO_SENT_DAY),
        (b"", NO_SENT_DAY),
    ],
)
def test_the_day_of_a_date_is_the_one_written(body: bytes, number: int) -> None:
    assert sent_date(body) == (parse_date(body), number)


DATES = st.tuples(
    st.sampled_from((b"", b"Mon, ", b"mon, ")),
    st.integers(0, 40).map(str).map(str.encode),
    st.sampled_from((b" Jan ", b" Feb ", b" Dec ", b" Xyz ", b" jan ")),
    st.sampled_from((b"1969", b"2026", b"0000", b"9999", b"26")),
    st.sampled_from((b" 00:00:00 ", b" 23:59:59 ", b" 24:00:00 ", b" 1:02:03 ", b" 10:00:60 ")),
    st.sampled_from((b"+0000", b"-1159", b"+2359", b"+9999", b"GMT", b"+0100 (CET)")),
).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(DATES)
def test_the_short_way_and_the_long_way_lead_to_one_moment(body: bytes) -> None:
    assert sent_date(body)[0] == parse_date(body)
