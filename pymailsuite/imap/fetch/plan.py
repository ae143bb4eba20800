"""A FETCH command, compiled: which columns to read, and how rows become responses.

A response is texts and sections in turn. Texts that touch are one ``%`` template; a plan without sections is a single
template, and many rows are rendered by one formatting. With sections, the octets are copied once, by the final join.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, Final, TypeAlias

from attrs import frozen

from pymailsuite.errors import TemporaryFailure
from pymailsuite.imap.batch import Batch, Slice, plain
from pymailsuite.imap.fetch.metadata import MESSAGE_NUMBER, MESSAGE_UID, Text, constant
from pymailsuite.imap.fetch.sections import Pieces, SectionItem
from pymailsuite.imap.values import BinarySection, BinarySize, BodySection, FetchItem
from pymailsuite.interfaces import Column, MessageRow, Steps
from pymailsuite.values import SystemFlag

Some: TypeAlias = tuple[list[bytes], Slice | None, bool]
"""Octets to write, a slice to read after that, and whether the response has ended."""


UID: Final = FetchItem("UID")
FLAGS: Final = FetchItem("FLAGS")
MODSEQ: Final = FetchItem("MODSEQ")
"""Items that a plan may add itself, or whose presence it must know."""


class OctetsGone(TemporaryFailure):
    """Octets of a message could not be read to the end.

    A literal may be half written, so nothing more can be sent: the connection must be closed.
    """

    text = "Message octets are gone"


@frozen
class Unanswered:
    """Stands for the response to a message that could not be made, with the reason."""

    uid: int
    error: Exception


Response: TypeAlias = bytes | Pieces | Unanswered
"""Whole responses of some messages, the one of a long message in pieces, or none."""


_MOST_COPIES: Final = 16
_ITEMS_REMEMBERED: Final = 12
_PLANS_REMEMBERED: Final = 64


class FetchPlan:
    """The reads and writes of one FETCH. May be used by several reader threads at once.

    ``columns`` are the columns to read, Column.UID first. ``sets_seen``: some item sets ``\\Seen``. ``reads_octets``:
    the columns hold whole messages. ``gives_flags``: FLAGS is an item. ``copies``: how many times the octets of a
    message may stand in its response; where these are many it ``is_wide``, and made piece by piece.
    """

    def __init__(self, parts: Sequence[Text | SectionItem], gives_flags: bool) -> None:
        self._parts = _joined(parts)
        self.gives_flags = gives_flags
        sections = [part for part in parts if not isinstance(part, Text)]
        self.sets_seen = any(section.sets_seen for section in sections)
        self.copies = max(1, len(sections))
        self.is_wide = self.copies > _MOST_COPIES
        self.reads_octets = any(section.needs_octets for section in sections)
        flags = (Column.SYSTEM_FLAGS,) if self.sets_seen else ()
        wanted = chain((Column.UID,), *(part.columns for part in parts), flags)
        self.columns: tuple[Column, ...] = tuple(dict.fromkeys(wanted))
        self._octets_at = self.columns.index(Column.OCTETS) if self.reads_octets else 0

    def is_long(self, row: MessageRow) -> bool:
        """True if the message's octets were too long to be read with the row: it needs :meth:`pieces`."""
        return self.reads_octets and row[self._octets_at] is None

    def unseen(self, rows: Sequence[MessageRow]) -> list[int]:
        """The UIDs of those of ``rows`` that lack ``\\Seen``; only for a plan that sets it."""
        at, seen = self.columns.index(Column.SYSTEM_FLAGS), SystemFlag.SEEN.value
        return [row[0] for row in rows if not row[at] & seen]

    def keywords(self, rows: Sequence[MessageRow]) -> set[str]:
        """The combinations of keywords in FLAGS, if it is an item."""
        if not self.gives_flags:
            return set()
        return set(map(itemgetter(self.columns.index(Column.KEYWORDS)), rows))

    def render(self, rows: Sequence[MessageRow], numbers: Callable[[int], int], recent: Container[int]) -> bytes:
        """All untagged FETCH responses of ``rows``, of which none :meth:`is_long`; for a reader thread.

        ``numbers`` gives the sequence number of a UID, ``recent`` holds the UIDs that are recent.
        UnknownEncoding: BINARY of a part with an unknown transfer encoding.
        """
        if not rows:
            return b""
        batch = Batch(self.columns, rows, numbers, recent)
        if len(self._parts) == 1 and isinstance(text := self._parts[0], Text):
            return b"".join(_formatted(text, batch))
        runs: list[Iterable[bytes]] = []
        for part in self._parts:
            if isinstance(part, Text):
                runs.append(_filled(part, batch))
            else:
                runs.extend(part.literals(batch))
        # Not strict: the runs of constant texts are endless.
        return b"".join(chain.from_iterable(zip(*runs, strict=False)))

    def pieces(self, row: MessageRow, number: int, recent: Container[int]) -> Pieces:
        """The response of one message, long or not: octets to write, and slices to read on the way.

        Errors that refuse the response are raised here, before its first octet.
        """
        batch = Batch(self.columns, (row,), lambda _: number, recent)
        is_long = self.is_long(row)
        parts: list[bytes | SectionItem] = []
        for part in self._parts:
            if isinstance(part, Text):
                parts.append(next(iter(_filled(part, batch))))
            else:
                part.check(batch)
                parts.append(part)
        return self._pieces(parts, batch, is_long)

    @staticmethod
    def _pieces(parts: Sequence[bytes | SectionItem], batch: Batch, is_long: bool) -> Pieces:
        for part in parts:
            if isinstance(part, bytes):
                yield part
            elif is_long:
                yield from part.stream(batch)
            else:
                for run in part.literals(batch):
                    yield from run

    def render_batch(
        self, rows: Sequence[MessageRow], numbers: Callable[[int], int], recent: Container[int]
    ) -> list[Response]:
        """As :meth:`render` for any rows, in order: octets, and the pieces of each long message among them; nothing but
        pieces with a plan that ``is_wide``.

        A message whose response cannot be made does not affect the others.
        """
        batch: list[Response] = []
        if self.is_wide:
            return [self._answer_alone(row, numbers, recent) for row in rows]
        start = 0
        if self.reads_octets:
            for place, row in enumerate(rows):
                if row[self._octets_at] is None:
                    if place > start:
                        batch += self._answer(rows[start:place], numbers, recent)
                    batch.append(self._answer_alone(row, numbers, recent))
                    start = place + 1
        if start < len(rows):
            batch += self._answer(rows[start:] if start else rows, numbers, recent)
        return batch

    # Methods, not closures of render_batch: a recursive closure would keep the octets until the next garbage
    # collection.

    def _answer(
        self, rows: Sequence[MessageRow], numbers: Callable[[int], int], recent: Container[int]
    ) -> list[Response]:
        try:
            return [self.render(rows, numbers, recent)]
        except Exception as error:
            if len(rows) == 1:
                return [Unanswered(rows[0][0], error)]
        return list(chain.from_iterable(self._answer((row,), numbers, recent) for row in rows))

    def _answer_alone(self, row: MessageRow, numbers: Callable[[int], int], recent: Container[int]) -> Response:
        try:
            return self.pieces(row, numbers(row[0]), recent)
        except Exception as error:
            return Unanswered(row[0], error)


