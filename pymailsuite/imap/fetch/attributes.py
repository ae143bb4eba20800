"""The FETCH attributes of RFC 3501 §6.4.5, and older ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pymailsuite.imap.extension import FetchAttribute, column_attribute
from pymailsuite.imap.fetch.metadata import Arguments, Text, flag_texts, internal_dates
from pymailsuite.imap.fetch.sections import SectionItem, section_item
from pymailsuite.imap.grammar.fetch import parse_body, parse_body_peek
from pymailsuite.imap.values import BodySection, Section, SectionText
from pymailsuite.interfaces import Column


def _cached(
    name: str, template: bytes, columns: tuple[Column, ...], arguments: Callable[[], Arguments]
) -> FetchAttribute:
    return FetchAttribute(name, lambda _: Text(template, columns, arguments()))


def _body(section: BodySection | None) -> Text | SectionItem:
    if section is not None:
        return section_item(section)
    return Text(b"BODY %b", (Column.BODY,), lambda batch: (batch[Column.BODY],))


def _other_name(name: str, section: BodySection) -> FetchAttribute:
    return FetchAttribute(name, lambda _: section_item(section))


_HEADER: Final = Section(text=SectionText.HEADER)
_TEXT: Final = Section(text=SectionText.TEXT)

# fetch-att, msg-att-dynamic and msg-att-static   ; RFC 3501 §9
ATTRIBUTES: Final = (
    column_attribute("UID", b"UID %d", Column.UID),
    _cached("FLAGS", b"FLAGS (%b)", (Column.SYSTEM_FLAGS, Column.KEYWORDS), flag_texts),
    _cached("INTERNALDATE", b"INTERNALDATE %b%b%b", (Column.INTERNAL_DATE,), internal_dates),
    column_attribute("RFC822.SIZE", b"RFC822.SIZE %d", Column.SIZE),
    column_attribute("ENVELOPE", b"ENVELOPE %b", Column.ENVELOPE),
    column_attribute("BODYSTRUCTURE", b"BODYSTRUCTURE %b", Column.BODYSTRUCTURE),
    FetchAttribute("BODY", _body, parse_body),
    FetchAttribute("BODY.PEEK", section_item, parse_body_peek),
    _other_name("RFC822", BodySection(name="RFC822")),
    _other_name("RFC822.HEADER", BodySection(_HEADER, peek=True, name="RFC822.HEADER")),
    _other_name("RFC822.TEXT", BodySection(_TEXT, name="RFC822.TEXT")),
    # Attributes from before RFC 3501; the reply uses their old names.
    _other_name("RFC822.PEEK", BodySection(peek=True, name="RFC822")),
    _other_name("RFC822.TEXT.PEEK", BodySection(_TEXT, peek=True, name="RFC822.TEXT")),
)
