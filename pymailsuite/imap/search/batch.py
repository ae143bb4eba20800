"""Rows to search among, with what several conditions derive from them made once."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cached_property
from typing import Final

from attrs import frozen

from pymailsuite.imap.batch import Batch
from pymailsuite.interfaces import Column, MessageRow
from pymailsuite.message.envelope import date_and_subject
from pymailsuite.message.headers import parse_date
from pymailsuite.message.search import body_texts, fold_text, header_text

DAY_S: Final = 86400
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
# date = day month year   ; RFC 5322 §3.3; §4.3 allows two digits, and comments between
_WRITTEN_DAY = re.compile(rb"([0-9]{1,2})[ \t\r\n-]+([a-z]{3})[a-z]*+[ \t\r\n-]+([0-9]{2,4})(?![0-9])")


@frozen
class SearchContext:
    """What the session knows: sequence numbers by UID, the largest in use of both kinds (0: no message), who is recent.

    ``now`` is in POSIX seconds.
    """

    numbers: Callable[[int], int]
    largest_number: int
    largest_uid: int
    recent: Container[int]
    now: float


class SearchBatch(Batch):
    """Rows to search among."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[MessageRow], context: SearchContext) -> None:
        super().__init__(columns, rows, context.numbers, context.recent)
        self.context = context
        self._texts: dict[int, MessageText] = {}
        self._lower: tuple[int, bytes] = (-1, b"")

    @cached_property
    def sequence_numbers(self) -> Sequence[int]:
        """Of all rows."""
        return list(map(self.numbers, self.uids))

    @cached_property
    def keyword_sets(self) -> Mapping[str, frozenset[str]]:
        """The combinations of keywords in use, in lower case: a mailbox has a few of them and many messages."""
        return {text: frozenset(text.lower().split(" ")) for text in set(self[Column.KEYWORDS])}

    @cached_property
    def lower_headers(self) -> Sequence[bytes]:
        """Behind a line feed, in lower case."""
        return [b"\n" + header.lower() for header in self[Column.HEADER]]

    @cached_property
    def _dates_and_subjects(self) -> Sequence[tuple[bytes | None, bytes | None]]:
        return list(map(date_and_subject, self[Column.ENVELOPE]))

    @cached_property
    def written_dates(self) -> Sequence[datetime.date | None]:
        """What the Date fields say."""
        return [_written_date(body) for body, _ in self._dates_and_subjects]

    @cached_property
    def subjects(self) -> Sequence[tuple[bytes, bytes] | None]:
        """The bodies of the Subject fields, as they stand and in lower case."""
        return [None if body is None else (body, body.lower()) for _, body in self._dates_and_subjects]

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
    """The text of the message at a place of a batch, folded as it is compared; each part made when it is asked for."""

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
        """Each text part."""
        return [fold_text(text) for text in body_texts(self._content, self._batch.table(self._place))]

    @cached_property
    def part_fields(self) -> Sequence[str]:
        """The header of each part."""
        root, content = self._batch.table(self._place).root, self._content
        return [
            fold_text(header_text(content[part.header_start : part.body_start]))
            for part in root.walk()
            if part is not root
        ]


def _written_date(body: bytes | None) -> datetime.date | None:
    """The day that a Date field says, its time and zone disregarded (RFC 3501 §6.4.4)."""
    if body is None:
        return None
    body = body.lower()
    match = _WRITTEN_DAY.search(body[:200])
    if match is not None and match[2] in _MONTHS:
        year = int(match[3])
        if len(match[3]) < 4:
            # RFC 5322 §4.3: 00 to 49 are 2000 to 2049, other short years are counted from 1900.
            year += 2000 if len(match[3]) == 2 and year < 50 else 1900
        try:
            return datetime.date(year, _MONTHS[match[2]], int(match[1]))
        except ValueError:
            return None
    moment = parse_date(body)
    if moment is None:
        return None
    try:
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=moment // DAY_S)
    except OverflowError:
        return None
