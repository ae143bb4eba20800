"""The words of a message for the text index, and where words stand in a piece of it.

SEARCH finds any run of characters in the folded text (:mod:`pymailsuite.message.search`), within words too. A text is
cut into words at white space and at ASCII punctuation. So is a string that is looked for, and then each of its pieces
lies within one word of each text that holds the string: a text without such a word need not be read. That is all that
the index says. Words are UTF-8 octets of folded text.

A piece of the index is about some dozens of messages. Its words stand one on a line, each once; for each there is a set
of the messages that have it, as bits. A string is found in the words by one search of octets, which takes less time for
all of them than reading a single message.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from pymailsuite.interfaces.text_index import AllHold, HoldsWords, TextField, TextQuery, TextWords
from pymailsuite.message.headers import decode_text
from pymailsuite.message.parts import Part, PartKind, PartTable
from pymailsuite.message.search import PartDecoder, fold_text, header_text, is_readable

FORM: Final = f"1 {unicodedata.unidata_version}"
"""How words were made: an index of another form says nothing. The folding of text follows the version of Unicode."""

MESSAGES_MAX: Final = 64
"""The messages of a piece: a bit of a 64-bit number for each."""

_PUNCTUATION: Final = bytes(octet for octet in range(33, 127) if not chr(octet).isalnum())
_BLANK: Final = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))

_WORD_MAX: Final = 64
_HALF: Final = _WORD_MAX // 2
"""A longer word (an address of a page, encoded data) is kept as overlapping pieces of _WORD_MAX octets: each run of
_HALF octets in it is in one of them. So no more than that is looked for of a word."""
_LOOKED_FOR_MIN: Final = 3
"""Shorter pieces of a string are in nearly every text."""
_LOOKED_FOR: Final = 8
"""The number of words of a string that are looked for: the longest ones."""


def words_of(text: str) -> set[bytes]:
    """The words of a text."""
    return _words(fold_text(text).encode("utf-8", "surrogatepass"))


def _words(folded: bytes) -> set[bytes]:
    words = set(folded.translate(_BLANK).split())
    if len(max(words, key=len, default=b"")) > _WORD_MAX:
        for word in [word for word in words if len(word) > _WORD_MAX]:
            words.remove(word)
            words.update(word[start : start + _WORD_MAX] for start in range(0, len(word) - _HALF, _HALF))
    return words


def words_of_needle(text: str) -> tuple[bytes, ...]:
    """Pieces of words that each text holding ``text`` has; none if it has no pieces of a useful length."""
    pieces: set[bytes] = set()
    # White space is told from the rest as the comparison does, by Unicode.
    for part in fold_text(text).split():
        pieces.update(part.encode("utf-8", "surrogatepass").translate(_BLANK).split())
    cut = {piece[:_HALF] for piece in pieces if len(piece) >= _LOOKED_FOR_MIN}
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


def body_ranges(table: PartTable) -> list[tuple[int, int]]:
    """The octets of the shared content, from and up to, that :func:`body_words` reads."""
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


def body_words(table: PartTable, read: Callable[[int, int], bytes]) -> dict[TextField, set[bytes]]:
    """The words of a body: of its text parts, of messages inside, and the fields of its parts."""
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
        if part.kind is PartKind.MESSAGE:
            message = part.children[0]
            body |= words_of(header_text(read(message.header_start, message.body_start)))
    return {TextField.BODY: body, TextField.HEADER: fields} if fields else {TextField.BODY: body}


# --- a piece of the index


class PieceMaker:
    """Collects the words of up to MESSAGES_MAX messages."""

    def __init__(self) -> None:
        self.uids: list[int] = []
        """Of the messages collected so far, in order."""
        self._places: dict[TextField, dict[bytes, int]] = {}

    def add(self, uid: int, *texts: TextWords) -> None:
        """The next message, by ascending UID."""
        bit = 1 << len(self.uids)
        self.uids.append(uid)
        for words_by_field in texts:
            for field, words in words_by_field.items():
                places = self._places.setdefault(field, {})
                get = places.get
                for word in words:
                    places[word] = get(word, 0) | bit

    def fields(self) -> list[tuple[TextField, bytes, bytes]]:
        """Of each field its words, and the packed sets of messages."""
        return [
            (field, b"\n".join(places), zlib.compress(array("Q", places.values()).tobytes(), 1))
            for field, places in sorted(self._places.items())
            if places
        ]


class WordPiece:
    """A stored piece: the words and the packed sets of each of its fields that were read."""

    def __init__(self, fields: Mapping[TextField, tuple[bytes, bytes]], everything: int) -> None:
        self._fields = fields
        self._everything = everything
        self._places: dict[TextField, array[int]] = {}

    def _sets(self, field: TextField) -> array[int]:
        sets = self._places.get(field)
        if sets is None:
            sets = self._places[field] = array("Q")
            sets.frombytes(zlib.decompress(self._fields[field][1]))
        return sets

    def with_word(self, field: TextField, piece: bytes) -> int:
        """The messages, as bits, that have a word which contains ``piece``."""
        if field not in self._fields:
            return 0
        words = self._fields[field][0]
        at = words.find(piece)
        if at < 0:
            return 0
        sets = self._sets(field)
        found = line = done = 0
        while at >= 0:
            line += words.count(b"\n", done, at)
            found |= sets[line]
            if found == self._everything:
                break
            done = words.find(b"\n", at)
            if done < 0:
                break
            at = words.find(piece, done)
        return found

    def holding(self, query: TextQuery) -> int:
        """The messages, as bits, for which a query holds."""
        if isinstance(query, HoldsWords):
            found = self._everything
            for word in query.words:
                having = 0
                for field in query.fields:
                    having |= self.with_word(field, word)
                found &= having
                if not found:
                    break
            return found
        held = [self.holding(inner) for inner in query.queries]
        found = self._everything if isinstance(query, AllHold) else 0
        for one in held:
            found = found & one if isinstance(query, AllHold) else found | one
        return found


def fields_of(query: TextQuery) -> frozenset[TextField]:
    """The fields that a query is about."""
    if isinstance(query, HoldsWords):
        return frozenset(query.fields)
    return frozenset(field for inner in query.queries for field in fields_of(inner))


def pack_uids(uids: Sequence[int]) -> bytes:
    """The UIDs of a piece as they are stored."""
    return array("I", uids).tobytes()


def unpack_uids(octets: bytes) -> Sequence[int]:
    """The UIDs of a stored piece."""
    uids = array("I")
    uids.frombytes(octets)
    return uids


def those_of(uids: Sequence[int], bits: int) -> Iterable[int]:
    """Those of a piece's UIDs whose bits are set."""
    if bits == (1 << len(uids)) - 1:
        return uids
    return [uid for place, uid in enumerate(uids) if bits >> place & 1]
