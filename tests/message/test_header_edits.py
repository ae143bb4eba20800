"""Edits of a header leave all that they do not name as it stands."""

from __future__ import annotations

import pytest

from pymailsuite.interfaces.edits import AddField, HeaderEdit, RemoveField, ReplaceField
from pymailsuite.message.header_edits import edited_header

HEADER = b"Received: one\r\n\tfolded\r\nSubject: a\r\nno field\r\nX-A: 1\r\nx-a : 2\r\nX-AB: 3\r\n\r\n"


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((AddField(b"X: y\r\n"),), b"X: y\r\n" + HEADER),
        ((AddField(b"X: y\r\n\tz\r\n", at_end=True),), HEADER[:-2] + b"X: y\r\n\tz\r\n\r\n"),
        ((AddField(b"A: 1\r\n"), AddField(b"B: 2\r\n")), b"B: 2\r\nA: 1\r\n" + HEADER),
        ((RemoveField(b"received"),), HEADER.removeprefix(b"Received: one\r\n\tfolded\r\n")),
        ((RemoveField(b"X-A"),), HEADER.replace(b"X-A: 1\r\nx-a : 2\r\n", b"")),
        ((RemoveField(b"X-A", 0),), HEADER.replace(b"X-A: 1\r\n", b"")),
        ((RemoveField(b"X-A", -1),), HEADER.replace(b"x-a : 2\r\n", b"")),
        ((RemoveField(b"X-A", 2), RemoveField(b"X-A", -3), RemoveField(b"no")), HEADER),
        ((ReplaceField(b"SUBJECT", b"Subject: b\r\n"),), HEADER.replace(b"Subject: a", b"Subject: b")),
        ((ReplaceField(b"X-A", b"X-A: 9\r\n", 1),), HEADER.replace(b"x-a : 2\r\n", b"X-A: 9\r\n")),
        ((ReplaceField(b"X-New", b"X-New: 1\r\n"),), b"X-New: 1\r\n" + HEADER),
        (
            (ReplaceField(b"Subject", b"X-Subject: b\r\n"), RemoveField(b"Subject")),
            HEADER.replace(b"Sub", b"X-Sub").replace(b" a\r", b" b\r"),
        ),
        (
            (AddField(b"Subject: c\r\n"), RemoveField(b"Subject", 1)),
            b"Subject: c\r\n" + HEADER.replace(b"Subject: a\r\n", b""),
        ),
    ],
)
def test_each_edit_sees_what_those_before_it_have_left(edits: tuple[HeaderEdit, ...], expected: bytes) -> None:
    assert edited_header(HEADER, edits) == expected


def test_headers_that_are_none_or_not_whole() -> None:
    added = (AddField(b"X: y\r\n"),)
    for header in (b"", b"\r\n"):
        assert edited_header(header, added) == b"X: y\r\n\r\n"
    assert edited_header(b"A: 1", added) == b"X: y\r\nA: 1\r\n\r\n"
    assert edited_header(b"From ann Sun\r\nA: 1\r\n\r\n", added) == b"From ann Sun\r\nX: y\r\nA: 1\r\n\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"X: y",
        b"X: y\n",
        b"X y\r\n",
        b": y\r\n",
        b"X: y\r\nZ: 1\r\n",
        b"X: \r\n\r\n",
        b"X: \0\r\n",
        b"X: a\rb\r\n",
    ],
)
def test_what_is_no_field_cannot_be_asked_for(octets: bytes) -> None:
    with pytest.raises(ValueError, match="octets"):
        AddField(octets)
    with pytest.raises(ValueError, match="octets"):
        ReplaceField(b"X", octets)


def test_what_is_no_name_cannot_be_asked_for() -> None:
    for name in (b"", b"X:", b"X Y", b"\xe4"):
        with pytest.raises(ValueError, match="name"):
            RemoveField(name)
