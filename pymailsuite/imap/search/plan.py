"""A SEARCH command, compiled: which columns to read in which stage, and which rows match."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence

from pymailsuite.imap.batch import Slice
from pymailsuite.imap.search.conditions import All, Condition, Cost, SearchBatch, SearchContext, condition_of
from pymailsuite.imap.search.long import search_long
from pymailsuite.imap.values import AllOf, AnyOf, HasModSeq, Not, SearchKey
from pymailsuite.interfaces import Column, MessageRow

VIEW_COLUMNS = (Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.MODSEQ)
"""What a selected view knows of each message, in the order of its rows."""


class SearchPlan:
    """What a search reads and what it finds. May be used by several reader threads at once.

    ``columns`` are the columns to read, Column.UID first. With ``view_only`` they are :data:`VIEW_COLUMNS` and the
    rows can come from the selected view, without the store.

    ``stages`` are plans to be run in turn, each among the messages that the one before it found; together they find
    what this plan finds, and read much less: ``UNSEEN FROM anna BODY tea`` reads the headers of what is unseen, then
    the octets of what is from anna. A stage has one stage, itself.
    """

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self.view_only = condition.cost is Cost.VIEW
        wanted = VIEW_COLUMNS if self.view_only else (Column.UID, *condition.columns)
        self.columns: tuple[Column, ...] = tuple(dict.fromkeys(wanted))
        self.reads_octets = Column.OCTETS in self.columns
        """The columns hold whole messages, so that the caller cuts its reads by size."""
        self._octets_at = self.columns.index(Column.OCTETS) if self.reads_octets else 0
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
        """The UIDs of ``rows`` (ascending) that match, :meth:`long_rows` left out; for a reader thread."""
        if not rows:
            return []
        batch = SearchBatch(self.columns, rows, context)
        places: Sequence[int] = range(len(rows))
        if self.reads_octets:
            octets = batch[Column.OCTETS]
            places = [place for place in places if octets[place] is not None]
        uids = batch.uids
        return [uids[place] for place in self._condition.pick(batch, places)]

    def long_rows(self, rows: Sequence[MessageRow]) -> list[MessageRow]:
        """Those of ``rows`` whose octets were too long to be read with them: each needs :meth:`match_long`."""
        return [row for row in rows if row[self._octets_at] is None] if self.reads_octets else []

    def match_long(self, row: MessageRow, context: SearchContext) -> Generator[Slice, bytes, bool]:
        """If a long message matches: yields slices to be read and sent back, returns the answer.

        Only text parts are read, and none if other keys decide.
        """
        batch = SearchBatch(self.columns, (row,), context)
        decision = self._condition.decide(batch, {})
        if decision is None:
            answers = yield from search_long(batch, self._condition.text_conditions())
            decision = self._condition.decide(batch, answers)
        return bool(decision)


def compile_search(program: SearchKey) -> SearchPlan:
    """The plan of a search."""
    return SearchPlan(condition_of(program))


def asks_modseq(program: SearchKey) -> bool:
    """True if MODSEQ is among the keys: the reply then tells the highest mod-sequence found (RFC 7162 §3.1.5)."""
    if isinstance(program, AllOf | AnyOf):
        return any(map(asks_modseq, program.keys))
    if isinstance(program, Not):
        return asks_modseq(program.key)
    return isinstance(program, HasModSeq)


async def read_pieces(match: Generator[Slice, bytes, bool], read: Callable[[int, int, int], Awaitable[bytes]]) -> bool:
    """Run :meth:`SearchPlan.match_long` to its answer; ``read`` gives octets of (uid, start, stop), short if gone."""
    try:
        piece = next(match)
        while True:
            piece = match.send(await read(piece.uid, piece.start, piece.stop))
    except StopIteration as answer:
        return bool(answer.value)
