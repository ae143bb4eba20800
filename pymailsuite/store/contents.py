"""A message's octets: written in chunks, stored once, read in slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, Protocol

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.errors import MailError, NoSuchEntry, StoreUnavailable
from pymailsuite.interfaces.content import IContentWriter, StagedContent
from pymailsuite.message.structure import MessageKeys, MessageStructure
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import MAX_CHUNK, ContentId
from pymailsuite.wire.line_ends import ExtraOctets

log = Logger()

HEADER_MAX: Final = 16 * 1024
"""The longest header, in octets, that is stored a second time apart from the octets behind it. Longer ones are rare."""

KEY_COLUMNS = ", ".join(MessageKeys._fields)
_COLUMNS = (
    "content_id, refs, size, header_size, created_at, digest, envelope, body, bodystructure, parts, extra_octets,"
    f" fields, {KEY_COLUMNS}"
)


class Scanner(Protocol):
    """Takes a message in pieces of any size, and returns its structure at the end."""

    def feed(self, octets: bytes, /) -> None: ...

    def finish(self) -> MessageStructure: ...


@frozen
class Scanning:
    """The two ways to scan a message: as it arrives, or all at once."""

    in_pieces: Callable[[], Scanner]
    whole: Callable[[bytes], MessageStructure]


@implementer(IContentWriter)
class ContentWriter:
    """Takes one message. Full chunks of a longer message go to the store as they arrive; the rest with its
    acceptance."""

    def __init__(self, database: Database, content_id: ContentId, scanning: Scanning, clock: IReactorTime) -> None:
        self.content_id = content_id
        self.size = 0
        self.whole_lines = False
        self._database = database
        self._scanning = scanning
        self._scanner: Scanner | None = None
        self._clock = clock
        self._digest = sha256()
        self._extra: ExtraOctets | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._chunks = 0
        self._first = b""
        """The first octets of the message, once its first chunk has been staged."""
        self._in_flight = 0
        self._failure: Failure | None = None
        self._closed = False
        self._paused: Deferred[None] | None = None
        self._settling: list[Deferred[None]] = []
        """Fire when no chunk is in flight any more."""
        self._structure: MessageStructure | None = None
        self._finished: Deferred[StagedContent] | None = None

    def write(self, octets: bytes) -> Deferred[None] | None:
        if self._failure is not None:
            return fail(self._failure)
        assert not self._closed and self._structure is None, "written to after it was finished"
        self._digest.update(octets)
        self.size += len(octets)
        self._pieces.append(octets)
        self._held += len(octets)
        if self._held <= MAX_CHUNK:
            return None
        self._stage_full_chunks()
        if self._in_flight <= self._database.settings.chunks_in_flight:
            return None
        if self._paused is None:
            self._paused = Deferred()
        return self._paused

    def _stage_full_chunks(self) -> None:
        if self._scanner is None:
            self._scanner = self._scanning.in_pieces()
        last = memoryview(self._pieces.pop())
        room = MAX_CHUNK - (self._held - len(last))
        # A chunk that may be the last stays here, so that a message of one chunk needs one transaction.
        while len(last) > room:
            chunk = b"".join((*self._pieces, last[:room]))
            self._scanner.feed(chunk)
            if not self.whole_lines:
                self._count_extra(chunk)
            self._stage(chunk)
            self._pieces.clear()
            last, room = last[room:], MAX_CHUNK
        self._pieces.append(bytes(last))
        self._held = len(last)

    def _count_extra(self, octets: bytes) -> None:
        if self._extra is None:
            self._extra = ExtraOctets()
        self._extra.feed(octets)

    def _stage(self, octets: bytes) -> None:
        content_id, position, now = self.content_id, self._chunks * MAX_CHUNK, self._clock.seconds()
        self._chunks += 1
        self._in_flight += 1
        if position == 0:
            self._first = octets[:HEADER_MAX]

        def stage_txn(txn: Transaction) -> None:
            if position == 0:
                txn.execute("INSERT INTO staged_contents (content_id, created_at) VALUES (?, ?)", (content_id, now))
            _insert_chunk_txn(txn, content_id, position, octets)

        # The commit of the acceptance makes the chunk durable.
        self._database.run("stage chunk", stage_txn, lasting=False).addBoth(self._staged)

    def _staged(self, result: Failure | None) -> None:
        self._in_flight -= 1
        if isinstance(result, Failure) and self._failure is None:
            self._failure = result
            self._pieces.clear()
        if self._paused is not None and (
            self._failure is not None or self._in_flight <= self._database.settings.chunks_in_flight // 2
        ):
            paused, self._paused = self._paused, None
            paused.errback(self._failure) if self._failure is not None else paused.callback(None)
        if self._in_flight == 0:
            if self._failure is not None:
                self._unstage()
            if self._settling:
                settling, self._settling = self._settling, []
                for waiting in settling:
                    waiting.callback(None)
            if self._finished is not None:
                finished, self._finished = self._finished, None
                self._hand_over(finished)

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        if self._failure is not None:
            return fail(self._failure)
        assert not self._closed, "read after it was finished"
        stop = min(stop, start + MAX_CHUNK)
        in_store = self._chunks * MAX_CHUNK
        if start >= in_store:
            return succeed(self._joined()[max(0, start - in_store) : max(0, stop - in_store)])
        if self._in_flight:
            settled: Deferred[None] = Deferred()
            self._settling.append(settled)
            return settled.addCallback(lambda _: self.read(start, stop))
        content_id, tail = self.content_id, self._joined()[: max(0, stop - in_store)]

        def read_txn(txn: Transaction) -> bytes:
            return read_octets_txn(txn, content_id, start, min(stop, in_store)) + tail

        return self._database.read("read staged content", read_txn)

    def _joined(self) -> bytes:
        """The octets that are not in the store yet, joined."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def structure(self) -> MessageStructure:
        if self._structure is None:
            tail = self._joined()
            if self._scanner is None:
                self._structure = self._scanning.whole(tail)
            else:
                self._scanner.feed(tail)
                self._structure = self._scanner.finish()
        return self._structure

    def finish(self) -> Deferred[StagedContent]:
        assert not self._closed, "finished before"
        self._closed = True
        finished: Deferred[StagedContent] = Deferred()
        if self._in_flight:
            self._finished = finished
        else:
            self._hand_over(finished)
        return finished

    def _hand_over(self, finished: Deferred[StagedContent]) -> None:
        if self._failure is not None:
            finished.errback(self._failure)
            return
        tail = self._joined() if len(self._pieces) != 1 else self._pieces[0]
        try:
            # Most messages are scanned here, since nothing has asked for the structure before; the test costs less than
            # a call.
            is_whole = self._structure is None and self._scanner is None
            structure = self._scanning.whole(tail) if is_whole else self.structure()
        except Exception:
            finished.errback(Failure())
            return
        if not self.whole_lines:
            self._count_extra(tail)
        self._pieces.clear()
        header_size = structure.header_size
        finished.callback(
            StagedContent(
                self.content_id,
                self.size,
                self._digest.digest(),
                structure,
                tail,
                self._chunks,
                0 if self._extra is None else self._extra.finish(),
                (self._first or tail)[:header_size] if header_size <= HEADER_MAX else b"",
            )
        )

    def abort(self) -> None:
        if self._failure is not None:
            return
        self._closed = True
        self._pieces.clear()
        self._failure = Failure(StoreUnavailable(cause="aborted"))
        if self._in_flight == 0:
            self._unstage()  # which leaves accepted content alone

    def _unstage(self) -> None:
        if not self._chunks:
            return
        content_id = self.content_id

        def unstage_txn(txn: Transaction) -> None:
            if txn.execute("DELETE FROM staged_contents WHERE content_id = ?", (content_id,)):
                txn.execute("DELETE FROM content_chunks WHERE content_id = ?", (content_id,))

        self._database.run("drop staged chunks", unstage_txn).addErrback(_unstage_failed)


