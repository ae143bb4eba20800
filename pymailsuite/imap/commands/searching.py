"""SEARCH and UID SEARCH: first by what the view knows, then by what must be read, cheap things first.

RFC 3501 §6.4.4, RFC 4731 (ESEARCH), RFC 7162 §3.1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred

from pymailsuite.imap import values
from pymailsuite.imap.flags import FlagState
from pymailsuite.imap.search import (
    SearchContext,
    SearchPlan,
    asks_modseq,
    compile_search,
    read_pieces,
    render_esearch,
    render_search,
    told_modseq,
)
from pymailsuite.imap.selected import View
from pymailsuite.interfaces import MessageRow
from pymailsuite.values import UidSet

if TYPE_CHECKING:
    from pymailsuite.imap.session import Session

_MOST_WITH_OCTETS: Final = 64
"""Messages read at once with all their octets: at most 16 MB of them."""


def _holds(key: values.SearchKey, state: FlagState) -> bool | None:
    """If a message with these flags matches; None if that takes more than its flags."""
    match key:
        case values.HasFlag(flag):
            return bool(state.system & flag)
        case values.HasKeyword(keyword):
            return keyword.lower() in state.keywords.lower().split()
        case values.Not(inner):
            held = _holds(inner, state)
            return None if held is None else not held
        case values.AllOf(keys) | values.AnyOf(keys):
            answers = [_holds(inner, state) for inner in keys]
            if None in answers:
                return None
            return all(answers) if isinstance(key, values.AllOf) else any(answers)
    return None


def _by_flags(view: View, program: values.SearchKey) -> list[int] | None:
    """What a search that is all about flags (UNSEEN, UNDELETED KEYWORD x) finds; None if it is about more.

    It is asked once for each combination of flags in use, which are few, not for each message.
    """
    answers = {state: _holds(program, state) for state in set(view.states)}
    if None in answers.values():
        return None
    return [uid for uid, state in zip(view.uids, view.states, strict=True) if answers[state]]


async def search(session: Session, command: values.Search) -> bytes:
    """RFC 3501 §6.4.4."""
    view = session.selected
    with_modseq = asks_modseq(command.program)
    if with_modseq:
        session.use_condstore()
    uids: Sequence[int] | None = _by_flags(view, command.program)
    if uids is None:
        uids = await _search(session, view, command.program)
    session.out.append(_reply(view, command, uids, with_modseq))
    return b"OK SEARCH completed"


async def _search(session: Session, view: View, program: values.SearchKey) -> Sequence[int]:
    recent: Any = view.recent
    context = SearchContext(
        numbers=view.number_of,
        largest_number=len(view),
        largest_uid=view.uids[-1] if len(view) else 0,
        recent=recent,
        now=session.shared.reactor.seconds(),
    )
    uids: Sequence[int] = view.uids
    for stage in compile_search(program).stages:
        if stage.view_only:
            # Always the first: nothing is cheaper.
            uids = stage.match(view.rows(), context)
        else:
            uids = await _Scan(session, view, stage, context).among(uids)
        if not uids:
            break
    return uids


def _reply(view: View, command: values.Search, uids: Sequence[int], with_modseq: bool) -> bytes:
    modseq = None
    numbers = uids
    if with_modseq or not command.uid:
        number_of = dict(zip(view.uids, count(1), strict=False))
        numbers = [number_of[uid] for uid in uids]
        if with_modseq:
            modseqs = [view.modseqs[number - 1] for number in numbers]
            modseq = told_modseq(command.returns, modseqs)
        if command.uid:
            numbers = uids
    if command.returns is None:
        return render_search(numbers, modseq)
    return render_esearch(command.tag, command.uid, command.returns, numbers, modseq)


class _Scan:
    """One stage that reads the store, piece by piece."""

    def __init__(self, session: Session, view: View, stage: SearchPlan, context: SearchContext) -> None:
        self._mail = session.mail
        self._mailbox_id = view.mailbox_id
        self._stage = stage
        self._context = context
        most = session.shared.settings.search_piece
        self._count = min(most, _MOST_WITH_OCTETS) if stage.reads_octets else most

    async def among(self, uids: Sequence[int]) -> list[int]:
        """Those of ``uids`` that match."""
        found: list[int] = []
        for start in range(0, len(uids), self._count):
            matching, long_rows = await self._read(UidSet.of(uids[start : start + self._count]))
            for row in long_rows:
                if await read_pieces(self._stage.match_long(row, self._context), self._read_octets):
                    matching.append(row[0])
            found += sorted(matching) if long_rows else matching
        return found

    def _read(self, uids: UidSet) -> Deferred[tuple[list[int], list[MessageRow]]]:
        stage, context = self._stage, self._context

        def convert(rows: Sequence[MessageRow]) -> tuple[list[int], list[MessageRow]]:
            return stage.match(rows, context), stage.long_rows(rows)

        answer: Deferred[tuple[list[int], list[MessageRow]]] = self._mail.read_messages(
            self._mailbox_id, uids, stage.columns, convert
        )
        return answer

    def _read_octets(self, uid: int, start: int, stop: int) -> Deferred[bytes]:
        octets: Deferred[bytes] = self._mail.read_octets(self._mailbox_id, uid, start, stop)
        return octets
