"""Conditions on the header: its date, its subject, any field."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Final

from pymailsuite.imap.search.batch import SearchBatch
from pymailsuite.imap.search.conditions import Condition, Cost, needle_of, raw_form
from pymailsuite.imap.values import DateRelation, HasDate, HeaderHas
from pymailsuite.interfaces import Column
from pymailsuite.message.headers import decode_text
from pymailsuite.message.search import fold_text
from pymailsuite.message.structure import NO_SENT_DAY

_EPOCH = datetime.date(1970, 1, 1).toordinal()


_BODIES_KNOWN: Final = 2000
_KNOWN_OCTETS: Final = 500
"""Bodies of fields whose results one search remembers, and their octets at most."""


def _field_pattern(name: bytes) -> re.Pattern[bytes]:
    """Finds the bodies of the fields of that name (lower case) in LF and a header in lower case."""
    return re.compile(rb"\n" + re.escape(name) + rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)")


def field_texts(name: str, header: bytes) -> list[str]:
    """The bodies of the fields of that name (lower case), decoded."""
    found = _field_pattern(name.encode("utf-8")).finditer(b"\n" + header.lower())
    return [decode_text(header[match.start(1) - 1 : match.end(1) - 1]) for match in found]


class BySentDate(Condition):
    """By the day that the Date field says, its time and zone disregarded (RFC 3501 §6.4.4)."""

    cost = Cost.KEYS
    columns = (Column.SENT_DAY,)

    def __init__(self, key: HasDate) -> None:
        day = key.date.toordinal() - _EPOCH
        self._first = NO_SENT_DAY + 1 if key.relation is DateRelation.BEFORE else day
        self._last = {
            DateRelation.BEFORE: day - 1,
            DateRelation.ON: day,
            DateRelation.SINCE: datetime.date.max.toordinal(),
        }[key.relation]

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        days, first, last = batch[Column.SENT_DAY], self._first, self._last
        return [place for place in places if first <= days[place] <= last]


class BySubject(Condition):
    """By the subject, decoded."""

    cost = Cost.KEYS
    columns = (Column.SUBJECT,)

    def __init__(self, key: HeaderHas) -> None:
        self._needle = needle_of(key)
        words = () if key.fuzzy else fold_text(key.text).split()
        self._word = max(words, key=len, default="")
        self._word_decides = self._word == fold_text(key.text)

    @staticmethod
    def can_tell(key: HeaderHas) -> bool:
        """False for keys that the stored subject cannot decide: whether there is one, and encoded words, which clients
        search in the raw field."""
        return bool(key.text) and "=?" not in key.text

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        subjects, word = batch[Column.SUBJECT], self._word
        places = [place for place in places if word in subjects[place]]
        if self._word_decides:
            return places
        found_in = self._needle.found_in_folded
        return [place for place in places if found_in(subjects[place])]


class ByHeader(Condition):
    """By any field, each time it stands in the header."""

    cost = Cost.HEADER
    columns = (Column.HEADER,)

    def __init__(self, key: HeaderHas) -> None:
        self._needle = needle_of(key)
        self._raw = None if key.fuzzy else raw_form(key.text)
        folded = fold_text(key.text)
        self._raw_decides = self._raw is not None and len(self._raw) == len(folded)
        # The raw field is searched too: clients look for encoded words.
        self._undecoded = folded.encode("ascii") if folded.isascii() else None
        self._bodies = _field_pattern(key.name.encode("utf-8")).finditer
        self._known: dict[bytes, bool] = {}
        """Whether bodies that were looked at hold the text: those of addresses are few, each in many messages."""

    def _may_hold(self, lower: Sequence[bytes], places: Sequence[int]) -> Sequence[int]:
        """The places that a quick test does not exclude; it excludes most: headers without this text that have nothing
        to decode."""
        raw = self._raw
        if raw is None:
            return places
        return [place for place in places if raw in (header := lower[place]) or b"=?" in header or not header.isascii()]

    def _body_holds(self, body: bytes, lower: bytes) -> bool:
        if self._raw is not None and lower.isascii() and b"=?" not in lower:
            # Nothing to decode: most fields of most messages.
            if self._raw not in lower:
                return False
            if self._raw_decides:
                return True
        return (self._undecoded is not None and self._undecoded in lower) or self._needle.found_in(decode_text(body))

    def _holds(self, header: bytes, lower: bytes) -> bool:
        known = self._known
        for match in self._bodies(lower):
            body = header[match.start(1) - 1 : match.end(1) - 1]
            held = known.get(body)
            if held is None:
                held = self._body_holds(body, match[1])
                if len(known) < _BODIES_KNOWN and len(body) <= _KNOWN_OCTETS:
                    known[body] = held
            if held:
                return True
        return False

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        headers, lower = batch[Column.HEADER], batch.lower_headers
        return [place for place in self._may_hold(lower, places) if self._holds(headers[place], lower[place])]
