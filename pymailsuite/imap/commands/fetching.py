"""FETCH and UID FETCH: the view's data are sent from memory, the rest is read in pieces.

A piece is read and rendered in a reader thread while the one before it is being sent to the client; the next but one is
not requested before the client has taken it. A piece ends where the octets read reach a limit, which is the lower the
more often they may stand in the responses. So the memory of a FETCH is two pieces, however large the mailbox and
whatever the items. RFC 3501 §6.4.5, RFC 7162 §3.1.4.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pymailsuite.errors import MailError, NoPermission, StorageFull
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.fetch import (
    FLAGS,
    MODSEQ,
    UID,
    FetchPlan,
    Pieces,
    Response,
    Some,
    Unanswered,
    some_pieces,
    write_in_steps,
    write_pieces,
)
from pymailsuite.imap.grammar.fetch import parse_fetch
from pymailsuite.imap.message_limit import within_limit
from pymailsuite.imap.selected import Cut, Spans, View, count_of, joined
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Fetch
from pymailsuite.interfaces import MessageRow, Piece
from pymailsuite.interfaces.rights import Right
from pymailsuite.values import FlagChange, Flags, SystemFlag, UidSet

_KNOWN: Final = frozenset({UID, FLAGS, MODSEQ})
"""Data items that the view has itself."""

_FIRST_MESSAGES: Final = 32
"""Messages of the first piece if their octets are read, of unknown size."""
_FIRST_ROWS: Final = 512
_MOST_ROWS: Final = 4096
_KNOWN_ROWS: Final = 10_000
_MANY_ROWS: Final = 1_000
"""Rows after which other sessions have their turn, since the next command may fetch as many."""


@frozen
class _Batch:
    """``found`` messages and their responses; ``unseen`` are the UIDs of those to be marked as seen that are not,
    ``keywords`` those that FLAGS tells of, as the store gives them."""

    found: int
    responses: list[Response]
    unseen: Sequence[int]
    keywords: Collection[str]


async def fetch(context: Context, command: Fetch) -> bytes:
    """RFC 3501 §6.4.5."""
    view = context.selected
    known = context.shared.vocabulary.fetch_modifiers
    for name in command.modifiers:
        before = known[name].before
        if before is not None:
            await before(context, command)
    if MODSEQ in command.items:
        context.use_condstore()
    spans = view.places(command.numbers)
    for name in sorted(command.modifiers, key=lambda name: known[name].is_last):
        narrow = known[name].narrow
        if narrow is not None:
            spans = narrow(context, spans, command.modifiers[name])
    if not spans:
        return b"OK FETCH completed"
    spans, code = within_limit(context, view, spans)
    completed = b"OK " + code + b"FETCH completed"
    if _KNOWN.issuperset(command.items):
        items = command.items
        await say_known(
            context,
            view,
            spans,
            uid=UID in items or (command.uid and not view.uid_only),
            flags=FLAGS in items,
            modseq=MODSEQ in items,
        )
        return completed
    compile_fetch = context.shared.vocabulary.compile_fetch
    plan = compile_fetch(command.items, uid=command.uid, condstore=False, uid_only=view.uid_only)
    told: Spans = []
    if plan.sets_seen and view.allows(Right.KEEP_SEEN):
        told = await _set_seen(context, view, spans)
        if told and context.condstore and plan.gives_flags:
            # Without flags the modseq, which may be that of a later change, would say that the client knows of that.
            plan = compile_fetch(
                command.items, uid=command.uid or context.qresync, condstore=True, uid_only=view.uid_only
            )
    reading = _Reading(context, view, plan, spans)
    try:
        await reading.send_all()
    except Exception:
        # Flags that were set are reported, even if the rest failed: the view counts them as reported.
        if told:
            _tell_flags(context, command, told)
        raise
    if told and not plan.gives_flags:
        _tell_flags(context, command, told)
    if reading.unseen:
        # Another session has removed \Seen, which was not reported here yet.
        _tell_flags(context, command, joined(await _add_seen(context, view, UidSet.of(reading.unseen))))
    if reading.failures:
        raise reading.failures[0]
    if reading.found < count_of(spans) and not command.uid:
        # RFC 2180 §4.1.2: during a FETCH by number their EXPUNGE must not be sent yet.
        raise replies.ExpungeIssued()
    return completed


def _tell_flags(context: Context, command: Fetch, spans: Spans) -> None:
    view = context.selected
    uid = (command.uid or context.qresync) and not view.uid_only  # RFC 7162 §3.2.4
    context.out.append(replies.fetched_flags(view, spans, uid=uid, modseq=context.condstore))


async def say_known(context: Context, view: View, spans: Spans, *, uid: bool, flags: bool, modseq: bool) -> None:
    """FETCH responses with what the view knows, in turns with other connections."""
    cut = Cut(spans)
    while piece := cut.take(_KNOWN_ROWS):
        context.out.append(replies.fetched_flags(view, piece, uid=uid, modseq=modseq, flags=flags))
        if not cut.is_empty or sum(stop - start for start, stop in piece) > _MANY_ROWS:
            await context.let_others_in()


async def _set_seen(context: Context, view: View, spans: Spans) -> Spans:
    """Set ``\\Seen`` where the view lacks it; returns those places (RFC 3501 §6.4.5: the flags are reported too).

    Before the messages are read, so that FLAGS of the same response have it.
    """
    unseen = view.lacking(spans, SystemFlag.SEEN)
    return joined(await _add_seen(context, view, view.uids_of(unseen))) if unseen else []


async def _add_seen(context: Context, view: View, uids: UidSet) -> list[int]:
    """Set ``\\Seen``; returns the places of messages that have it now."""
    try:
        result = await view.mail.store_flags(view.mailbox_id, uids, FlagChange.ADD, Flags(SystemFlag.SEEN), None)
    except (StorageFull, NoPermission):
        # Neither a full disk nor a right that was taken away meanwhile must prevent reading.
        return []
    return context.take_result(result)


class _Reading:
    """One FETCH that reads the store.

    After :meth:`send_all` ``found`` is the number of messages that existed, ``unseen`` the UIDs of those that lacked
    the ``\\Seen`` they should have, whatever the view has, and ``failures`` the reasons why some have no response.
    """

    def __init__(self, context: Context, view: View, plan: FetchPlan, spans: Spans) -> None:
        self._context = context
        self._view = view
        self._plan = plan
        self._cut = Cut(spans)
        self._count = _FIRST_MESSAGES if plan.reads_octets else _FIRST_ROWS
        self._octets = 2 * context.settings.fetch_piece // plan.copies
        self._sets_seen = plan.sets_seen and view.allows(Right.KEEP_SEEN)
        self.found = 0
        self.unseen: list[int] = []
        self.failures: list[Exception] = []

    async def send_all(self) -> None:
        """Send all responses."""
        ahead = self._read()
        try:
            while ahead is not None:
                batch = await ahead
                ahead = None
                self.unseen += batch.unseen
                self.found += batch.found
                self._adapt(batch.responses)
                ahead = self._read()
                self._context.note_keywords(batch.keywords)
                for response in batch.responses:
                    await self._send(response)
        finally:
            if ahead is not None:
                # The client has disconnected, and nothing else uses this result.
                ahead.addErrback(lambda _: None)
                ahead.cancel()

    def _read(self) -> Deferred[_Batch] | None:
        """Request the next piece; None if there is none."""
        spans = self._cut.take(self._count)
        if not spans:
            return None
        view, plan = self._view, self._plan
        numbers: dict[int, int] = {}
        recent: Any = view.recent
        for start, stop in spans:
            numbers.update(zip(view.uids[start:stop], range(start + 1, stop + 1), strict=True))

        sets_seen = self._sets_seen

        def convert(rows: Sequence[MessageRow]) -> _Batch:
            responses = plan.render_batch(rows, numbers.__getitem__, recent)
            return _Batch(len(rows), responses, plan.unseen(rows) if sets_seen else (), plan.keywords(rows))

        def take(piece: Piece[_Batch]) -> _Batch:
            if piece.last is not None:
                self._cut.put_back(spans, bisect_right(view.uids, piece.last))
            return piece.result

        answer: Deferred[Piece[_Batch]] = view.mail.read_piece(
            view.mailbox_id, view.uids_of(spans), plan.columns, self._octets, convert
        )
        return answer.addCallback(take)

    def _adapt(self, batch: list[Response]) -> None:
        """Adapt the number of messages of the next piece to the configured size."""
        size = sum(len(octets) for octets in batch if isinstance(octets, bytes))
        if size:
            fitting = self._count * self._context.settings.fetch_piece // size
            self._count = max(1, min(fitting, self._count * 8, _MOST_ROWS))

    async def _send(self, response: Response) -> None:
        context = self._context
        if isinstance(response, Unanswered):
            self._note_failure(response)
            return
        if isinstance(response, bytes):
            context.out.append(response)
            if not self._cut.is_empty or len(response) > context.settings.fetch_piece:
                await context.drain()
            return
        await context.drain()
        if self._plan.is_wide:
            await write_in_steps(partial(self._some_of, response), self._read_octets, context.send_part)
        else:
            await write_pieces(response, self._read_octets, context.send_part)
        context.mid_response = False

    def _note_failure(self, unanswered: Unanswered) -> None:
        """Note a message without a response; the others do not fail with it."""
        error = unanswered.error
        if not isinstance(error, MailError):
            self._context.connection.log.failure(
                "{event} of uid {uid}: {log_failure.value}",
                Failure(error),
                event="imap.response_failed",
                uid=unanswered.uid,
            )
            error = replies.ServerBug()
        self.failures.append(error)

    def _some_of(self, pieces: Pieces, answer: bytes | None) -> Deferred[Some]:
        context = self._context
        some: Deferred[Some] = context.mail.in_steps(
            "render", some_pieces(pieces, answer, context.settings.fetch_piece)
        )
        return some

    def _read_octets(self, uid: int, start: int, stop: int) -> Deferred[bytes]:
        octets: Deferred[bytes] = self._view.mail.read_octets(self._view.mailbox_id, uid, start, stop)
        return octets


COMMANDS: Final = (
    ImapCommand("FETCH", SELECTED, fetch, parse_fetch, holds_numbers=True),
    ImapCommand("UID FETCH", SELECTED, fetch, partial(parse_fetch, uid=True)),
)
