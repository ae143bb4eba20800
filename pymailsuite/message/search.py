"""What SEARCH looks at: header fields and text parts as text, compared without regard to case.

Source: RFC 3501 §6.4.4 (BODY, TEXT, HEADER, FROM ...), RFC 5255 §4.4 for what "the same" means: both sides are
normalised (NFKC) and case-folded, as ``i;unicode-casemap`` intends. HTML is searched as it stands.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from pymailsuite.message.charsets import decode_charset, decode_undeclared
from pymailsuite.message.headers import field_parameters, fields, first_field
from pymailsuite.message.parts import Part, PartKind, PartTable
from pymailsuite.message.text import decode_text
from pymailsuite.message.transfer import decode_transfer


def fold_text(text: str) -> str:
    """``text`` in the form in which texts are compared."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class Needle:
    """A string to look for, folded once and matched against many texts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._folded = fold_text(text)

    def found_in(self, text: str) -> bool:
        """True if ``text`` contains the string; the empty string is in every text."""
        return self._folded in fold_text(text)

    def found_in_header(self, header: bytes, name: bytes) -> bool:
        """True if a field of that name contains the string (RFC 3501 ``HEADER name string``).

        With an empty string: if there is such a field.
        """
        wanted = name.lower()
        return any(self.found_in(decode_text(body)) for found, body in fields(header) if found.lower() == wanted)

    def found_in_any_field(self, header: bytes) -> bool:
        """True if any field contains the string, its name and colon counted in (RFC 3501 ``TEXT``)."""
        return self.found_in(header_text(header))

    def found_in_body(self, octets: bytes, table: PartTable) -> bool:
        """True if a text part, or a field of a message inside, contains the string (RFC 3501 ``BODY``)."""
        return any(self.found_in(text) for text in body_texts(octets, table))

    def found_in_text(self, octets: bytes, table: PartTable) -> bool:
        """True if the header or the body contains the string, fields of parts counted in (RFC 9051 ``TEXT``)."""
        return (
            self.found_in_any_field(octets[: table.root.body_start])
            or self.found_in_body(octets, table)
            or self.found_in_part_fields(octets, table)
        )

    def found_in_part_fields(self, octets: bytes, table: PartTable) -> bool:
        """True if a field of a part contains the string: the name of an attachment, say."""
        return any(
            self.found_in(header_text(octets[part.header_start : part.body_start]))
            for part in table.root.walk()
            if part is not table.root
        )


def header_text(header: bytes) -> str:
    """All fields of a block decoded, one on a line."""
    return "\n".join([f"{decode_undeclared(name)}: {decode_text(body)}" for name, body in fields(header)])


def body_texts(octets: bytes, table: PartTable) -> Iterator[str]:
    """The text of a message's body, piece by piece: each text part decoded, and the fields of messages inside.

    ``octets`` are those the table's offsets count in (without a prefix).
    """
    for part in table.root.walk():
        if part.kind is PartKind.LEAF and part.content_type.startswith("text/"):
            yield part_text(octets, part)
        if part.kind is PartKind.MESSAGE:
            message = part.children[0]
            yield header_text(octets[message.header_start : message.body_start])


def part_text(octets: bytes, part: Part) -> str:
    """The body of a text part, transfer encoding and charset undone; as it stands if the encoding is not known."""
    body = octets[part.body_start : part.end]
    decoded = decode_transfer(body, part.encoding)
    charset = part.charset
    if not charset:
        header = octets[part.header_start : part.body_start]
        content_type = first_field(header, b"content-type")
        charset = field_parameters(content_type).get("charset", "") if content_type else ""
    return decode_charset(body if decoded is None else decoded, charset)
