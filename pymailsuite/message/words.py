"""The words of a message for the text index.

SEARCH finds any run of characters in the folded text (:mod:`pymailsuite.message.search`), within words too. A text is
cut into words at white space and at ASCII punctuation. So is a string that is looked for, and then each of its pieces
lies within one word of each text that holds the string: a text without such a word need not be read. That is all that
the index says. Words are UTF-8 octets of folded text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from pymailsuite.interfaces.text_index import TextField
from pymailsuite.message.extraction import NO_EXTRACTION, TextExtraction
from pymailsuite.message.headers import decode_text
from pymailsuite.message.parts import Part, PartKind, PartTable
from pymailsuite.message.search import PartDecoder, fold_text, header_text, is_readable

FORM: Final = f"1 {unicodedata.unidata_version}"
"""How words were made: an index of another form says nothing. The folding of text follows the version of Unicode."""

_PUNCTUATION: Final = bytes(octet for octet in range(33, 127) if not chr(octet).isalnum())
_BLANK: Final = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))

_WORD_MAX: Final = 64
FOUND_MAX: Final = _WORD_MAX // 2
"""A longer word (an address of a page, encoded data) is kept as overlapping pieces of _WORD_MAX octets: each run of
FOUND_MAX octets in it is in one of them. So no more than that is looked for of a word."""
LOOKED_FOR_MIN: Final = 3
"""Shorter pieces of a string are in nearly every text."""
_LOOKED_FOR: Final = 8
"""The number of words of a string that are looked for: the longest ones."""


def words_of(text: str) -> set[bytes]:
    """The words of a text."""
    return _words(fold_text(text).encode("utf-8", "surrogatepass"))


def _words(folded: bytes) -> set[bytes]:
    words = set(folded.translate(_BLANK).split())
    if max(map(len, words), default=0) > _WORD_MAX:
        for word in [word for word in words if len(word) > _WORD_MAX]:
            words.remove(word)
            words.update(word[start : start + _WORD_MAX] for start in range(0, len(word) - FOUND_MAX, FOUND_MAX))
    return words


def folded_words(folded: str) -> frozenset[str]:
    """The words of a folded text, as text."""
    octets = b" ".join(_words(folded.encode("utf-8", "surrogatepass")))
    return frozenset(octets.decode("utf-8", "replace").split(" ")) if octets else frozenset()


def words_of_needle(text: str) -> tuple[bytes, ...]:
    """Pieces of words that each text holding ``text`` has; none if it has no pieces of a useful length."""
    pieces: set[bytes] = set()
    # White space is told from the rest as the comparison does, by Unicode.
    for part in fold_text(text).split():
        pieces.update(part.encode("utf-8", "surrogatepass").translate(_BLANK).split())
    cut = {piece[:FOUND_MAX] for piece in pieces if len(piece) >= LOOKED_FOR_MIN}
    return tuple(sorted(cut, key=lambda piece: (-len(piece), piece))[:_LOOKED_FOR])


# --- the words of a message

_FIELDS: Final = {
    b"subject": TextField.SUBJECT,
    b"from": TextField.FROM,
    b"to": TextField.TO,
    b"cc": TextField.CC,
}
FIELD_OF_NAME: Final[Mapping[str, TextField]] = {name.decode("ascii"): field for name, field in _FIELDS.items()}
"""The fields of the header that are indexed by themselves, by their names in lower case."""
_own_fields = re.compile(rb"\n(%b)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)" % b"|".join(_FIELDS)).finditer


def header_words(header: bytes) -> dict[TextField, set[bytes]]:
    """The words of a header, as it stands and decoded: SEARCH looks into both."""
    lower = b"\n" + header.lower()
    is_plain = header.isascii() and b"=?" not in header
    words = _words(lower)
    if not is_plain:
        words |= words_of(header_text(header))
    found: dict[TextField, set[bytes]] = {TextField.HEADER: words}
    for match in _own_fields(lower):
        field = _FIELDS[match[1]]
        own = found.setdefault(field, set())
        own |= _words(match[2])
        if not is_plain:
            own |= words_of(decode_text(header[match.start(2) - 1 : match.end(2) - 1]))
    return found


def subject_words(folded: str) -> dict[TextField, set[bytes]]:
    """The words of the stored subject, which SEARCH SUBJECT looks into: it lacks what databases do not take as text."""
    return {TextField.SUBJECT: _words(folded.encode("utf-8"))}


def extracted_ranges(table: PartTable, extraction: TextExtraction) -> list[tuple[int, int]]:
    """The octets of the shared content, from and up to, that text is made of for :func:`body_words`."""
    if not extraction.form:
        return []
    return [
        (part.body_start, part.end) for part in table.root.walk() if extraction.applies(part) and not is_readable(part)
    ]


def body_ranges(table: PartTable) -> list[tuple[int, int]]:
    """The octets of the shared content, from and up to, that :func:`body_words` reads besides."""
    root = table.root
    ranges = []
    for part in root.walk():
        if part is not root or _needs_header(part):
            ranges.append((part.header_start, part.body_start))
        if is_readable(part):
            ranges.append((part.body_start, part.end))
    return ranges


def _needs_header(part: Part) -> bool:
    """Whether the charset of a part is only in its header."""
    return is_readable(part) and part.charset in ("", "?")


def body_words(
    table: PartTable, read: Callable[[int, int], bytes], extraction: TextExtraction = NO_EXTRACTION
) -> dict[TextField, set[bytes]]:
    """The words of a body: of its text parts, of what ``extraction`` makes of others, of messages inside, and the
    fields of its parts."""
    body: set[bytes] = set()
    fields: set[bytes] = set()
    root = table.root
    for part in root.walk():
        header = b""
        if part is not root or _needs_header(part):
            header = read(part.header_start, part.body_start)
        if part is not root:
            fields |= words_of(header_text(header))
        if is_readable(part):
            decoder = PartDecoder(part, header)
            body |= words_of(decoder.feed(read(part.body_start, part.end)) + decoder.finish())
        elif extraction.applies(part):
            body |= words_of(extraction.text(part, read(part.body_start, part.end)))
        if part.kind is PartKind.MESSAGE:
            message = part.children[0]
            body |= words_of(header_text(read(message.header_start, message.body_start)))
    return {TextField.BODY: body, TextField.HEADER: fields} if fields else {TextField.BODY: body}
