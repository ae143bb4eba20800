"""The text for SEARCH: header fields and text parts, compared without regard to case.

Source: RFC 3501 §6.4.4 (BODY, TEXT, HEADER, FROM ...), RFC 5255 §4.4 for what "the same" means: both sides are
normalised (NFKC) and case-folded, as ``i;unicode-casemap`` intends. Any white space matches any other, and so does a
fold (RFC 5322 §2.2.3); the end of a line is not. HTML is searched as it stands.

A part is decoded by one decoder whether it is short or long; of a long one the text comes in windows that overlap, so
that each occurrence in the whole is found in one of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

from pymailsuite.message.charsets import charset_decoder, decode_undeclared
from pymailsuite.message.extraction import NO_EXTRACTION, TextExtraction
from pymailsuite.message.headers import field_parameters, fields, first_field
from pymailsuite.message.parts import Part, PartKind, PartTable
from pymailsuite.message.text import decode_text
from pymailsuite.message.transfer import IDENTITY, transfer_decoder


def fold_text(text: str) -> str:
    """``text`` in the form in which texts are compared."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


_GAP_MAX: Final = 200
"""The white space between two words that one space matches."""
_SPACE: Final = r"(?:[^\S\r\n]|\r?\n(?=[^\S\r\n]))"
_HAS_SPACE = re.compile(r"\s").search
_RUNS = re.compile(r"(\s+)").split


def _phrase_search(folded: str) -> re.Pattern[str]:
    """An expression for ``folded`` in which white space matches any other, and line ends match only a line end.

    No repetition stands at the beginning, and those inside are possessive: linear in the text.
    """
    words = _RUNS(folded)
    pieces = [re.escape(words[0])]
    for place in range(1, len(words), 2):
        unit = r"\s" if "\n" in words[place] else _SPACE
        is_inside = words[place - 1] and words[place + 1]
        pieces.append(f"{unit}{{1,{_GAP_MAX}}}+" if is_inside else unit)
        pieces.append(re.escape(words[place + 1]))
    return re.compile("".join(pieces))


class Needle:
    """A string to look for, folded once and matched against many texts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.folded = fold_text(text)
        self.reach = 8 * len(text) + _GAP_MAX * len(_RUNS(self.folded)) + 16
        """The practical maximum of characters that an occurrence takes in a text: normalising joins several into one,
        and white space may be wider than in the needle."""

    def found_in(self, text: str) -> bool:
        """True if ``text`` contains the string; the empty string is in every text."""
        return self.found_in_folded(fold_text(text))

    def found_in_folded(self, folded: str) -> bool:
        """The same for a text from :func:`fold_text`: fold once, search for many."""
        return self.folded in folded if self._search is None else self._search(folded) is not None

    @cached_property
    def _search(self) -> Callable[[str], object] | None:
        return _phrase_search(self.folded).search if _HAS_SPACE(self.folded) else None

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


def body_texts(octets: bytes, table: PartTable, extraction: TextExtraction = NO_EXTRACTION) -> Iterator[str]:
    """The text of a message's body, piece by piece: each text part decoded, what ``extraction`` makes of others, and
    the fields of messages inside.

    ``octets`` are those the table's offsets count in (without a prefix).
    """
    for part in table.root.walk():
        if is_readable(part):
            yield part_text(octets, part)
        elif extraction.applies(part):
            yield extraction.text(part, octets[part.body_start : part.end])
        if part.kind is PartKind.MESSAGE:
            message = part.children[0]
            yield header_text(octets[message.header_start : message.body_start])


_IS_READABLE = re.compile(r"message/.*|application/(?:.*\+)?(?:xml|json)", re.DOTALL).fullmatch


def is_readable(part: Part) -> bool:
    """True if the body of a part is text: of type text, the machine-readable reports ``message/...`` (RFC 3464, RFC
    8098, RFC 5965), XML and JSON."""
    content_type = part.content_type
    return part.kind is PartKind.LEAF and (content_type.startswith("text/") or _IS_READABLE(content_type) is not None)


class PartDecoder:
    """The body of a text part in any cut, transfer encoding and charset undone; as it stands if the encoding is not
    known. ``header`` is the header of the part, of which only the Content-Type counts."""

    def __init__(self, part: Part, header: bytes) -> None:
        charset = part.charset
        if charset in ("", "?"):
            content_type = first_field(header, b"content-type")
            charset = field_parameters(content_type).get("charset", "") if content_type else ""
        self._transfer = None if part.encoding in IDENTITY else transfer_decoder(part.encoding)
        self._charset = charset_decoder(charset)

    def feed(self, octets: bytes) -> str:
        """The text that is now complete."""
        return self._charset.decode(octets if self._transfer is None else self._transfer.feed(octets))

    def finish(self) -> str:
        """The text that was held back."""
        return self._charset.decode(b"" if self._transfer is None else self._transfer.finish(), True)


def part_text(octets: bytes, part: Part) -> str:
    """The body of a text part, as :class:`PartDecoder` has it."""
    decoder = PartDecoder(part, octets[part.header_start : part.body_start])
    return decoder.feed(octets[part.body_start : part.end]) + decoder.finish()


_CLUSTER_MAX: Final = 1000


def _cluster_start(text: str, place: int) -> int:
    """The last place, up to ``place``, at which a text can be cut in two: ASCII joins with nothing before it, and
    nothing stands before the beginning."""
    first = max(0, place - _CLUSTER_MAX)
    for at in range(min(place, len(text) - 1), first, -1):
        if text[at].isascii():
            return at
    return min(place, len(text)) if first else 0


class TextWindows:
    """A text that comes in pieces as windows, each beginning ``reach`` characters or more before the end of the last:
    each occurrence in the whole (see :meth:`Needle.found_in`) is found in one of them, and nothing else is."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._held = ""

    def feed(self, text: str) -> str:
        """The next window. The last characters are kept for the next one: following ones may combine with them."""
        text = self._held + text
        end = _cluster_start(text, len(text) - 1)
        self._held = text[_cluster_start(text, max(0, end - self._reach)) :]
        return text[:end]

    def finish(self) -> str:
        """The last window."""
        return self._held
