"""GETMETADATA, SETMETADATA and the METADATA option of LIST. Source: RFC 5464 §5, RFC 9590 §5."""

from __future__ import annotations

import re
from typing import Final

from attrs import field, frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import Command

# RFC 5464 §3.2: slash-separated components of printable ASCII, in any case; no "*", "%", no slash at the end.
_ENTRY: Final = re.compile(rb"/(?:private|shared)(?:/[^\x00-\x20\x7f-\xff/*%]++)*+", re.IGNORECASE)
_DEPTHS: Final = {"0": 0, "1": 1, "INFINITY": None}


@frozen
class GetMetadata(Command):
    """RFC 5464 §4.2. ``mailbox`` is empty for the server; ``depth`` None is infinity."""

    mailbox: str
    entries: tuple[str, ...]
    max_size: int | None = None
    depth: int | None = 0


@frozen
class SetMetadata(Command):
    """RFC 5464 §4.3; None removes an entry."""

    mailbox: str
    values: dict[str, bytes | None] = field(factory=dict)


def parse_get(cursor: Cursor, tag: str) -> GetMetadata:
    """getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries."""
    cursor.space()
    options = _options(cursor) if cursor.sees(b"(") else None
    if options is not None:
        cursor.space()
    mailbox = _mailbox(cursor)
    cursor.space()
    if options is None and cursor.sees(b"(") and not cursor.sees(b"(/"):
        # Departs from RFC 5464: its examples have the options here, and so have clients.
        options = _options(cursor)
        cursor.space()
    entries = parse_entries(cursor) if cursor.sees(b"(") else (_entry(cursor),)
    max_size, depth = options or (None, 0)
    return GetMetadata(tag, mailbox, entries, max_size, depth)


def parse_entries(cursor: Cursor) -> tuple[str, ...]:
    """entries = "(" entry *(SP entry) ")"."""
    entries = tuple(dict.fromkeys(_entry(cursor) for _ in cursor.listed(cursor.limits.metadata_entries, "entries")))
    if not entries:
        raise PeerError("Expected the name of an entry")
    return entries


def parse_set(cursor: Cursor, tag: str) -> SetMetadata:
    """setmetadata = "SETMETADATA" SP mailbox SP "(" entry SP value *(SP entry SP value) ")"."""
    cursor.space()
    mailbox = _mailbox(cursor)
    cursor.space()
    values: dict[str, bytes | None] = {}
    for _ in cursor.listed(cursor.limits.metadata_entries, "entries"):
        entry = _entry(cursor)
        if entry.count("/") < 2:
            raise PeerError("Expected the name of an entry")
        cursor.space()
        # value = nstring / literal8
        values[entry] = cursor.literal8() if cursor.try_take(b"~") else cursor.nstring()
    if not values:
        raise PeerError("Expected the name of an entry")
    return SetMetadata(tag, mailbox, values)


def parse_list_return(cursor: Cursor) -> tuple[str, ...]:
    """return-option =/ "METADATA" SP "(" entry *(SP entry) ")"   ; RFC 9590 §5."""
    cursor.space()
    return parse_entries(cursor)


def _mailbox(cursor: Cursor) -> str:
    # An empty name stands for the server.
    return "" if cursor.try_take(b'""') else cursor.mailbox()


def _entry(cursor: Cursor) -> str:
    octets = cursor.astring("the name of an entry")
    if not _ENTRY.fullmatch(octets) or len(octets) > cursor.limits.metadata_name:
        raise PeerError("Not the name of an entry")
    return octets.decode("ascii").lower()


def _options(cursor: Cursor) -> tuple[int | None, int | None]:
    max_size: int | None = None
    depth: int | None = 0
    for _ in cursor.listed(2, "options"):
        word = cursor.word("an option")
        cursor.space()
        if word == "MAXSIZE":
            max_size = cursor.number()
        elif word == "DEPTH":
            name = cursor.word("a depth")
            if name not in _DEPTHS:
                raise PeerError("Expected 0, 1 or infinity")
            depth = _DEPTHS[name]
        else:
            raise PeerError("Unknown option")
    return max_size, depth