_ROWS_AT_ONCE: Final = 512
"""One formatting of many rows takes half the time of one for each; of too many, its buffer is moved again and again."""


def _formatted(text: Text, batch: Batch) -> Iterator[bytes]:
    arguments = text.arguments(batch)
    values = chain.from_iterable(zip(*arguments, strict=False))
    while some := tuple(islice(values, _ROWS_AT_ONCE * len(arguments))):
        yield text.template * (len(some) // len(arguments)) % some


def _filled(text: Text, batch: Batch) -> Iterable[bytes]:
    arguments = text.arguments(batch)
    if not arguments:
        return repeat(text.template % ())
    if len(arguments) == 1:
        return map(text.template.__mod__, arguments[0])
    # Not strict: an iterable that is shorter than the others would be a defect of an item, shown by its tests.
    return map(text.template.__mod__, zip(*arguments, strict=False))


def _joined(parts: Iterable[Text | SectionItem]) -> list[Text | SectionItem]:
    """Texts that touch made one; each section's label put into the text before it."""
    joined: list[Text | SectionItem] = []
    texts: list[Text] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part)
        else:
            joined += _one_text(texts), part
            texts = []
    if texts:
        joined.append(_one_text(texts))
    return joined


def _one_text(texts: Sequence[Text]) -> Text:
    givers = [text.arguments for text in texts]

    def arguments(batch: Batch) -> tuple[Iterable[Any], ...]:
        return tuple(chain.from_iterable(giver(batch) for giver in givers))

    columns = tuple(chain.from_iterable(text.columns for text in texts))
    return Text(b"".join(text.template for text in texts), columns, arguments)


_FETCH: Final = (MESSAGE_NUMBER, constant(b" FETCH ("))
_UID_FETCH: Final = (MESSAGE_UID, constant(b" UIDFETCH ("))


