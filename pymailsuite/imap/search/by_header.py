"""Conditions on the header: the date it says, the subject, any field."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

from pymailsuite.imap.search.batch import SearchBatch
from pymailsuite.imap.search.conditions import Condition, Cost, raw_form
from pymailsuite.imap.values import DateRelation, HasDate, HeaderHas
from pymailsuite.interfaces import Column
from pymailsuite.message.headers import decode_text
from pymailsuite.message.search import Needle, fold_text


def _field_pattern(name: bytes) -> re.Pattern[bytes]:
    """Finds the bodies of the fields of that name (lower case) in LF and a header in lower case."""
    return re.compile(rb"\n" + re.escape(name) + rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)")


class BySentDate(Condition):
    """By the day that the Date field says."""

    cost = Cost.ENVELOPE
    columns = (Column.ENVELOPE,)

    def __init__(self, key: HasDate) -> None:
        self._date = key.date
        self._relation = key.relation

    def _holds(self, date: datetime.date | None) -> bool:
        if date is None:
            return False
        if self._relation is DateRelation.BEFORE:
            return date < self._date
        return date == self._date or (date > self._date and self._relation is DateRelation.SINCE)

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        dates = batch.written_dates
        return [place for place in places if self._holds(dates[place])]


class BySubject(Condition):
    """By the subject of the envelope, as RFC 3501 §6.4.4 has it."""

    cost = Cost.ENVELOPE
    columns = (Column.ENVELOPE,)

    def __init__(self, key: HeaderHas) -> None:
        self._needle = Needle(key.text)
        self._raw = raw_form(key.text)
        folded = fold_text(key.text)
        self._raw_decides = self._raw is not None and len(self._raw) == len(folded)
        # Also sought in what is not decoded: clients look for encoded words too.
        self._undecoded = folded.encode("ascii") if folded.isascii() else None

    def _body_holds(self, body: bytes, lower: bytes) -> bool:
        if self._raw is not None and lower.isascii() and b"=?" not in lower:
            # Nothing to decode: most fields of most messages.
            if self._raw not in lower:
                return False
            if self._raw_decides:
                return True
        return (self._undecoded is not None and self._undecoded in lower) or self._needle.found_in(decode_text(body))

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        subjects = batch.subjects
        return [place for place in places if (subject := subjects[place]) is not None and self._body_holds(*subject)]


class ByHeader(BySubject):
    """By any field, each time it stands in the header."""

    cost = Cost.HEADER
    columns = (Column.HEADER,)

    def __init__(self, key: HeaderHas) -> None:
        super().__init__(key)
        self._bodies = _field_pattern(key.name.encode("utf-8")).finditer

    def _holds(self, header: bytes, lower: bytes) -> bool:
        for match in self._bodies(lower):
            if self._body_holds(header[match.start(1) - 1 : match.end(1) - 1], match[1]):
                return True
        return False

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        headers, lower = batch[Column.HEADER], batch.lower_headers
        return [place for place in places if self._holds(headers[place], lower[place])]
