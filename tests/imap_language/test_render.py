"""Strings, names, flags, dates and lines as they go out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailsuite.imap import render
from pymailsuite.imap import values as v
from pymailsuite.values import SystemFlag
from tests.support.imap import VOCABULARY, first_message, parse

FORM = render.NameForm()
UTF8_FORM = render.NameForm(".", utf8=True)


def received(rendered: bytes) -> list[bytes]:
    """A rendered string as a receiver would cut it: literals taken out of the text."""
    head = re.fullmatch(rb"\{(\d+)\}\r\n(.*)", rendered, re.DOTALL)
    if head is None:
        return [b"a SELECT " + rendered]
    assert int(head[1]) == len(head[2])
    return [b"a SELECT ", head[2], b""]


@pytest.mark.parametrize(
    ("octets", "wire"),
    [
        (b"x", b"x"),
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b"nil", b'"nil"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"a%", b'"a%"'),
        (b"a]", b"a]"),
        (b"\xc3\xa9", b"{2}\r\n\xc3\xa9"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
    ],
)
def test_astrings(octets: bytes, wire: bytes) -> None:
    assert render.astring(octets) == wire


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1))
def test_a_mailbox_name_comes_back(name: str) -> None:
    command = parse(received(FORM.mailbox(name)))
    assert isinstance(command, v.Select) and command.mailbox == name
    _, command = VOCABULARY.parse(received(UTF8_FORM.mailbox(name)), utf8=True)
    assert isinstance(command, v.Select) and command.mailbox == name


def test_mailbox_names_in_modified_utf7() -> None:
    assert FORM.mailbox("Entwürfe") == b"Entw&APw-rfe"
    assert FORM.mailbox("R&D") == b"R&-D"


def test_mailbox_names_in_utf8() -> None:
    assert UTF8_FORM.mailbox("R&D") == b"R&D"
    assert UTF8_FORM.mailbox('Ent"würfe') == '"Ent\\"würfe"'.encode()
    assert render.list_line(UTF8_FORM, "INBOX.ü", []) == '* LIST () "." "INBOX.ü"\r\n'.encode()


def test_flags_stand_in_one_order_and_recent_is_last() -> None:
    everything = sum(SystemFlag)
    assert render.flag_list(0) == b"()"
    assert render.flag_list(SystemFlag.SEEN, "$a b") == b"(\\Seen $a b)"
    assert (
        render.flag_list(everything, "k", recent=True) == b"(\\Answered \\Flagged \\Deleted \\Seen \\Draft k \\Recent)"
    )


@given(st.integers(-62135596800, 253402300799))
def test_a_date_comes_back(seconds: int) -> None:
    _, _, _, date = first_message([b"a APPEND x " + render.date_time(seconds) + b" "])
    assert date == seconds


@pytest.mark.parametrize(
    ("seconds", "wire"),
    [
        (0, b'" 1-Jan-1970 00:00:00 +0000"'),
        (837596665.9, b'"17-Jul-1996 09:44:25 +0000"'),
        (-1, b'"31-Dec-1969 23:59:59 +0000"'),
    ],
)
def test_dates(seconds: float, wire: bytes) -> None:
    assert render.date_time(seconds) == wire


def test_list_lines() -> None:
    assert render.list_line(FORM, "INBOX", ["\\HasNoChildren"]) == b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
    assert render.list_line(FORM, "a b/ü", [], response="LSUB") == b'* LSUB () "/" "a b/&APw-"\r\n'
    assert (
        render.list_line(FORM, "x", ["\\Noselect"], child_info=["SUBSCRIBED"])
        == b'* LIST (\\Noselect) "/" x ("CHILDINFO" ("SUBSCRIBED"))\r\n'
    )


def test_status_lines() -> None:
    assert render.status_line(FORM, "x", {"MESSAGES": 3, "UIDNEXT": 9}) == b"* STATUS x (MESSAGES 3 UIDNEXT 9)\r\n"
