"""THREAD: the numbers of messages in trees, by subject or by what they refer to.

RFC 5256 §3, draft-ietf-morg-inthread (REFS).

What the messages say of each other is read in pieces and remembered (``imap.thread_memory``), and the trees are made
in a reader thread, in steps.
``message.thread_trees`` has the algorithms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from attrs import frozen

from pymailsuite.errors import LimitReached, PeerError
from pymailsuite.imap.commands.searching import find, number_finder, read_found, searched_within_limit
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.search import parse_search_criteria
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.progress import Progress
from pymailsuite.imap.replies import TooManyMessages
from pymailsuite.imap.search import asks_modseq
from pymailsuite.imap.selected import View
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command, SearchProgram
from pymailsuite.interfaces import Column, MessageRow, Steps, mapped_in_steps
from pymailsuite.message.base_subject import is_reply
from pymailsuite.message.fields import thread_fields
from pymailsuite.message.sorting import ITEMS_A_STEP, sent_moment
from pymailsuite.message.thread_trees import (
    ThreadEntry,
    ThreadTrees,
    by_ordered_subject,
    by_references,
    by_refs,
    thread_ids,
)

_SUBJECT_COLUMNS: Final = (Column.UID, Column.SENT_AT, Column.SENT_DAY, Column.INTERNAL_DATE, Column.BASE_SUBJECT)
_HEADERS_A_STEP: Final = 100
_CLOSE: Final = -1
"""Stands for the parenthesis behind a thread: no place."""


@frozen(eq=False)
class _Algorithm:
    """``columns`` are what it reads, ``entry`` makes of a row of them what ``trees`` puts into threads."""

    columns: tuple[Column, ...]
    entry: Callable[[MessageRow], ThreadEntry]
    trees: Callable[[Sequence[ThreadEntry]], Steps[ThreadTrees]]


def _with_subject(row: MessageRow) -> ThreadEntry:
    uid, sent_at, sent_day, internal_date, base_subject = row
    return ThreadEntry(uid, sent_moment(sent_at, sent_day, internal_date), base_subject)


def _with_references(row: MessageRow) -> ThreadEntry:
    uid, sent_at, sent_day, internal_date, base_subject, subject, header = row
    own_id, references = thread_ids(thread_fields(header))
    moment = sent_moment(sent_at, sent_day, internal_date)
    return ThreadEntry(uid, moment, base_subject, own_id, references, is_reply(subject, base_subject))


_ALGORITHMS: Final[Mapping[str, _Algorithm]] = {
    "ORDEREDSUBJECT": _Algorithm(_SUBJECT_COLUMNS, _with_subject, by_ordered_subject),
    # The links that are stored are those of messages of one subject.
    "REFERENCES": _Algorithm((*_SUBJECT_COLUMNS, Column.SUBJECT, Column.HEADER), _with_references, by_references),
    "REFS": _Algorithm((*_SUBJECT_COLUMNS, Column.SUBJECT, Column.HEADER), _with_references, by_refs),
}


@frozen
class Thread(Command):
    """RFC 5256 §3."""

    algorithm: str
    program: SearchProgram
    uid: bool = False


def _parse(cursor: Cursor, tag: str, uid: bool = False) -> Thread:
    # thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria   ; RFC 5256 §5
    if not uid:
        cursor.expect_numbers_allowed()
    cursor.space()
    algorithm = cursor.word("a threading algorithm")
    if algorithm not in _ALGORITHMS:
        raise PeerError("Unknown threading algorithm")
    cursor.space()
    return Thread(tag, algorithm, parse_search_criteria(cursor), uid)


async def _thread(context: Context, command: Thread) -> bytes:
    view = context.selected
    algorithm = _ALGORITHMS[command.algorithm]
    if asks_modseq(command.program):
        context.use_condstore()
    if searched_within_limit(context, view, command.program)[1]:
        # RFC 9738: a part of the messages makes other threads.
        raise TooManyMessages(context.settings.message_limit)
    progress = Progress(context, command.tag, len(view))
    uids = await find(context, view, command.program, progress)
    if len(uids) > context.settings.thread_messages:
        raise LimitReached("Too many messages for one THREAD")

    def entries_of(rows: Sequence[MessageRow]) -> Steps[list[ThreadEntry]]:
        return mapped_in_steps(algorithm.entry, rows, _HEADERS_A_STEP)

    memory = context.shared.thread_memory
    columns = algorithm.columns
    known = memory.find(view, columns)
    unknown = sorted(set(uids).difference(known)) if known else uids
    if unknown:
        read = await read_found(context, view, unknown, columns, entries_of, progress)
        known = memory.keep(view, columns, known, read)
    context.out += await view.mail.in_steps("thread", _reply(view, command.uid, algorithm, uids, known))
    return b"OK THREAD completed"


def _reply(
    view: View, uid: bool, algorithm: _Algorithm, uids: Sequence[int], known: Mapping[int, ThreadEntry]
) -> Steps[list[bytes]]:
    # A message that was expunged before it was read is left out.
    entries = [entry for entry in (yield from mapped_in_steps(known.get, uids, ITEMS_A_STEP)) if entry is not None]
    trees = yield from algorithm.trees(entries)
    numbers = [entry.uid for entry in entries]
    if not uid:
        numbers = yield from mapped_in_steps(number_finder(view, len(numbers)), numbers, ITEMS_A_STEP)
    return (yield from render_threads(trees, numbers))


def render_threads(trees: ThreadTrees, numbers: Sequence[int]) -> Steps[list[bytes]]:
    """``* THREAD``, in pieces; ``numbers`` are those of the places in the trees. Source: RFC 5256 §4.

    thread-list = "(" (thread-members / thread-nested) ")"
    """
    pieces = [b"* THREAD"]
    words = [" "] if trees.roots else []
    left = list(reversed(trees.roots))
    while left:
        place = left.pop()
        if place == _CLOSE:
            words.append(")")
            continue
        words.append("(")
        left.append(_CLOSE)
        between = ""
        children: Sequence[int] = (place,)
        # One child after the other stands in the same list.
        while len(children) == 1:
            place = children[0]
            if place < len(numbers):
                words.append(f"{between}{numbers[place]}")
                between = " "
            children = trees.children.get(place, ())
            if len(words) > ITEMS_A_STEP:
                pieces.append("".join(words).encode("ascii"))
                words.clear()
                yield
        if children:
            words.append(between)
            left.extend(reversed(children))
    pieces.append("".join(words).encode("ascii"))
    pieces.append(b"\r\n")
    return pieces


THREAD = ImapExtension(
    "THREAD",
    after_login("THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS"),
    commands=(
        ImapCommand("THREAD", SELECTED, _thread, _parse, holds_numbers=True),
        ImapCommand("UID THREAD", SELECTED, _thread, partial(_parse, uid=True), holds_numbers=True),
    ),
    position=12,
)