def _unstage_failed(reason: Failure) -> None:
    """The sweep finds the chunks later."""
    if reason.check(MailError, CancelledError) is not None:
        log.info("{event}: {reason.value}", event="store.unstage_failed", reason=reason)
    else:
        log.failure("{event}", reason, event="store.unstage_failed")


def _insert_chunk_txn(txn: Transaction, content_id: ContentId, position: int, octets: bytes) -> None:
    txn.execute(
        "INSERT INTO content_chunks (content_id, position, octets) VALUES (?, ?, ?)", (content_id, position, octets)
    )


def insert_contents_txn(txn: Transaction, contents: Sequence[tuple[StagedContent, int, bytes]], now: float) -> None:
    """Insert staged contents, each with its number of references and the fields in front of all its copies."""
    txn.insert(
        "contents",
        _COLUMNS,
        [
            (
                content.content_id,
                refs,
                content.size,
                content.structure.header_size,
                now,
                content.digest,
                content.structure.envelope,
                content.structure.body,
                content.structure.bodystructure,
                content.structure.parts,
                content.extra_octets,
                fields or None,
                *content.structure.keys,
            )
            for content, refs, fields in contents
        ],
    )
    insert_headers_txn(txn, [(content.content_id, content.header) for content, *_ in contents])
    chunks = []
    for content, *_ in contents:
        if content.tail:
            chunks.append((content.content_id, content.chunks_written * MAX_CHUNK, content.tail))
        if content.chunks_written and not txn.execute(
            "DELETE FROM staged_contents WHERE content_id = ?", (content.content_id,)
        ):
            raise StoreUnavailable(cause=f"the chunks of {content.content_id} were dropped before it was accepted")
    txn.insert("content_chunks", "content_id, position, octets", chunks)


