"""The octets of an outgoing message: as they are stored, or converted to 7 bits for hosts without 8BITMIME."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import define, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, maybeDeferred, succeed
from zope.interface import implementer

from pymailsuite.interfaces import MessageSource, QueueEntry
from pymailsuite.interfaces.egress import EgressTransaction, IEgressTransform
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.message.seven_bits import NotConvertible, has_signature, to_seven_bits, without_signatures
from pymailsuite.relay.connection import Content, IncompleteContent
from pymailsuite.values import MAX_CHUNK, BodyType

PREFETCH = 64 * 1024
"""A message of up to this size is read while it waits for its connection; a longer one after it has the connection."""

_LARGE = 1024 * 1024
_AT_ONCE = 2
"""The number of messages larger than that which may be in memory whole at once, converted or being converted."""

InThread = Callable[..., Deferred[Any]]
"""Calls a function with arguments in a thread, and returns its result."""


@frozen
class Needs:
    """The abilities that a message needs of a host."""

    eight_bit: bool
    utf8_header: bool


_SEVEN_BITS: Final = Needs(False, False)


@define
class Octets:
    """``first`` are the octets read so far, from the beginning; ``needs`` are the needs if the octets have been
    examined."""

    source: MessageSource
    declared: Needs
    first: bytes = b""
    needs: Needs | None = None

    @property
    def size(self) -> int:
        """The number of octets."""
        return self.source.size

    async def prefetch(self, limit: int = MAX_CHUNK) -> None:
        """Read the beginning, unless it has been read."""
        if not self.first:
            self.first = await self.source.read(0, min(self.size, limit))

    def content(self) -> Content:
        """The content for a connection."""
        return Content(self.first, self.size, self.source.read)

    async def needs_of(self, offered: dict[str, str]) -> Needs:
        """The needs at a host that offers these extensions.

        The sender's declaration is enough for a host that has the ability. For one that lacks it, the octets are
        examined: most messages declared 8-bit are 7-bit, and some 8-bit ones were not declared."""
        declared = self.declared
        if "8BITMIME" in offered and (not declared.utf8_header or "SMTPUTF8" in offered):
            return declared
        if self.needs is None:
            header = self.first[: self.source.header_size]
            self.needs = Needs(not await self._are_ascii(), declared.utf8_header and not header.isascii())
        return self.needs

    async def _are_ascii(self) -> bool:
        piece, position = self.first, 0
        while piece:
            if not piece.isascii():
                return False
            position += len(piece)
            if position >= self.size:
                break
            piece = await self.source.read(position, min(position + MAX_CHUNK, self.size))
        return True


def stored_octets(entry: QueueEntry, read_content: Callable[..., Deferred[bytes]]) -> Octets:
    """The octets of a queue entry."""
    return Octets(entry.source(read_content), Needs(entry.body == BodyType.EIGHTBITMIME.value, entry.smtputf8))


def changed_octets(source: MessageSource, stored: Octets) -> Octets:
    """The octets after transforms."""
    if source.seven_bit:
        return Octets(source, _SEVEN_BITS, needs=_SEVEN_BITS)
    return Octets(source, stored.declared)


@implementer(IEgressTransform)
@frozen
class SevenBits:
    """A message in 7 bits, for hosts without 8BITMIME."""

    converted: MessageSource
    name: str = "seven_bits"

    def transform(self, transaction: EgressTransaction, source: MessageSource) -> MessageSource | None:
        return None if "8BITMIME" in transaction.extensions else self.converted


class Converter:
    """Converts messages of up to ``size_max`` octets, few large ones at a time. ``signer`` renews the server's own
    signatures."""

    def __init__(self, size_max: int, in_thread: InThread | None = None, signer: ISigner | None = None) -> None:
        self._size_max = size_max
        self._signer = signer
        self._in_thread: InThread = in_thread or maybeDeferred
        self._places = DeferredSemaphore(_AT_ONCE)

    def take_place(self, stored: Octets) -> Deferred[Any]:
        """Fires when these octets may be converted; call ``leave_place`` when the result is not needed any more."""
        return self._places.acquire() if stored.size > _LARGE else succeed(None)

    def leave_place(self, stored: Octets) -> None:
        """Free the place for other messages."""
        if stored.size > _LARGE:
            self._places.release()

    async def convert(self, entry: QueueEntry, stored: Octets) -> SevenBits:
        """The message in 7 bits, converted before any host waits for it. NotConvertible.

        The server's own signatures are made anew, its ARC seals are left out; a signature by the sender forbids
        conversion."""
        if entry.size > self._size_max:
            raise NotConvertible(f"it has more than {self._size_max} octets")
        pieces: list[bytes] = []
        position = len(entry.prefix)
        while position < stored.size:
            piece = await stored.source.read(position, min(position + MAX_CHUNK, stored.size))
            if not piece:
                raise IncompleteContent(cause=f"{position} of {stored.size} octets")
            pieces.append(piece)
            position += len(piece)
        octets: bytes = await self._in_thread(_converted, entry.prefix, pieces)
        if self._signer is not None and has_signature(entry.prefix):
            octets = await self._signer.sign(octets) + octets
        return SevenBits(
            MessageSource(
                len(octets),
                octets.find(b"\r\n\r\n") + 4,
                lambda start, stop: succeed(octets[start:stop]),
                seven_bit=True,
            )
        )


def _converted(prefix: bytes, pieces: list[bytes]) -> bytes:
    return to_seven_bits(without_signatures(prefix) + b"".join(pieces))
