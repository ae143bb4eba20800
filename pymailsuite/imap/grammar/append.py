"""The messages of APPEND and REPLACE, read as far as they have come. Source: RFC 3501 §9, RFC 3502, RFC 4466, RFC 4469.

A message may come as a literal, or be put together (CATENATE) from literals and from octets of other messages, named by
URLs; and there may be several messages. Octets of literals are streamed and are not here: at the end of the pieces
there either stands such a literal, or a string that comes as a literal, or nothing more.
"""

from __future__ import annotations

import enum

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.values import Flags


class Place(enum.Enum):
    """Where pieces begin: before the first message, after the octets of a message, within the list of CATENATE."""

    FIRST = enum.auto()
    NEXT = enum.auto()
    LIST = enum.auto()


@frozen
class MessageBegins:
    """A further message. ``internal_date`` is POSIX seconds, None if not given."""

    flags: Flags
    internal_date: float | None


@frozen
class OctetsOf:
    """The message goes on with what a URL names."""

    url: bytes


@frozen
class MessageEnds:
    """The list of CATENATE is closed."""


Step = MessageBegins | OctetsOf | MessageEnds


class Awaited(enum.Enum):
    """What stands at the end of the pieces."""

    NOTHING = enum.auto()
    STRING = enum.auto()
    MESSAGE = enum.auto()
    TEXT = enum.auto()
    """A part of a message, in the list of CATENATE."""


@frozen
class Messages:
    """What the pieces say, in order, and what comes next."""

    steps: tuple[Step, ...]
    awaited: Awaited


def read_messages(cursor: Cursor, place: Place, *, literal: bool) -> Messages:
    """1*append-message, on from ``place`` to the end of the pieces; with ``literal`` a literal stands there.

    append-message = [SP flag-list] [SP date-time] SP append-data   ; RFC 4466 §3
    append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"
        / "CATENATE" SP "(" cat-part *(SP cat-part) ")"   ; RFC 4469 §5
    """
    steps: list[Step] = []
    if place is Place.LIST and not _closed(cursor, steps):
        awaited = _read_parts(cursor, steps, literal)
        if awaited is not None:
            return Messages(tuple(steps), awaited)
    must_follow = place is Place.FIRST or literal
    while must_follow or not cursor.is_at_end():
        awaited = _read_message(cursor, steps, literal)
        if awaited is not None:
            return Messages(tuple(steps), awaited)
        must_follow = literal
    return Messages(tuple(steps), Awaited.NOTHING)


def _read_message(cursor: Cursor, steps: list[Step], literal: bool) -> Awaited | None:
    cursor.space()
    flags = Flags()
    if cursor.sees(b"("):
        flags = cursor.flags(is_list_optional=False)
        cursor.space()
    internal_date = cursor.try_date_time()
    if internal_date is not None:
        cursor.space()
    steps.append(MessageBegins(flags, internal_date))
    # literal8 = "~{" number "}" CRLF *OCTET   ; RFC 3516 §7
    if cursor.try_take(b"~") or cursor.is_at_end():
        return _literal(cursor, literal, Awaited.MESSAGE)
    word = cursor.try_word()
    if word not in {"CATENATE", "UTF8"}:
        raise PeerError("Expected the message as a literal")
    cursor.space()
    cursor.take(b"(", "a list of parts")
    cursor.skip_spaces()
    if word == "CATENATE":
        return _read_parts(cursor, steps, literal)
    # append-data =/ "UTF8" SP "(" literal8 ")"   ; RFC 6855 §4: the only part of a list.
    if not cursor.utf8:
        raise PeerError("UTF8=ACCEPT is not enabled")
    cursor.take(b"~", "a binary literal")
    return _literal(cursor, literal, Awaited.TEXT)


def _read_parts(cursor: Cursor, steps: list[Step], literal: bool) -> Awaited | None:
    # cat-part = "TEXT" SP literal / "URL" SP astring   ; RFC 4469 §5
    while True:
        if len(steps) >= cursor.limits.append_steps:
            raise PeerError("Too many parts")
        word = cursor.word("a part of the message")
        cursor.space()
        if word == "TEXT":
            cursor.try_take(b"~")
            return _literal(cursor, literal, Awaited.TEXT)
        if word != "URL":
            raise PeerError("Expected URL or TEXT")
        if literal and cursor.is_at_end():
            return Awaited.STRING
        steps.append(OctetsOf(cursor.astring("a URL")))
        if _closed(cursor, steps):
            return None


def _literal(cursor: Cursor, literal: bool, awaited: Awaited) -> Awaited:
    if not literal or not cursor.is_at_end():
        raise PeerError("Expected the message as a literal")
    return awaited


def _closed(cursor: Cursor, steps: list[Step]) -> bool:
    closed = cursor.try_close()
    if closed:
        steps.append(MessageEnds())
    return closed