def insert_headers_txn(txn: Transaction, headers: Sequence[tuple[ContentId, bytes]], *, on_conflict: str = "") -> None:
    """Store headers of contents a second time, to be read without the octets behind them; empty ones are left out."""
    rows = [row for row in headers if row[1]]
    txn.insert("content_headers", "content_id, octets", rows, on_conflict=on_conflict)


def change_refs_txn(txn: Transaction, changes: dict[ContentId, int]) -> None:
    """Add to (or subtract from) the references of contents."""
    txn.execute_many(
        "UPDATE contents SET refs = refs + ? WHERE content_id = ?",
        [(change, content_id) for content_id, change in sorted(changes.items())],
    )


def read_octets_txn(txn: Transaction, content_id: ContentId, start: int, stop: int) -> bytes:
    """Octets ``start`` to ``stop`` (exclusive) of a content; short past its end."""
    if stop <= start:
        return b""
    rows = txn.rows(
        "SELECT position, octets FROM content_chunks"
        " WHERE content_id = ? AND position > ? AND position < ? ORDER BY position",
        (content_id, start - MAX_CHUNK, stop),
    )
    if len(rows) == 1:
        position, octets = rows[0]
        octets = bytes(octets)
        return octets[max(0, start - position) : stop - position]
    return b"".join(octets[max(0, start - position) : stop - position] for position, octets in rows)


def read_content(database: Database, content_id: ContentId, start: int, stop: int) -> Deferred[bytes]:
    """Octets of a content, at most MAX_CHUNK of them; NoSuchEntry if it does not exist."""
    stop = min(stop, start + MAX_CHUNK)

    def read_txn(txn: Transaction) -> bytes:
        octets = read_octets_txn(txn, content_id, start, stop)
        if not octets and txn.row("SELECT 1 FROM contents WHERE content_id = ?", (content_id,)) is None:
            raise NoSuchEntry(cause=f"content {content_id}")
        return octets

    if start < 0:
        return succeed(b"")
    return database.read("read content", read_txn)
