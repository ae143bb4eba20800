"""Rows to search, with the values that several conditions derive from them computed once."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import cached_property
from typing import Final

from attrs import field, frozen

from pymailsuite.imap.batch import Batch
from pymailsuite.interfaces import Column, MessageRow
from pymailsuite.message.extraction import NO_EXTRACTION, TextExtraction
from pymailsuite.message.search import body_texts, fold_text, header_text
from pymailsuite.values import UidSet

DAY_S: Final = 86400


@frozen
class SearchContext:
    """The session's data: sequence numbers by UID, the largest in use of both kinds (0: no message), recent messages.

    ``now`` is in POSIX seconds. ``saved`` is what ``$`` means (RFC 5182). ``extraction`` makes text of attachments.
    """

    numbers: Callable[[int], int]
    largest_number: int
    largest_uid: int
    recent: Container[int]
    now: float
    saved: UidSet = field(factory=UidSet)
    extraction: TextExtraction = NO_EXTRACTION


class SearchBatch(Batch):
    """Rows to search among."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[MessageRow], context: SearchContext) -> None:
        super().__init__(columns, rows, context.numbers, context.recent)
        self.context = context
        self._texts: dict[int, MessageText] = {}
        self._lower: tuple[int, bytes] = (-1, b"")

    @cached_property
    def sequence_numbers(self) -> Sequence[int]:
        """The sequence numbers of all rows."""
        return list(map(self.numbers, self.uids))

    @cached_property
    def keyword_sets(self) -> Mapping[str, frozenset[str]]:
        """The combinations of keywords in use, in lower case: a mailbox has a few of them and many messages."""
        return {text: frozenset(text.lower().split(" ")) for text in set(self[Column.KEYWORDS])}

    @cached_property
    def lower_headers(self) -> Sequence[bytes]:
        """Behind a line feed, in lower case."""
        return [b"\n" + header.lower() for header in self[Column.HEADER]]

    def lower_octets(self, place: int, octets: bytes) -> bytes:
        """All ``octets`` of one message in lower case; of the message that was asked for last they are kept."""
        if self._lower[0] != place:
            self._lower = place, octets.lower()
        return self._lower[1]

    def text(self, place: int) -> MessageText:
        """The text of one message."""
        text = self._texts.get(place)
        if text is None:
            text = self._texts[place] = MessageText(self, place)
        return text


class MessageText:
    """The text of the message at a place of a batch, folded as it is compared; each part is made when it is needed."""

    def __init__(self, batch: SearchBatch, place: int) -> None:
        self._batch = batch
        self._place = place

    @property
    def _octets(self) -> bytes:
        octets: bytes = self._batch[Column.OCTETS][self._place]
        return octets

    @cached_property
    def header(self) -> str:
        """All fields of the header."""
        return fold_text(header_text(self._batch[Column.HEADER][self._place]))

    @cached_property
    def _content(self) -> bytes:
        return self._octets[self._batch.prefix_sizes[self._place] :]

    @cached_property
    def body(self) -> Sequence[str]:
        """Each text part, and each attachment that text is made of."""
        table, extraction = self._batch.table(self._place), self._batch.context.extraction
        return [fold_text(text) for text in body_texts(self._content, table, extraction)]

    @cached_property
    def part_fields(self) -> Sequence[str]:
        """The header of each part."""
        root, content = self._batch.table(self._place).root, self._content
        return [
            fold_text(header_text(content[part.header_start : part.body_start]))
            for part in root.walk()
            if part is not root
        ]
