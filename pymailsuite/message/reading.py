"""Decodes the bodies of parts from octets that are read as needed: in pieces, in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from twisted.internet.defer import Deferred

from pymailsuite.message.parts import Part, PartKind
from pymailsuite.message.search import PartDecoder
from pymailsuite.message.transfer import transfer_decoder

Read = Callable[[int, int], Deferred[bytes]]
"""Octets from one place to another, short past the end."""

_PIECE: Final = 64 * 1024
"""Octets decoded at once, few enough not to delay other work."""


async def part_texts(read: Read, part: Part) -> AsyncIterator[str]:
    """The body of a leaf as text, transfer encoding and charset undone. ValueError for other parts."""
    _check(part)
    # A table does not hold every charset; then the header has it.
    header = await read(part.header_start, min(part.body_start, part.header_start + _PIECE))
    decoder = PartDecoder(part, header)
    async for octets in _pieces(read, part):
        text = decoder.feed(octets)
        if text:
            yield text
    text = decoder.finish()
    if text:
        yield text


async def part_octets(read: Read, part: Part) -> AsyncIterator[bytes]:
    """The body of a leaf, its transfer encoding undone; as it stands if that is not known. ValueError for other
    parts."""
    _check(part)
    decoder = transfer_decoder(part.encoding)
    async for octets in _pieces(read, part):
        decoded = octets if decoder is None else decoder.feed(octets)
        if decoded:
            yield decoded
    rest = b"" if decoder is None else decoder.finish()
    if rest:
        yield rest


def _check(part: Part) -> None:
    if part.kind is not PartKind.LEAF:
        raise ValueError(f"{part.content_type} holds other parts")


async def _pieces(read: Read, part: Part) -> AsyncIterator[bytes]:
    for start in range(part.body_start, part.end, _PIECE):
        yield await read(start, min(part.end, start + _PIECE))
