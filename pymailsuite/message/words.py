"""The words of a message for the text index, and where words stand in a piece of it.

SEARCH finds any run of characters in the folded text (:mod:`pymailsuite.message.search`), within words too. A text is
cut into words at white space and at ASCII punctuation. So is a string that is looked for, and then each of its pieces
lies within one word of each text that holds the string: a text without such a word need not be read. That is all that
the index says. Words are UTF-8 octets of folded text.

A piece of the index is about some dozens of messages. Each has a line of its words, each word once; frequent words are
told of all together. A string is found in the words by one search of octets, which takes less time for all of the
messages than reading a single one.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from pymailsuite.interfaces.mail import Steps
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
    if max(map(len, words), default=0) > _WORD_MAX:
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


_SAMPLE: Final = 16
_OFTEN: Final = 4
"""A word that so many of the first _SAMPLE messages have is as good as in all of a piece: it would exclude few."""


class PieceMaker:
    """Collects the words of up to MESSAGES_MAX messages."""

    def __init__(self) -> None:
        self.uids: list[int] = []
        """Of the messages collected so far, in order."""
        self._texts: list[dict[TextField, set[bytes]]] = []

    def add(self, uid: int, *texts: TextWords) -> None:
        """The next message, by ascending UID."""
        self.uids.append(uid)
        words: dict[TextField, set[bytes]] = {}
        for text in texts:
            for field, some in text.items():
                words[field] = words[field] | some if field in words else some
        self._texts.append(words)

    def fields(self) -> Steps[list[tuple[TextField, bytes]]]:
        """Of each field its words in lines: the first line has frequent words, then each message has a line of its
        other words."""
        made = []
        for field in TextField:
            texts = [words.get(field, _NO_WORDS) for words in self._texts]
            if not any(texts):
                continue
            # Only operations on whole sets: a loop over all words would take as long as all else together.
            counts: Counter[bytes] = Counter()
            for some in texts[:_SAMPLE]:
                counts.update(some)
            often = {word for word, count in counts.items() if count >= _OFTEN}
            yield
            made.append((field, b"\n".join([b" ".join(some) for some in (often, *(one - often for one in texts))])))
            yield
        return made


_NO_WORDS: Final[set[bytes]] = set()


class WordPiece:
    """A stored piece about so many messages: the lines of each of its fields that were read."""

    def __init__(self, fields: Mapping[TextField, bytes], messages: int) -> None:
        self._fields = fields
        self._everything = (1 << messages) - 1

    def with_word(self, field: TextField, piece: bytes) -> int:
        """The messages, as bits, that have a word which contains ``piece``, and all of them for a frequent word."""
        lines = self._fields.get(field, b"")
        at = lines.find(piece)
        found = line = done = 0
        while at >= 0:
            line += lines.count(b"\n", done, at)
            if line == 0:
                return self._everything
            found |= 1 << (line - 1)
            done = lines.find(b"\n", at)
            if done < 0:
                break
            at = lines.find(piece, done)
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
    """The UIDs of a piece as they are stored, the same on all machines."""
    return struct.pack(f"<{len(uids)}I", *uids)


def unpack_uids(octets: bytes) -> Sequence[int]:
    """The UIDs of a stored piece."""
    return struct.unpack(f"<{len(octets) // 4}I", octets)


def those_of(uids: Sequence[int], bits: int) -> Iterable[int]:
    """Those of a piece's UIDs whose bits are set."""
    if bits == (1 << len(uids)) - 1:
        return uids
    return [uid for place, uid in enumerate(uids) if bits >> place & 1]