class FetchCompiler:
    """Makes plans. ``part_of`` returns how an item is rendered; each plan calls it anew, since its parts may have
    caches.

    Plans are cached: a client that reads one message after the other requests the same items of each.
    """

    def __init__(self, part_of: Callable[[FetchItem], Text | SectionItem]) -> None:
        self._part_of = part_of
        self._remembered = lru_cache(_PLANS_REMEMBERED)(self._compiled)

    def __call__(
        self, items: tuple[FetchItem, ...], *, uid: bool, condstore: bool, uid_only: bool = False
    ) -> FetchPlan:
        """The plan of a FETCH of ``items``.

        ``uid``: it was UID FETCH, whose responses always give the UID (RFC 3501 §6.4.8). ``condstore``: responses
        always give the mod-sequence, as when the session is CONDSTORE-aware and ``\\Seen`` is being set (RFC 7162
        §3.2). ``uid_only``: they are UIDFETCH responses, which begin with the UID (RFC 9586 §3.3).
        """
        # Plans with items of unbounded length are not cached: one request would keep them in memory.
        if len(items) > _ITEMS_REMEMBERED or not all(map(_is_bounded, items)):
            return self._compiled(items, uid, condstore, uid_only)
        return self._remembered(items, uid, condstore, uid_only)

    def _compiled(self, items: tuple[FetchItem, ...], uid: bool, condstore: bool, uid_only: bool) -> FetchPlan:
        wanted = list(dict.fromkeys(items))
        if uid and not uid_only and UID not in wanted:
            wanted.insert(0, UID)
        if condstore and MODSEQ not in wanted:
            wanted.append(MODSEQ)
        parts: list[Text | SectionItem] = [constant(b"* "), *(_UID_FETCH if uid_only else _FETCH)]
        for place, item in enumerate(wanted):
            if place:
                parts.append(constant(b" "))
            part = self._part_of(item)
            if not isinstance(part, Text):
                parts.append(constant(part.label + b" "))
            parts.append(part)
        parts.append(constant(b")\r\n"))
        return FetchPlan(parts, FLAGS in wanted)


def _is_bounded(item: FetchItem) -> bool:
    argument = item.argument
    if isinstance(argument, BodySection):
        return not argument.section.fields
    return argument is None or isinstance(argument, BinarySection | BinarySize)


def some_pieces(pieces: Pieces, answer: bytes | None, most_octets: int) -> Steps[Some]:
    """Go on with ``pieces``, given the ``answer`` to a slice, in a reader thread: the output up to the next slice to be
    read, or up to so many octets."""
    out: list[bytes] = []
    octets = 0
    while octets < most_octets:
        piece = next(pieces, None) if answer is None else pieces.send(answer)
        answer = None
        if not isinstance(piece, bytes):
            return out, piece, piece is None
        out.append(piece)
        octets += len(piece)
        yield
    return out, None, False


async def write_in_steps(
    advance: Callable[[bytes | None], Awaitable[Some]],
    read: Callable[[int, int, int], Awaitable[bytes]],
    write: Callable[[bytes], Awaitable[None] | None],
) -> None:
    """As :func:`write_pieces`, for a response much larger than the message: ``advance`` makes :func:`some_pieces` of
    it, and the next ones only after the client has taken these."""
    answer: bytes | None = None
    is_over = False
    while not is_over:
        out, wanted, is_over = await advance(answer)
        answer = None
        if wanted is not None:
            octets = await _read_slice(wanted, read)
            if wanted.is_input:
                answer = octets
            else:
                out.append(octets)
        pause = write(b"".join(out))
        if pause is not None:
            await pause


async def _read_slice(piece: Slice, read: Callable[[int, int, int], Awaitable[bytes]]) -> bytes:
    octets = await read(piece.uid, piece.start, piece.stop)
    if len(octets) != piece.stop - piece.start:
        raise OctetsGone(cause=f"uid {piece.uid}: {len(octets)} of octets {piece.start} to {piece.stop}")
    return octets if piece.is_input or piece.is_binary else plain(octets)


async def write_pieces(
    pieces: Pieces,
    read: Callable[[int, int, int], Awaitable[bytes]],
    write: Callable[[bytes], Awaitable[None] | None],
) -> None:
    """Run ``pieces`` to their end: ``read`` (uid, start, stop) the slices they request, ``write`` the output to the
    client.

    ``write`` returns an awaitable when the client is slow; nothing is read before it is done.
    OctetsGone if a read comes back short.
    """
    answer: bytes | None = None
    while True:
        piece = next(pieces, None) if answer is None else pieces.send(answer)
        if piece is None:
            return
        answer = None
        if isinstance(piece, Slice):
            octets = await _read_slice(piece, read)
            if piece.is_input:
                answer = octets
                continue
            piece = octets
        if piece:
            pause = write(piece)
            if pause is not None:
                await pause
