"""Pieces of the text index: the words of some dozens of messages, and where words stand in them.

Each message has a line of its words, each word once; frequent words are told of all together. A string is found in the
words by one search of octets, which takes less time for all of the messages than reading a single one.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pymailsuite.interfaces.mail import Steps
from pymailsuite.interfaces.text_index import (
    AllHold,
    HoldsSimilar,
    HoldsWords,
    TextField,
    TextQuery,
    TextWords,
)
from pymailsuite.message.similar import SimilarWord
from pymailsuite.message.words import FOUND_MAX

MESSAGES_MAX: Final = 64
"""The messages of a piece: sets of them are bits of a number."""

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

    def with_similar(self, field: TextField, word: SimilarWord) -> int:
        """The messages, as bits, that have a word which is like another, and perhaps some more."""
        found = self.with_word(field, word.octets[:FOUND_MAX])
        if word.stem:
            found |= self.with_word(field, word.stem.encode("utf-8", "surrogatepass")[:FOUND_MAX])
        if found == self._everything or not word.is_varied:
            return found
        lines = b" " + self._fields.get(field, b"")
        line = done = 0
        for match in word.candidates(lines):
            if word.is_mistaken_for(match[1].decode("utf-8", "replace")):
                at = match.start(1)
                line += lines.count(b"\n", done, at)
                done = at
                if line == 0:
                    return self._everything
                found |= 1 << (line - 1)
        return found

    def holding(self, query: TextQuery) -> int:
        """The messages, as bits, for which a query holds."""
        found = 0
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
        if isinstance(query, HoldsSimilar):
            similar = SimilarWord(query.word)
            for field in query.fields:
                found |= self.with_similar(field, similar)
            return found
        held = [self.holding(inner) for inner in query.queries]
        found = self._everything if isinstance(query, AllHold) else 0
        for one in held:
            found = found & one if isinstance(query, AllHold) else found | one
        return found


def fields_of(query: TextQuery) -> frozenset[TextField]:
    """The fields that a query is about."""
    if isinstance(query, HoldsWords | HoldsSimilar):
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
