"""SEARCH and UID SEARCH: first by the view's data, then by data that must be read, cheap conditions first.

RFC 3501 §6.4.4, RFC 4731 (ESEARCH), RFC 5182 (SAVE), RFC 7162 §3.1.5. SORT and MULTISEARCH find and answer by the same
functions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, Protocol, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred

from pymailsuite.errors import PeerError
from pymailsuite.imap import replies
from pymailsuite.imap.batch import Slice
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.flags import FlagState
from pymailsuite.imap.grammar.search import parse_search
from pymailsuite.imap.message_limit import within_limit
from pymailsuite.imap.progress import Progress
from pymailsuite.imap.search import (
    LongMatch,
    Relevancy,
    SearchContext,
    SearchPlan,
    asks_modseq,
    compile_search,
    concerned,
    next_slice,
    render_esearch,
    render_search,
    told_modseq,
)
from pymailsuite.imap.selected import View
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.updates import FoundUpdates, SearchUpdates
from pymailsuite.imap.values import (
    RELEVANCY,
    SAVE,
    AllOf,
    AnyOf,
    HasFlag,
    HasKeyword,
    InNumbers,
    Not,
    Search,
    SearchProgram,
    SequenceSet,
)
from pymailsuite.interfaces import Column, MessageRow, Piece, Steps, drained, mapped_in_steps
from pymailsuite.interfaces.text_index import ITextNarrowing
from pymailsuite.values import UidSet

T = TypeVar("T")

_MOST_AT_ONCE: Final = 200_000
"""The messages, and a tenth of the tests, that one turn of the reactor processes; more go to a thread."""
_MOST_SAID_AT_ONCE: Final = 5_000
_FEW: Final = 8
"""Messages that are read as quickly as a piece of the text index."""
_FLAG_COLUMNS: Final = frozenset({Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.MODSEQ})

_Found = tuple[list[int], list[tuple[int, LongMatch, Slice | bool]]]
"""The matches of a piece; and its long messages, with the slice needed of each, or the result."""


def _holds(key: SearchProgram, state: FlagState) -> bool | None:
    """If a message with these flags matches; None if that takes more than its flags."""
    match key:
        case HasFlag(flag):
            return bool(state.system & flag)
        case HasKeyword(keyword):
            return keyword.lower() in state.keywords.lower().split()
        case Not(inner):
            held = _holds(inner, state)
            return None if held is None else not held
        case AllOf(keys) | AnyOf(keys):
            answers = [_holds(inner, state) for inner in keys]
            if None in answers:
                return None
            return all(answers) if isinstance(key, AllOf) else any(answers)
    return None


def _by_flags(view: View, program: SearchProgram, size: int) -> list[int] | None:
    """The result of a search by flags alone (UNSEEN, UNDELETED KEYWORD x); None if it has other keys.

    It is evaluated once for each combination of flags in use, which are few, not for each message; if they are many, it
    is a search like others.
    """
    if len(view) > _MOST_AT_ONCE:
        return None
    states = set(view.states)
    if len(states) * size > _MOST_AT_ONCE // 10:
        return None
    answers = {state: _holds(program, state) for state in states}
    if None in answers.values():
        return None
    return [uid for uid, state in zip(view.uids, view.states, strict=True) if answers[state]]


class Searching(Protocol):
    """A command that searches: SEARCH, SORT."""

    @property
    def tag(self) -> str:
        """It names what is found in the replies."""

    @property
    def program(self) -> SearchProgram:
        """The search keys."""

    @property
    def returns(self) -> Mapping[str, Any] | None:
        """The return options, as in ``values.Search``."""

    @property
    def uid(self) -> bool:
        """It is answered by UIDs."""


async def _search(context: Context, command: Search) -> bytes:
    """RFC 3501 §6.4.4."""
    if context.rev2 and command.returns is None:
        # RFC 9051 §6.4.4: as with RETURN (ALL).
        command = evolve(command, returns={"ALL": None})
    check_charset(context, command.charset)
    limited = await saving(context, command, _search_and_tell(context, command))
    return b"OK " + limited + b"SEARCH completed"


def check_charset(context: Context, charset: str | None) -> None:
    """RFC 6855 §3: strings are in UTF-8, and to say so, or anything else, is an error. Not so in RFC 9051 §6.4.4."""
    if context.utf8 and not context.rev2 and charset is not None:
        raise PeerError("No charset may be named where UTF8=ACCEPT is enabled")


async def saving(context: Context, command: Searching, search: Coroutine[Any, Any, T]) -> T:
    """What ``search`` returns. If it fails, what was saved is gone, other than after BAD (RFC 5182 §2.1)."""
    if command.returns is None or SAVE not in command.returns:
        return await search
    view = context.selected
    try:
        return await search
    except PeerError:
        raise
    except Exception:
        view.saved = UidSet()
        raise


async def _search_and_tell(context: Context, command: Search) -> bytes:
    if command.refusal is not None:
        raise command.refusal
    view = context.selected
    begin_search(context, command)
    among, limited = searched_within_limit(context, view, command.program)
    uids = await find(context, view, command.program, Progress(context, command.tag, len(view)), among)
    await tell_found(context, view, command, uids, b"SEARCH", partial(updates_of, view, command, uids))
    return limited


def updates_of(view: View, command: Searching, uids: Sequence[int]) -> SearchUpdates:
    """What keeps the results of a SEARCH up to date."""
    find_again, watches_flags = finder_again(view, command.program)
    return FoundUpdates(command.tag, uids, find_again, uid=command.uid, watches_flags=watches_flags)


def begin_search(context: Context, command: Searching) -> None:
    """Before a search: PeerError if a return option is not allowed."""
    known = context.shared.vocabulary.search_returns
    for name in command.returns or ():
        before = known[name].before
        if before is not None:
            before(context, command)
    if asks_modseq(command.program):
        context.use_condstore()


async def tell_found(
    context: Context,
    view: View,
    command: Searching,
    uids: Sequence[int],
    name: bytes,
    updates: Callable[[], SearchUpdates],
    where: str = "",
) -> None:
    """Answer what was found, in the order of ``uids``, as the return options want it; ``name`` is the response without
    any. ``updates`` makes what keeps the results up to date. ``where`` names the mailbox in the response."""
    returns = command.returns
    told = returns
    known = context.shared.vocabulary.search_returns
    if returns is not None:
        told = {name: argument for name, argument in returns.items() if known[name].is_told}
        if SAVE in returns:
            kept = await in_turns(view.mail, uids, "save what was found", _saved(told, uids))
            if len(kept.ranges) > context.settings.saved_ranges:
                raise replies.NotSaved()
            view.saved = kept
    # RFC 5182 §2.1: with SAVE alone nothing else was asked for.
    if told or returns is None or returns.keys() != {SAVE}:
        scores: Sequence[int] = ()
        if returns is not None and RELEVANCY in returns:
            scored = await relevancy(context, view, command.program, uids)
            scores = [scored.get(uid, 1) for uid in uids]
        answer = _reply(view, command, told, uids, name, where, scores)
        context.out += await in_turns(view.mail, uids, "say what was found", answer)
    for word in returns or ():
        after = known[word].after
        if after is not None:
            after(context, command, updates)


async def relevancy(context: Context, view: View, program: SearchProgram, uids: Sequence[int]) -> Mapping[int, int]:
    """The scores of messages that were found by FUZZY keys, by UID (RFC 6203 §4)."""
    scoring = Relevancy(program, context.shared.extraction)
    return dict(await read_found(context, view, sorted(uids), scoring.columns, scoring.scores))


async def in_turns(mail: Any, items: Sequence[Any], name: str, steps: Steps[T]) -> T:
    """What ``steps`` make of ``items``: at once of a few, of many in a thread."""
    if len(items) <= _MOST_SAID_AT_ONCE:
        return drained(steps)
    made: T = await mail.in_steps(name, steps)
    return made


def _saved(returns: Mapping[str, Any] | None, found: Sequence[int]) -> Steps[UidSet]:
    uids = concerned(returns, found)
    ranges: list[tuple[int, int]] = []
    for start in range(0, len(uids), _MOST_SAID_AT_ONCE):
        ranges += UidSet.of(uids[start : start + _MOST_SAID_AT_ONCE]).ranges
        yield
    return UidSet(ranges)


def searched_within_limit(context: Context, view: View, program: SearchProgram) -> tuple[Sequence[int] | None, bytes]:
    """The messages among which a search may look (None: all), and the response code for its OK, as of
    ``within_limit``."""
    limit = context.settings.message_limit
    if not limit or len(view) <= limit:
        return None, b""
    named = [(0, len(view))]
    for key in program.keys if isinstance(program, AllOf) else (program,):
        if isinstance(key, InNumbers):
            named = view.places_of(view.uids_of(named) & _uids_of(view, key.numbers))
    spans, limited = within_limit(context, view, named)
    return [uid for start, stop in spans for uid in view.uids[start:stop]], limited


def _uids_of(view: View, numbers: SequenceSet) -> UidSet:
    """The UIDs that the numbers of a search key mean now; a number that no message has means none."""
    if numbers.is_saved:
        return view.saved
    if numbers.uid:
        return UidSet(numbers.resolve(view.uids[-1] if len(view) else 0).ranges)
    count = len(view)
    ranges = [(low, min(high, count)) for low, high in numbers.resolve(count).ranges if low <= count]
    return view.uids_of([(low - 1, high) for low, high in ranges])


def names_numbers(program: SearchProgram) -> bool:
    """Whether a program has keys that mean something in the selected mailbox alone: sequence numbers, and ``$``."""
    match program:
        case InNumbers(numbers):
            return numbers.is_saved or not numbers.uid
        case Not(key):
            return names_numbers(key)
        case AllOf(keys) | AnyOf(keys):
            return any(map(names_numbers, keys))
    return False


def finder_again(
    view: View, program: SearchProgram
) -> tuple[Callable[[Context, View, Sequence[int]], Awaitable[Sequence[int]]], bool]:
    """What finds by the same program among some messages later, and whether that depends on flags."""
    frozen = _frozen(view, program)

    async def find_again(context: Context, view: View, uids: Sequence[int]) -> Sequence[int]:
        return await find(context, view, frozen, None, uids)

    columns = compile_search(frozen).columns
    return find_again, not _FLAG_COLUMNS.isdisjoint(columns)


def _frozen(view: View, program: SearchProgram) -> SearchProgram:
    """RFC 5267 §4.3: sequence numbers, and ``$``, name the messages that they name now."""
    match program:
        case InNumbers(numbers) if numbers.is_saved or not numbers.uid:
            return InNumbers(SequenceSet(tuple(_uids_of(view, numbers).ranges), uid=True))
        case Not(key):
            return Not(_frozen(view, key))
        case AllOf(keys):
            return AllOf(tuple(_frozen(view, key) for key in keys))
        case AnyOf(keys):
            return AnyOf(tuple(_frozen(view, key) for key in keys))
    return program


async def find(
    context: Context,
    view: View,
    program: SearchProgram,
    progress: Progress | None = None,
    among: Sequence[int] | None = None,
) -> Sequence[int]:
    """The UIDs of the messages that match, ascending; of those ``among`` some, if that is not None."""
    plan = compile_search(program)
    uids = _by_flags(view, program, plan.size) if among is None else None
    return await _search_view(context, view, plan, progress, among) if uids is None else uids


async def read_found(
    context: Context,
    view: View,
    uids: Sequence[int],
    columns: Sequence[Column],
    work: Callable[[Sequence[MessageRow]], Steps[list[T]]],
    progress: Progress | None = None,
) -> list[T]:
    """What ``work`` makes of the rows of these messages, by ascending UID; they are read in pieces, as SEARCH does."""
    settings = context.settings
    made: list[T] = []
    start = 0
    while start < len(uids):
        some = UidSet.of(uids[start : start + settings.search_piece])
        piece = await view.mail.read_in_steps(view.mailbox_id, some, columns, settings.search_octets, work)
        made += piece.result
        start = start + settings.search_piece if piece.last is None else bisect_right(uids, piece.last)
        if progress is not None:
            progress.note(start)
    return made


def number_finder(view: View, numbers: int) -> Callable[[int], int]:
    """What answers the sequence number of a UID, when so many will be asked for."""
    if numbers > _MOST_SAID_AT_ONCE // 10 and len(view) <= _MOST_AT_ONCE:
        return dict(zip(view.uids, count(1), strict=False)).__getitem__
    return view.number_of


async def _search_view(
    context: Context, view: View, plan: SearchPlan, progress: Progress | None, among: Sequence[int] | None
) -> Sequence[int]:
    recent: Any = view.recent
    known = SearchContext(
        numbers=view.number_of,
        largest_number=len(view),
        largest_uid=view.uids[-1] if len(view) else 0,
        recent=recent,
        now=context.connection.seconds(),
        saved=view.saved,
        extraction=context.shared.extraction,
    )
    uids: Sequence[int] = view.uids if among is None else among
    is_narrowed = False
    for stage in plan.stages:
        if not stage.view_only:
            if not is_narrowed:
                uids, is_narrowed = await _narrowed(context, view, uids, plan), True
            uids = await _Scan(context, view, stage, known, progress).among(uids)
        elif among is not None:
            rows = view.rows_of(among)
            uids = await in_turns(view.mail, among, "search", stage.match_in_steps(rows, known))
        # Always the first: no other stage is cheaper.
        elif len(view) * stage.size <= _MOST_AT_ONCE // 10:
            uids = stage.match(view.rows()[:], known)
        else:
            uids = await view.mail.in_steps("search", stage.match_in_steps(view.rows(), known))
        if not uids:
            break
    return uids


async def _narrowed(context: Context, view: View, uids: Sequence[int], plan: SearchPlan) -> Sequence[int]:
    """Those of ``uids`` that the text index does not exclude, if it is asked at all."""
    index = ITextNarrowing(view.mail, None)
    if plan.narrowing is None or index is None or len(uids) < _FEW:
        return uids
    form = context.shared.extraction.form
    narrowed: Sequence[int] = await index.narrowed(view.mailbox_id, uids, plan.narrowing, form)
    return narrowed


def _reply(
    view: View,
    command: Searching,
    returns: Mapping[str, Any] | None,
    uids: Sequence[int],
    name: bytes,
    where: str,
    scores: Sequence[int],
) -> Steps[list[bytes]]:
    with_modseq = asks_modseq(command.program)
    numbers: list[int] = []
    modseqs: list[int] = []
    # UID SEARCH, which most clients use, returns no sequence numbers.
    numbered = 0 if command.uid and not with_modseq else len(uids)
    if numbered:
        numbers = yield from mapped_in_steps(number_finder(view, numbered), uids, _MOST_SAID_AT_ONCE)
    if with_modseq:
        modseqs = yield from mapped_in_steps(lambda number: view.modseqs[number - 1], numbers, _MOST_SAID_AT_ONCE)
    told = told_modseq(returns, modseqs) if with_modseq else None
    found = uids if command.uid else numbers
    if returns is None:
        return (yield from render_search(found, told, name))
    return (yield from render_esearch(command.tag, command.uid, returns, found, told, where, scores))


class _Scan:
    """One stage that reads the store, piece by piece."""

    def __init__(
        self, context: Context, view: View, stage: SearchPlan, known: SearchContext, progress: Progress | None
    ) -> None:
        self._mail = view.mail
        self._progress = progress
        self._mailbox_id = view.mailbox_id
        self._stage = stage
        self._known = known
        settings = context.settings
        self._count = settings.search_piece
        self._octets = settings.search_octets

    async def among(self, uids: Sequence[int]) -> list[int]:
        """Those of ``uids`` that match."""
        found: list[int] = []
        start = 0
        while start < len(uids):
            piece = await self._read(UidSet.of(uids[start : start + self._count]))
            matching, long_matches = piece.result
            for uid, match, wanted in long_matches:
                if await self._matches(match, wanted):
                    matching.append(uid)
            found += sorted(matching) if long_matches else matching
            start = start + self._count if piece.last is None else bisect_right(uids, piece.last)
            if self._progress is not None:
                self._progress.note(start)
        return found

    def _read(self, uids: UidSet) -> Deferred[Piece[_Found]]:
        stage, known = self._stage, self._known

        def work(rows: Sequence[MessageRow]) -> Steps[_Found]:
            matching = yield from stage.match_in_steps(rows, known)
            long_matches = []
            for row in stage.long_rows(rows):
                match = stage.match_long(row, known)
                long_matches.append((row[0], match, (yield from next_slice(match))))
            return matching, long_matches

        answer: Deferred[Piece[_Found]] = self._mail.read_in_steps(
            self._mailbox_id, uids, stage.columns, self._octets, work
        )
        return answer

    async def _matches(self, match: LongMatch, wanted: Slice | bool) -> bool:
        """Read the slices that a long message needs, until there is a result."""
        while isinstance(wanted, Slice):
            wanted = await self._mail.octets_in_steps(
                self._mailbox_id, wanted.uid, wanted.start, wanted.stop, partial(next_slice, match)
            )
        return wanted


COMMANDS: Final = (
    ImapCommand("SEARCH", SELECTED, _search, parse_search, holds_numbers=True),
    ImapCommand("UID SEARCH", SELECTED, _search, partial(parse_search, uid=True)),
)
