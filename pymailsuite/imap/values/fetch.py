"""The items of FETCH. Source: RFC 3501 §6.4.5, RFC 3516."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from typing import NamedTuple

from attrs import field, frozen


class SectionText(enum.Enum):
    """The kinds of sections of a part. Source: RFC 3501 §9 (section-text)."""

    ALL = ""
    HEADER = "HEADER"
    FIELDS = "HEADER.FIELDS"
    FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@frozen
class Section:
    """Between the brackets of ``BODY[...]``: ``path`` (1, 2) is part 1.2, () the message; ``fields`` as written."""

    path: tuple[int, ...] = ()
    text: SectionText = SectionText.ALL
    fields: tuple[bytes, ...] = ()


@frozen
class BodySection:
    """``BODY[section]<start.count>``; RFC822, RFC822.HEADER and RFC822.TEXT are other names for three of them.

    ``partial`` is (first octet, count). ``name`` is its name in the reply; "" is ``BODY[...]`` as asked.
    """

    section: Section = field(factory=Section)
    peek: bool = False
    partial: tuple[int, int] | None = None
    name: str = ""


@frozen
class BinarySection:
    """``BINARY[path]<start.count>``: the part with its transfer encoding undone. Source: RFC 3516 §4.2."""

    path: tuple[int, ...] = ()
    peek: bool = False
    partial: tuple[int, int] | None = None


@frozen
class BinarySize:
    """``BINARY.SIZE[path]``: how long :class:`BinarySection` would be. Source: RFC 3516 §4.2."""

    path: tuple[int, ...] = ()


class FetchItem(NamedTuple):
    """One requested item: the name of a FETCH attribute, and its parsed arguments. A tuple, so that set look-ups need
    no Python call."""

    name: str
    argument: Hashable = None
