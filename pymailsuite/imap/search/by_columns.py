"""Conditions on the view's data and on other small columns."""

from __future__ import annotations

import datetime
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from pymailsuite.imap.search.batch import DAY_S, SearchBatch, SearchContext
from pymailsuite.imap.search.conditions import Condition, Cost
from pymailsuite.imap.values import DateKind, DateRelation, HasDate, HasFlag, HasKeyword, InNumbers, IsLarger, IsSmaller
from pymailsuite.interfaces import Column

# --- by the view's data ---------------------------------------------------------------------------------------------


class ByNumber(Condition):
    """By sequence number or UID, or as the result that was saved."""

    def __init__(self, key: InNumbers) -> None:
        self._numbers = key.numbers
        self._by_uid = key.numbers.uid or key.numbers.is_saved
        self._meant: tuple[Sequence[int], Sequence[int]] | None = None

    def _ranges(self, context: SearchContext) -> tuple[Sequence[int], Sequence[int]]:
        """The starts and ends of the ranges, which each batch needs and which are computed once."""
        if self._meant is None:
            largest = context.largest_uid if self._by_uid else context.largest_number
            ranges = context.saved.ranges if self._numbers.is_saved else self._numbers.resolve(largest).ranges
            self._meant = [low for low, _ in ranges], [high for _, high in ranges]
        return self._meant

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        # Both kinds of numbers ascend with the rows. One that no message has matches nothing.
        ours = batch.uids if self._by_uid else batch.sequence_numbers
        lows, highs = self._ranges(batch.context)
        reached = range(bisect_left(highs, ours[0]), bisect_right(lows, ours[-1]))
        spans = [(bisect_left(ours, lows[at]), bisect_right(ours, highs[at])) for at in reached]
        if not spans or spans == [(0, len(ours))]:
            return places if spans else ()
        picked = frozenset(place for start, stop in spans for place in range(start, stop))
        return [place for place in places if place in picked]


class ByFlag(Condition):
    """By a system flag."""

    columns = (Column.SYSTEM_FLAGS,)

    def __init__(self, key: HasFlag) -> None:
        self._bit = key.flag.value

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        system, bit = batch[Column.SYSTEM_FLAGS], self._bit
        return [place for place in places if system[place] & bit]


class ByKeyword(Condition):
    """By a keyword."""

    columns = (Column.KEYWORDS,)

    def __init__(self, key: HasKeyword) -> None:
        self._keyword = key.keyword.lower()

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        keywords: Sequence[str] = batch[Column.KEYWORDS]
        combinations = {text for text, words in batch.keyword_sets.items() if self._keyword in words}
        if not combinations:
            return ()
        return [place for place in places if keywords[place] in combinations]


class ByRecent(Condition):
    r"""By ``\Recent``."""

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        uids, recent = batch.uids, batch.recent_uids
        return [place for place in places if uids[place] in recent]


# --- by other small columns -----------------------------------------------------------------------------------------


class BySize(Condition):
    """By RFC822.SIZE."""

    cost = Cost.ROW
    columns = (Column.SIZE,)

    def __init__(self, key: IsLarger | IsSmaller) -> None:
        self._octets = key.octets
        self._is_larger = isinstance(key, IsLarger)

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        sizes, octets = batch[Column.SIZE], self._octets
        if self._is_larger:
            return [place for place in places if sizes[place] > octets]
        return [place for place in places if sizes[place] < octets]


class ByStoredDate(Condition):
    """By a date the store keeps. It keeps moments, so their day is that of UTC."""

    cost = Cost.ROW

    def __init__(self, key: HasDate) -> None:
        self._column = Column.SAVE_DATE if key.kind is DateKind.SAVED else Column.INTERNAL_DATE
        self.columns = (self._column,)
        start = float(DAY_S * (key.date.toordinal() - datetime.date(1970, 1, 1).toordinal()))
        self._from = float("-inf") if key.relation is DateRelation.BEFORE else start
        self._until = {
            DateRelation.BEFORE: start,
            DateRelation.ON: start + DAY_S,
            DateRelation.SINCE: float("inf"),
        }[key.relation]

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        dates, start, stop = batch[self._column], self._from, self._until
        return [place for place in places if (date := dates[place]) is not None and start <= date < stop]
