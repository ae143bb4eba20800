"""FETCH. Source: RFC 3501 §6.4.5 and §9, RFC 3516 (BINARY)."""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import (
    BinarySection,
    BinarySize,
    BodySection,
    Command,
    Fetch,
    FetchItem,
    Section,
    SectionText,
)

_FAST: Final = tuple(map(FetchItem, ("FLAGS", "INTERNALDATE", "RFC822.SIZE")))
_MACROS: Final[dict[str, tuple[FetchItem, ...]]] = {
    "FAST": _FAST,
    "ALL": (*_FAST, FetchItem("ENVELOPE")),
    "FULL": (*_FAST, FetchItem("ENVELOPE"), FetchItem("BODY")),
}

# fetch-att: its name ends where a section, a space or the end of the list begins
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9.-]*+")
# section-part = nz-number *("." nz-number)
_PATH = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*+")
# section-text = section-msgtext / "MIME"
# section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
_SECTION_TEXT = re.compile(rb"(?:HEADER(?:\.FIELDS(?:\.NOT)?)?|TEXT|MIME)(?=[\] ])", re.IGNORECASE)


def parse_fetch(cursor: Cursor, tag: str, uid: bool = False) -> Command:
    """fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
    [SP fetch-modifiers]   ; RFC 4466 §2.4

    An item asked for twice is answered once.
    """
    cursor.space()
    numbers = cursor.sequence_set(uid)
    cursor.space()
    if cursor.sees(b"("):
        items = fetch_items(cursor)
    else:
        name = _name(cursor)
        items = _MACROS.get(name) or (_item(cursor, name),)
    if not cursor.try_space():
        return Fetch(tag, numbers, items, uid=uid)
    modifiers = cursor.named(cursor.words.fetch_modifiers, "modifier")
    added = [item for name in modifiers for item in cursor.words.fetch_modifiers[name].adds]
    return Fetch(tag, numbers, tuple(dict.fromkeys((*items, *added))), modifiers, uid)


def fetch_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """ "(" fetch-att *(SP fetch-att) ")"."""
    names = (_name(cursor) for _ in cursor.listed(cursor.limits.fetch_items, "data items"))
    items = tuple(dict.fromkeys(_item(cursor, name) for name in names))
    if not items:
        raise PeerError("Expected a data item")
    return items


def _name(cursor: Cursor) -> str:
    return cursor.match(_NAME, "a data item")[0].decode("ascii").upper()


def _item(cursor: Cursor, name: str) -> FetchItem:
    attribute = cursor.words.fetch_attributes.get(name)
    if attribute is None:
        raise PeerError("Unknown data item")
    return FetchItem(name, attribute.parse(cursor))


def parse_body(cursor: Cursor) -> BodySection | None:
    """fetch-att =/ "BODY" section ["<" number "." nz-number ">"]; None: BODY alone."""
    return BodySection(parse_section(cursor), False, _partial(cursor)) if cursor.try_take(b"[") else None


def parse_body_peek(cursor: Cursor) -> BodySection:
    """fetch-att =/ "BODY.PEEK" section ["<" number "." nz-number ">"]."""
    cursor.take(b"[", "a section")
    return BodySection(parse_section(cursor), True, _partial(cursor))


def parse_binary(cursor: Cursor, peek: bool) -> BinarySection:
    """fetch-att =/ "BINARY" [".PEEK"] section-binary [partial]   ; RFC 3516 §7."""
    return BinarySection(_section_binary(cursor), peek, _partial(cursor))


def parse_binary_size(cursor: Cursor) -> BinarySize:
    """fetch-att =/ "BINARY.SIZE" section-binary   ; RFC 3516 §7."""
    return BinarySize(_section_binary(cursor))


def _section_binary(cursor: Cursor) -> tuple[int, ...]:
    cursor.take(b"[", "a section")
    path = _try_path(cursor)
    cursor.take(b"]", "the end of the section")
    return path


def _try_path(cursor: Cursor) -> tuple[int, ...]:
    match = cursor.try_match(_PATH)
    if match is None:
        return ()
    numbers = match[0].split(b".")
    if len(numbers) > cursor.limits.section_depth:
        raise PeerError("Section too deep")
    return tuple(map(int, numbers))


def parse_section(cursor: Cursor) -> Section:
    """section = "[" [section-spec] "]";  section-spec = section-msgtext / (section-part ["." section-text])."""
    path = _try_path(cursor)
    text = SectionText.ALL
    fields: tuple[bytes, ...] = ()
    if cursor.try_take(b".") if path else not cursor.sees(b"]"):
        text = SectionText(cursor.match(_SECTION_TEXT, "a section")[0].upper().decode("ascii"))
        if text is SectionText.MIME and not path:
            raise PeerError("MIME needs a part number")  # RFC 3501 §6.4.5
        if text in {SectionText.FIELDS, SectionText.FIELDS_NOT}:
            cursor.space()
            fields = _header_list(cursor)
    cursor.take(b"]", "the end of the section")
    return Section(path, text, fields)


def _header_list(cursor: Cursor) -> tuple[bytes, ...]:
    # header-list = "(" header-fld-name *(SP header-fld-name) ")";  header-fld-name = astring
    fields = tuple(cursor.astring("a field name") for _ in cursor.listed(cursor.limits.header_fields, "field names"))
    if not fields:
        raise PeerError("Expected a field name")
    return fields


def _partial(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.try_take(b"<"):
        return None
    first = cursor.number64()
    cursor.take(b".", "a dot")
    count = cursor.number64()
    if not count:
        raise PeerError("Zero is not allowed here")
    cursor.take(b">", "the end of the partial range")
    return first, count
