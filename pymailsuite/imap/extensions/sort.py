"""SORT: the numbers of messages in an order that the client names. Source: RFC 5256 §3, RFC 5957 (SORT=DISPLAY).

The keys are columns of the store. They are read in pieces, and sorted in a reader thread, in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap.commands.searching import find, number_finder, read_found
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.search import parse_search_criteria
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.search import asks_modseq, render_search, told_modseq
from pymailsuite.imap.selected import View
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command, SearchProgram
from pymailsuite.interfaces import Column, MessageRow, Steps, mapped_in_steps
from pymailsuite.message.sorting import ITEMS_A_STEP, sent_moment, sorted_in_steps

_CRITERIA: Final[Mapping[str, tuple[Column, ...]]] = {
    "ARRIVAL": (Column.INTERNAL_DATE,),
    "CC": (Column.CC_MAILBOX,),
    "DATE": (Column.SENT_AT, Column.SENT_DAY, Column.INTERNAL_DATE),
    "DISPLAYFROM": (Column.FROM_DISPLAY,),
    "DISPLAYTO": (Column.TO_DISPLAY,),
    "FROM": (Column.FROM_MAILBOX,),
    "SIZE": (Column.SIZE,),
    "SUBJECT": (Column.BASE_SUBJECT,),
    "TO": (Column.TO_MAILBOX,),
}
"""Of one column it is the value that counts, of three the sent date they tell."""
_CRITERIA_MAX: Final = 50

Criteria = tuple[tuple[str, bool], ...]
"""Names in the order of their weight, each with whether it is reversed."""


@frozen
class Sort(Command):
    """RFC 5256 §3."""

    criteria: Criteria
    program: SearchProgram
    uid: bool = False


def _parse(cursor: Cursor, tag: str, uid: bool = False) -> Sort:
    # sort = ["UID" SP] "SORT" SP "(" sort-criterion *(SP sort-criterion) ")" SP search-criteria   ; RFC 5256 §5
    cursor.space()
    criteria: dict[str, bool] = {}
    for name, is_reversed in _listed(cursor):
        # Where messages are alike by a criterion they are by its repetition.
        criteria.setdefault(name, is_reversed)
    if not criteria:
        raise PeerError("Expected a sort criterion")
    cursor.space()
    return Sort(tag, tuple(criteria.items()), parse_search_criteria(cursor), uid)


def _listed(cursor: Cursor) -> Iterator[tuple[str, bool]]:
    # sort-criterion = ["REVERSE" SP] sort-key
    for _ in cursor.listed(_CRITERIA_MAX, "sort criteria"):
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


def sort_rows(rows: Sequence[MessageRow], criteria: Criteria) -> Steps[list[int]]:
    """The UIDs of rows of :func:`sort_columns`, which come by ascending UID, sorted. Messages that are alike by all
    criteria stay in that order, REVERSE or not (RFC 5256 §3)."""
    columns = sort_columns(criteria)
    for name, is_reversed in reversed(criteria):
        rows = yield from sorted_in_steps(rows, _key(name, columns), is_reversed)
    return [row[0] for row in rows]


def _key(name: str, columns: Sequence[Column]) -> Callable[[MessageRow], Any]:
    places = [columns.index(column) for column in _CRITERIA[name]]
    if len(places) == 1:
        return itemgetter(places[0])
    values = itemgetter(*places)
    return lambda row: sent_moment(*values(row))


def _as_read(rows: Sequence[MessageRow]) -> Steps[list[MessageRow]]:
    yield
    return list(rows)


async def _sort(context: Context, command: Sort) -> bytes:
    view = context.selected
    with_modseq = asks_modseq(command.program)
    if with_modseq:
        context.use_condstore()
    uids = await find(context, view, command.program)
    rows = await read_found(context, view, uids, sort_columns(command.criteria), _as_read)
    context.out += await context.mail.in_steps("sort", _reply(view, command, rows, with_modseq))
    return b"OK SORT completed"


def _reply(view: View, command: Sort, rows: Sequence[MessageRow], with_modseq: bool) -> Steps[list[bytes]]:
    uids = yield from sort_rows(rows, command.criteria)
    if command.uid and not with_modseq:
        return (yield from render_search(uids, name=b"SORT"))
    numbers = yield from mapped_in_steps(number_finder(view, len(uids)), uids, ITEMS_A_STEP)
    # sort-data of RFC 7162 §7
    told = told_modseq(None, [view.modseqs[number - 1] for number in numbers]) if with_modseq else None
    return (yield from render_search(uids if command.uid else numbers, told, b"SORT"))


SORT = ImapExtension(
    "SORT",
    after_login("SORT", "SORT=DISPLAY"),
    commands=(
        ImapCommand("SORT", SELECTED, _sort, _parse, holds_numbers=True),
        ImapCommand("UID SORT", SELECTED, _sort, partial(_parse, uid=True), holds_numbers=True),
    ),
    position=12,
)
