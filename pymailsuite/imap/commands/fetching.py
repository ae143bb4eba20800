"""FETCH and UID FETCH: what the view knows is said from memory, the rest is read in pieces.

A piece is read and rendered in a reader thread while the one before it is on its way to the client; the next but one is
not asked for before the client has taken it. So the memory of a FETCH is two pieces, however large the mailbox.
RFC 3501 §6.4.5, RFC 7162 §3.1.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred

from pymailsuite.errors import StorageFull
from pymailsuite.imap import replies, values
from pymailsuite.imap.fetch import FetchPlan, OctetsGone, Pieces, compile_fetch, write_pieces
from pymailsuite.imap.selected import Spans, View
from pymailsuite.imap.values import Datum
from pymailsuite.interfaces import MessageRow
from pymailsuite.values import FlagChange, Flags, SystemFlag

if TYPE_CHECKING:
    from pymailsuite.imap.session import Session

_KNOWN: Final = frozenset({Datum.UID, Datum.FLAGS, Datum.MODSEQ})
"""Data items that the view answers by itself."""

_FIRST_MESSAGES: Final = 32
"""Messages of the first piece if their octets are read, of unknown size."""
_FIRST_ROWS: Final = 512
_MOST_ROWS: Final = 4096
_KNOWN_ROWS: Final = 10_000

_Batch = tuple[int, list[bytes | Pieces]]
"""How many messages were there, and their responses."""


async def fetch(session: Session, command: values.Fetch) -> bytes:
    """RFC 3501 §6.4.5."""
    view = session.selected
    if command.changed_since is not None or Datum.MODSEQ in command.items:
        session.use_condstore()
    spans = view.places(command.numbers)
    if command.changed_since is not None:
        spans = view.changed_since(spans, command.changed_since)
    if not spans:
        return b"OK FETCH completed"
    if _KNOWN.issuperset(command.items):
        await _say_known(session, view, command, spans)
        return b"OK FETCH completed"
    plan = compile_fetch(command.items, uid=command.uid, condstore=command.changed_since is not None)
    told: Spans = []
    if plan.sets_seen and not view.read_only:
        told = await _set_seen(session, view, spans)
        if told and session.condstore:
            plan = compile_fetch(command.items, uid=command.uid, condstore=True)
    wanted = sum(stop - start for start, stop in spans)
    found = await _Reading(session, view, plan, spans).send_all()
    if told and not plan.gives_flags:
        session.out.append(replies.fetched_flags(view, told, uid=command.uid, modseq=session.condstore))
    if found < wanted and not command.uid:
        # RFC 2180 §4.1.2: by number the client may not be told yet that they are gone.
        raise replies.ExpungeIssued()
    return b"OK FETCH completed"


async def _say_known(session: Session, view: View, command: values.Fetch, spans: Spans) -> None:
    items = command.items
    uid, flags = command.uid or Datum.UID in items, Datum.FLAGS in items
    modseq = command.changed_since is not None or Datum.MODSEQ in items
    cut = _Cut(spans)
    while piece := cut.take(_KNOWN_ROWS):
        session.out.append(replies.fetched_flags(view, piece, uid=uid, modseq=modseq, flags=flags))
        if not cut.is_empty:
            await session.drain()


async def _set_seen(session: Session, view: View, spans: Spans) -> Spans:
    """Set ``\\Seen`` where it lacks; the places where it did (RFC 3501 §6.4.5: the flags are told too)."""
    unseen = view.lacking(spans, SystemFlag.SEEN)
    if not unseen:
        return []
    try:
        result = await session.mail.store_flags(
            view.mailbox_id, view.uids_of(unseen), FlagChange.ADD, Flags(SystemFlag.SEEN), None
        )
    except StorageFull:
        # A full disk shall not keep anybody from reading.
        return []
    session.take_own_rows(result.changed)
    return unseen


class _Cut:
    """Spans, taken off piece by piece."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans[::-1]

    @property
    def is_empty(self) -> bool:
        return not self._spans

    def take(self, count: int) -> Spans:
        """The next ``count`` places."""
        taken: Spans = []
        while count and self._spans:
            start, stop = self._spans.pop()
            if stop - start > count:
                self._spans.append((start + count, stop))
                stop = start + count
            taken.append((start, stop))
            count -= stop - start
        return taken


class _Reading:
    """One FETCH that reads the store."""

    def __init__(self, session: Session, view: View, plan: FetchPlan, spans: Spans) -> None:
        self._session = session
        self._view = view
        self._plan = plan
        self._cut = _Cut(spans)
        self._count = _FIRST_MESSAGES if plan.reads_octets else _FIRST_ROWS
        self._found = 0

    async def send_all(self) -> int:
        """Send all responses; how many messages there were."""
        ahead = self._read()
        try:
            while ahead is not None:
                found, batch = await ahead
                ahead = None
                self._found += found
                self._adapt(batch)
                ahead = self._read()
                for octets in batch:
                    await self._send(octets)
        finally:
            if ahead is not None:
                # The client is gone; so is whoever would look at what this ends with.
                ahead.addErrback(lambda _: None)
        return self._found

    def _read(self) -> Deferred[_Batch] | None:
        """Ask for the next piece; None if that was all."""
        spans = self._cut.take(self._count)
        if not spans:
            return None
        view, plan = self._view, self._plan
        numbers: dict[int, int] = {}
        recent: Any = view.recent
        for start, stop in spans:
            numbers.update(zip(view.uids[start:stop], range(start + 1, stop + 1), strict=True))

        def convert(rows: Sequence[MessageRow]) -> _Batch:
            return len(rows), plan.render_batch(rows, numbers.__getitem__, recent)

        answer: Deferred[_Batch] = self._session.mail.read_messages(
            view.mailbox_id, view.uids_of(spans), plan.columns, convert
        )
        return answer

    def _adapt(self, batch: list[bytes | Pieces]) -> None:
        """Ask next time for as many messages as make a piece of the size that was set."""
        size = sum(len(octets) for octets in batch if isinstance(octets, bytes))
        if size:
            fitting = self._count * self._session.shared.settings.fetch_piece // size
            self._count = max(1, min(fitting, self._count * 8, _MOST_ROWS))

    async def _send(self, octets: bytes | Pieces) -> None:
        session = self._session
        if isinstance(octets, bytes):
            session.out.append(octets)
            if not self._cut.is_empty or len(octets) > session.shared.settings.fetch_piece:
                await session.drain()
            return
        await session.drain()
        try:
            await write_pieces(octets, self._read_octets, session.send_now)
        except OctetsGone:
            # A literal is half written, so nothing that could be said now would be understood.
            session.fall_silent()
            raise

    def _read_octets(self, uid: int, start: int, stop: int) -> Deferred[bytes]:
        octets: Deferred[bytes] = self._session.mail.read_octets(self._view.mailbox_id, uid, start, stop)
        return octets
