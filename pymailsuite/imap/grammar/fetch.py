"""FETCH. Source: RFC 3501 §6.4.5 and §9, RFC 3516 (BINARY), RFC 7162 (MODSEQ, CHANGEDSINCE), RFC 8514 (SAVEDATE)."""

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
    Datum,
    Fetch,
    FetchItem,
    Section,
    SectionText,
)

_FAST: Final = (Datum.FLAGS, Datum.INTERNALDATE, Datum.SIZE)
_MACROS: Final[dict[bytes, tuple[FetchItem, ...]]] = {
    b"FAST": _FAST,
    b"ALL": (*_FAST, Datum.ENVELOPE),
    b"FULL": (*_FAST, Datum.ENVELOPE, Datum.BODY),
}

_ITEMS: Final[dict[bytes, FetchItem]] = {
    **{datum.value.encode("ascii"): datum for datum in Datum},
    b"RFC822": BodySection(name="RFC822"),
    b"RFC822.HEADER": BodySection(Section(text=SectionText.HEADER), peek=True, name="RFC822.HEADER"),
    b"RFC822.TEXT": BodySection(Section(text=SectionText.TEXT), name="RFC822.TEXT"),
    # What clients of before RFC 3501 ask for; the reply names them as it did then.
    b"RFC822.PEEK": BodySection(peek=True, name="RFC822"),
    b"RFC822.TEXT.PEEK": BodySection(Section(text=SectionText.TEXT), peek=True, name="RFC822.TEXT"),
}

# fetch-att: its name ends where a section, a space or the end of the list begins
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9.]*+")
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
        items = tuple(
            dict.fromkeys(_item(cursor, _name(cursor)) for _ in cursor.listed(cursor.limits.fetch_items, "data items"))
        )
        if not items:
            raise PeerError("Expected a data item")
    else:
        name = _name(cursor)
        items = _MACROS.get(name) or (_item(cursor, name),)
    return Fetch(tag, numbers, items, _modifiers(cursor), uid)


def _modifiers(cursor: Cursor) -> int | None:
    # fetch-modifier =/ chgsince-fetch-mod;  chgsince-fetch-mod = "CHANGEDSINCE" SP mod-sequence-value   ; RFC 7162 §7
    if not cursor.try_space():
        return None
    changed_since = None
    for _ in cursor.listed(1, "modifiers"):
        if cursor.word("a modifier") != "CHANGEDSINCE":
            raise PeerError("Unknown modifier")
        cursor.space()
        changed_since = cursor.mod_sequence()
    if changed_since is None:
        raise PeerError("Expected a modifier")
    return changed_since


def _name(cursor: Cursor) -> bytes:
    return cursor.match(_NAME, "a data item")[0].upper()


def _item(cursor: Cursor, name: bytes) -> FetchItem:
    # fetch-att =/ "BODY" section ["<" number "." nz-number ">"] / "BODY.PEEK" section [...]
    # fetch-att =/ "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary   ; RFC 3516 §7
    if name in {b"BODY", b"BODY.PEEK"} and cursor.try_take(b"["):
        section = _section(cursor)
        return BodySection(section, name == b"BODY.PEEK", _partial(cursor))
    if name in {b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE"} and cursor.try_take(b"["):
        path = _try_path(cursor)
        cursor.take(b"]", "the end of the section")
        if name == b"BINARY.SIZE":
            return BinarySize(path)
        return BinarySection(path, name == b"BINARY.PEEK", _partial(cursor))
    item = _ITEMS.get(name)
    if item is None:
        raise PeerError("Unknown data item")
    return item


def _try_path(cursor: Cursor) -> tuple[int, ...]:
    match = cursor.try_match(_PATH)
    if match is None:
        return ()
    numbers = match[0].split(b".")
    if len(numbers) > cursor.limits.section_depth:
        raise PeerError("Section too deep")
    return tuple(map(int, numbers))


def _section(cursor: Cursor) -> Section:
    # section = "[" [section-spec] "]";  section-spec = section-msgtext / (section-part ["." section-text])
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
