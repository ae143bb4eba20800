"""Header blocks for readers: all fields as they stand, a selection of them, and their meaning.

A block is a header with or without its empty line, such as ``Column.HEADER`` gives. For one field's meaning see
``decode_text`` (Subject), ``parse_addresses`` (From), ``parse_date`` (Date) and ``field_parameters`` (Content-Type).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from pymailsuite.message.addresses import HeaderAddress, HeaderGroup, parse_addresses
from pymailsuite.message.dates import format_date, parse_date
from pymailsuite.message.fields import unfold, whole_fields
from pymailsuite.message.parameters import decoded_parameter, parameters
from pymailsuite.message.text import decode_text

__all__ = [
    "FieldSelector",
    "HeaderAddress",
    "HeaderGroup",
    "decode_text",
    "field_parameters",
    "fields",
    "first_field",
    "format_date",
    "parse_addresses",
    "parse_date",
    "raw_lines",
    "select_fields",
    "select_fields_of",
    "unfold",
]

# Tiles a block: each match is a field with the lines folded below it, or one line that is no field. Every repetition
# is possessive, so that no input makes the expression examine an octet more than a few times.
_FIELD = re.compile(
    rb"""
    ([^\s:]++) [ \t]*+ : ( [^\n]*+ (?: \n [ \t] [^\n]*+ )*+ ) \n?+
    | [^\n]*+ \n
    | [^\n]++ \Z
    """,
    re.VERBOSE,
)
_NAMES_IN_EXPRESSION = 32


def fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """(name, body) of each field of a block, in order: the name as it stands, the body raw from after the colon on,
    folds included, without the final line end. Lines that are no fields are left out."""
    return [(name, body.removesuffix(b"\r")) for name, body in _FIELD.findall(header) if name]


def raw_lines(header: bytes) -> list[bytes]:
    """Each field of a block with the lines folded below it, and each line that is no field, as it stands."""
    return [match[0] for match in _FIELD.finditer(header)]


def first_field(header: bytes, name: bytes) -> bytes | None:
    """The unfolded body of the first field of that name (any case), white space around it removed, or None."""
    wanted = name.lower()
    for found, body in _FIELD.findall(header):
        if found.lower() == wanted:
            return unfold(body).strip()
    return None


@lru_cache(maxsize=256)
def _selection(names: frozenset[bytes], negate: bool) -> re.Pattern[bytes]:
    choice = rb"(?:%b)[ \t]*+:" % b"|".join(re.escape(name) for name in sorted(names))
    # A field begins after a line end; this literal first octet lets the search run at the speed of memchr.
    start = rb"(?!%b)[^ \t\r\n]" % choice if negate else choice
    return re.compile(rb"\n(%b[^\n]*+(?:\n[ \t][^\n]*+)*+)" % start, re.IGNORECASE)


def select_fields(header: bytes, names: Iterable[bytes], negate: bool = False) -> bytes:
    """The fields of these names (any case) as they stand, in the order of the message, and an empty line.

    With ``negate`` all other lines of the header. Source: RFC 3501 §6.4.5, HEADER.FIELDS and HEADER.FIELDS.NOT.
    """
    return select_fields_of((header,), names, negate)[0]


def select_fields_of(headers: Iterable[bytes], names: Iterable[bytes], negate: bool = False) -> list[bytes]:
    """:func:`select_fields` of many headers, at the cost of one expression run on each."""
    wanted = frozenset(name.lower() for name in names)
    # Each field that was chosen lacks its LF only.
    return [
        b"\n".join(chosen) + b"\n\r\n" if (chosen := select(b"\n" + header)) else b"\r\n"
        for select in (_chooser(wanted, negate),)
        for header in map(_ended, headers)
    ]


def _ended(header: bytes) -> bytes:
    """The block, whose last line has an end."""
    if not header or header.endswith(b"\n"):
        return header
    return header + (b"\n" if header.endswith(b"\r") else b"\r\n")


def _chooser(wanted: frozenset[bytes], negate: bool) -> Callable[[bytes], list[bytes]]:
    """A function that gives the chosen fields of a block behind a line feed."""
    if wanted and len(wanted) <= _NAMES_IN_EXPRESSION:
        return _selection(wanted, negate).findall
    every = _selection(frozenset((b"\n",)), True).findall
    return lambda block: [
        field for field in every(block) if (field.partition(b":")[0].rstrip(b" \t").lower() in wanted) is not negate
    ]


_FIELD_HELD_MAX: Final = 1024 * 1024
"""A longer field is cut: what follows in it is a line that is no field."""


class FieldSelector:
    """:func:`select_fields` of a header in pieces of any size: the whole result is the same."""

    def __init__(self, names: Iterable[bytes], negate: bool = False) -> None:
        self._names = tuple(names)
        self._negate = negate
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        """The output that is now complete."""
        held = self._held + octets
        cut = whole_fields(held) or len(held) * (len(held) > _FIELD_HELD_MAX)
        self._held = held[cut:]
        # Without the empty line, which comes at the end.
        return select_fields(held[:cut], self._names, self._negate)[:-2] if cut else b""

    def finish(self) -> bytes:
        """The rest, and the empty line."""
        return select_fields(self._held, self._names, self._negate)


def field_parameters(body: bytes, limit: int = 100) -> dict[str, str]:
    """The parameters of a field body such as Content-Type or Content-Disposition, names in lower case.

    Pieces of RFC 2231 are joined and decoded. At most ``limit`` are read.
    """
    body = unfold(body)
    found = parameters(body, 0, limit)
    names = dict.fromkeys(name.lower().partition(b"*")[0] for name, _ in found)
    decoded = {name.decode("latin-1"): decoded_parameter(found, name) for name in names}
    return {name: value for name, value in decoded.items() if value is not None}
