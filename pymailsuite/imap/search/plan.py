"""A SEARCH command, compiled: which columns to read in which stage, and which rows match."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final, TypeAlias

from pymailsuite.imap.batch import Slice
from pymailsuite.imap.search.batch import SearchBatch, SearchContext
from pymailsuite.imap.search.compiling import condition_of
from pymailsuite.imap.search.conditions import All, Condition, Cost
from pymailsuite.imap.search.long import search_long
from pymailsuite.imap.search.narrowing import narrowing
from pymailsuite.imap.values import AllOf, AnyOf, Not, SearchProgram
from pymailsuite.interfaces import Column, MessageRow, Steps
from pymailsuite.interfaces.text_index import TextQuery

VIEW_COLUMNS = (Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.MODSEQ)
"""The columns that a selected view has of each message, in the order of its rows."""


LongMatch: TypeAlias = Generator[Slice | None, bytes, bool]
"""Yields slices whose octets it needs, and None where other sessions may have their turn."""

_ROWS_A_STEP: Final = 2000
_OCTETS_A_STEP: Final = 256 * 1024
_HEAVY: Final = frozenset({Column.SUBJECT, Column.HEADER, Column.OCTETS})


class SearchPlan:
    """The reads and the matching of a search. May be used by several reader threads at once.

    ``columns`` are the columns to read, Column.UID first. With ``view_only`` they are :data:`VIEW_COLUMNS` and the
    rows can come from the selected view, without the store.

    ``stages`` are plans to be run in turn, each among the messages that the one before it found; together they find the
    same messages as this plan, and read much less: ``UNSEEN FROM anna BODY tea`` reads the headers of unseen messages,
    then the octets of those from anna. A stage has one stage, itself.
    """

    def __init__(self, condition: Condition, narrowing: TextQuery | None = None) -> None:
        self._condition = condition
        self.narrowing = narrowing
        """What the text index is asked before any message is read; None: nothing."""
        self.size = condition.size
        """The number of conditions: the cost of a message."""
        self.view_only = condition.cost is Cost.VIEW
        wanted = VIEW_COLUMNS if self.view_only else (Column.UID, *condition.columns)
        self.columns: tuple[Column, ...] = tuple(dict.fromkeys(wanted))
        self.reads_octets = Column.OCTETS in self.columns
        """The columns hold whole messages, so that the caller cuts its reads by size."""
        self._octets_at = self.columns.index(Column.OCTETS) if self.reads_octets else 0
        self._heavy = [place for place, column in enumerate(self.columns) if column in _HEAVY]
        self.stages: tuple[SearchPlan, ...] = self._in_stages()

    def _in_stages(self) -> tuple[SearchPlan, ...]:
        if not isinstance(self._condition, All):
            return (self,)
        conditions = self._condition.conditions
        costs = sorted({condition.cost for condition in conditions})
        if len(costs) < 2:
            return (self,)
        return tuple(SearchPlan(All([c for c in conditions if c.cost is cost])) for cost in costs)

    def match(self, rows: Sequence[MessageRow], context: SearchContext) -> list[int]:
        """The UIDs of ``rows`` (ascending) that match, :meth:`long_rows` left out; for few rows and conditions."""
        if not rows:
            return []
        batch = SearchBatch(self.columns, rows, context)
        uids = batch.uids
        return [uids[place] for place in self._condition.pick(batch, self._places(batch))]

    def match_in_steps(self, rows: Sequence[MessageRow], context: SearchContext) -> Steps[list[int]]:
        """The same for any number of them, in a reader thread."""
        found: list[int] = []
        for some in self._in_steps(rows):
            batch = SearchBatch(self.columns, some, context)
            uids = batch.uids
            picked = yield from self._condition.pick_in_steps(batch, self._places(batch))
            found += [uids[place] for place in picked]
        return found

    def _places(self, batch: SearchBatch) -> Sequence[int]:
        if not self.reads_octets:
            return range(len(batch.uids))
        return [place for place, octets in enumerate(batch[Column.OCTETS]) if octets is not None]

    def _in_steps(self, rows: Sequence[MessageRow]) -> Iterator[Sequence[MessageRow]]:
        """The rows in groups of few rows and few octets."""
        if not self._heavy:
            for start in range(0, len(rows), _ROWS_A_STEP):
                yield rows[start : start + _ROWS_A_STEP]
            return
        if not rows:
            return
        # Most pieces are small: this test takes no Python call for each row.
        total = sum(sum(map(len, filter(None, map(itemgetter(place), rows)))) for place in self._heavy)
        if total <= _OCTETS_A_STEP and len(rows) <= _ROWS_A_STEP:
            yield rows
            return
        weights = [0] * len(rows)
        for place in self._heavy:
            weights = [weight + len(row[place] or b"") for weight, row in zip(weights, rows, strict=True)]
        totals = list(accumulate(weights))
        start = done = 0
        while start < len(rows):
            stop = min(bisect_right(totals, done + _OCTETS_A_STEP) + 1, start + _ROWS_A_STEP, len(rows))
            yield rows[start:stop]
            start, done = stop, totals[stop - 1]

    def long_rows(self, rows: Sequence[MessageRow]) -> list[MessageRow]:
        """Those of ``rows`` whose octets were too long to be read with them: each needs :meth:`match_long`."""
        return [row for row in rows if row[self._octets_at] is None] if self.reads_octets else []

    def match_long(self, row: MessageRow, context: SearchContext) -> LongMatch:
        """Whether a long message matches: yields slices to be read and sent back, returns the result.

        Only text parts are read, and none if other keys decide.
        """
        batch = SearchBatch(self.columns, (row,), context)
        decision = yield from self._condition.decide(batch, {})
        if decision is None:
            answers = yield from search_long(batch, self._condition.text_conditions())
            decision = yield from self._condition.decide(batch, answers)
        return bool(decision)


def compile_search(program: SearchProgram) -> SearchPlan:
    """The plan of a search."""
    return SearchPlan(condition_of(program), narrowing(program))


def asks_modseq(program: SearchProgram) -> bool:
    """True if MODSEQ is among the keys: the reply then has the highest mod-sequence found (RFC 7162 §3.1.5)."""
    if isinstance(program, AllOf | AnyOf):
        return any(map(asks_modseq, program.keys))
    if isinstance(program, Not):
        return asks_modseq(program.key)
    return isinstance(program, Condition) and program.asks_modseq


def next_slice(match: LongMatch, octets: bytes | None = None) -> Steps[Slice | bool]:
    """Begin :meth:`SearchPlan.match_long`, or go on with the octets it asked for (short if they are gone).

    Returns the next slice that it needs, or its result. For a reader thread.
    """
    try:
        piece = next(match) if octets is None else match.send(octets)
        while piece is None:
            yield
            piece = next(match)
    except StopIteration as end:
        return bool(end.value)
    return piece
