"""SORT: the numbers of messages in an order that the client names.

RFC 5256 §3, RFC 5957 (SORT=DISPLAY), RFC 5267 §3 (ESORT), RFC 6203 §6 (RELEVANCY).

The keys are columns of the store. They are read in pieces, and sorted in a reader thread, in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap.commands.searching import (
    begin_search,
    find,
    finder_again,
    in_turns,
    read_found,
    relevancy,
    saving,
    searched_within_limit,
    tell_found,
)
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.search import parse_search_criteria, search_returns
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.progress import Progress
from pymailsuite.imap.replies import TooManyMessages
from pymailsuite.imap.search import Relevancy
from pymailsuite.imap.selected import View
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.updates import SearchUpdates, SortedUpdates
from pymailsuite.imap.values import RELEVANCY, Command, SearchProgram
from pymailsuite.interfaces import Column, MessageRow, Steps
from pymailsuite.message.sorting import sent_moment, sorted_in_steps

_CRITERIA: Final[Mapping[str, tuple[Column, ...]]] = {
    "ARRIVAL": (Column.INTERNAL_DATE,),
    "CC": (Column.CC_MAILBOX,),
    "DATE": (Column.SENT_AT, Column.SENT_DAY, Column.INTERNAL_DATE),
    "DISPLAYFROM": (Column.FROM_DISPLAY,),
    "DISPLAYTO": (Column.TO_DISPLAY,),
    "FROM": (Column.FROM_MAILBOX,),
    RELEVANCY: (),
    "SIZE": (Column.SIZE,),
    "SUBJECT": (Column.BASE_SUBJECT,),
    "TO": (Column.TO_MAILBOX,),
}
"""Of one column it is the value that counts, of three the sent date they tell; of none it is the relevancy, behind all
columns of a row (RFC 6203 §6)."""

Criteria = tuple[tuple[str, bool], ...]
"""Names in the order of their weight, each with whether it is reversed."""


@frozen
class Sort(Command):
    """RFC 5256 §3, RFC 5267 §3. ``returns`` are as in ``values.Search``."""

    criteria: Criteria
    program: SearchProgram
    returns: Mapping[str, Any] | None = None
    uid: bool = False


def _parse(cursor: Cursor, tag: str, uid: bool = False) -> Sort:
    # sort = ["UID" SP] "SORT" [search-return-opts] SP "(" sort-criterion *(SP sort-criterion) ")" SP search-criteria
    # RFC 5267 §5
    if not uid:
        cursor.expect_numbers_allowed()
    cursor.space()
    returns = search_returns(cursor)
    criteria: dict[str, bool] = {}
    for name, is_reversed in _listed(cursor):
        # Where messages are alike by a criterion they are by its repetition.
        criteria.setdefault(name, is_reversed)
    if not criteria:
        raise PeerError("Expected a sort criterion")
    cursor.space()
    return Sort(tag, tuple(criteria.items()), parse_search_criteria(cursor), returns, uid)


def _listed(cursor: Cursor) -> Iterator[tuple[str, bool]]:
    # sort-criterion = ["REVERSE" SP] sort-key
    for _ in cursor.listed(cursor.limits.sort_keys, "sort criteria"):
        name = cursor.word("a sort criterion")
        is_reversed = name == "REVERSE"
        if is_reversed:
            cursor.space()
            name = cursor.word("a sort criterion")
        if name not in _CRITERIA:
            raise PeerError("Unknown sort criterion")
        yield name, is_reversed


def sort_columns(criteria: Criteria) -> tuple[Column, ...]:
    """What a sort reads of each message."""
    return tuple(dict.fromkeys([Column.UID, *(column for name, _ in criteria for column in _CRITERIA[name])]))


def sort_rows(rows: Sequence[MessageRow], criteria: Criteria) -> Steps[Sequence[MessageRow]]:
    """Rows of :func:`sort_columns`, which come by ascending UID, sorted. Messages that are alike by all criteria stay
    in that order, REVERSE or not (RFC 5256 §3)."""
    columns = sort_columns(criteria)
    for name, is_reversed in reversed(criteria):
        rows = yield from sorted_in_steps(rows, _key(name, columns), is_reversed)
    return rows


def _key(name: str, columns: Sequence[Column]) -> Callable[[MessageRow], Any]:
    if name == RELEVANCY:
        # The most relevant message is the first.
        return lambda row: -row[-1]
    places = [columns.index(column) for column in _CRITERIA[name]]
    if len(places) == 1:
        return itemgetter(places[0])
    values = itemgetter(*places)
    return lambda row: sent_moment(*values(row))


def _as_read(rows: Sequence[MessageRow]) -> Steps[list[MessageRow]]:
    yield
    return list(rows)


class _Descending:
    """A value that is less than another if it is greater."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def row_key(criteria: Criteria) -> Callable[[MessageRow], Any]:
    """By what :func:`sort_rows` sorts, as one key for each row."""
    columns = sort_columns(criteria)
    keys = [(_key(name, columns), is_reversed) for name, is_reversed in criteria]

    def key_of(row: MessageRow) -> tuple[Any, ...]:
        return (*[_Descending(key(row)) if is_reversed else key(row) for key, is_reversed in keys], row[0])

    return key_of


async def _sort(context: Context, command: Sort) -> bytes:
    await saving(context, command, _sort_and_tell(context, command))
    return b"OK SORT completed"


async def _sort_and_tell(context: Context, command: Sort) -> None:
    view = context.selected
    if RELEVANCY in dict(command.criteria) and not Relevancy(command.program).is_defined:
        raise PeerError("RELEVANCY without a FUZZY key for a string")
    begin_search(context, command)
    if searched_within_limit(context, view, command.program)[1]:
        # RFC 9738: the order of some says nothing of that of all.
        raise TooManyMessages(context.settings.message_limit)
    progress = Progress(context, command.tag, len(view))
    uids = await find(context, view, command.program, progress)
    rows = await _read_rows(context, view, command, uids, progress)
    in_order = await in_turns(view.mail, rows, "sort", sort_rows(rows, command.criteria))
    # Those that were expunged meanwhile are not among them.
    found = list(map(itemgetter(0), in_order))
    await tell_found(context, view, command, found, b"SORT", partial(_updates, view, command, in_order))


async def _read_rows(
    context: Context, view: View, command: Sort, uids: Sequence[int], progress: Progress | None = None
) -> Sequence[MessageRow]:
    rows = await read_found(context, view, uids, sort_columns(command.criteria), _as_read, progress)
    if RELEVANCY not in dict(command.criteria):
        return rows
    scores = await relevancy(context, view, command.program, uids)
    return [(*row, scores.get(row[0], 1)) for row in rows]


def _updates(view: View, command: Sort, rows: Sequence[MessageRow]) -> SearchUpdates:
    find_again, watches_flags = finder_again(view, command.program)

    async def read(context: Context, view: View, uids: Sequence[int]) -> Sequence[MessageRow]:
        return await _read_rows(context, view, command, uids)

    key = row_key(command.criteria)
    return SortedUpdates(command.tag, rows, find_again, read, key, uid=command.uid, watches_flags=watches_flags)


SORT = ImapExtension(
    "SORT",
    after_login("SORT", "SORT=DISPLAY"),
    commands=(
        ImapCommand("SORT", SELECTED, _sort, _parse, holds_numbers=True),
        ImapCommand("UID SORT", SELECTED, _sort, partial(_parse, uid=True), holds_numbers=True),
    ),
    position=12,
)
