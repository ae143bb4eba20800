"""DEFLATE on a connection, in pieces of a bounded size in both directions (RFC 1951; IMAP begins it by RFC 4978).

A few octets of the peer may stand for a thousand times as many, and a reply of a megabyte takes long to compress: so
neither direction does more than a piece at a time, and what waits is kept in its short form. The connection asks for
the next piece once the last has been taken.
"""

from __future__ import annotations

import zlib
from collections import deque

from attrs import frozen

PIECE = 64 * 1024
"""Octets, uncompressed, of a piece."""


@frozen
class CompressionSettings:
    """``level``: 0 (none) to 9 (slow); ``window``: the binary logarithm of the octets that later ones may refer to, 9
    to 15. The compressor of a connection takes 8 * 2 ** ``window`` octets, about; what the peer sends takes 40 KB."""

    level: int
    window: int


class Compressor:
    """What we send. After each piece the stream is flushed, so that the peer can read all of it."""

    __slots__ = ("_stream", "_waiting")

    def __init__(self, settings: CompressionSettings) -> None:
        memory_level = max(1, settings.window - 7)
        self._stream = zlib.compressobj(settings.level, zlib.DEFLATED, -settings.window, memory_level)
        self._waiting: deque[bytes] = deque()

    @property
    def is_behind(self) -> bool:
        """Whether octets wait to be compressed."""
        return bool(self._waiting)

    def add(self, octets: bytes) -> None:
        """Octets to be sent after all before them."""
        if len(octets) <= PIECE:
            self._waiting.append(octets)
        else:
            self._waiting.extend(octets[start : start + PIECE] for start in range(0, len(octets), PIECE))

    def next_piece(self) -> bytes:
        """The next octets for the peer; to be called while :attr:`is_behind`."""
        return self._stream.compress(self._waiting.popleft()) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def forget(self) -> None:
        """Drop what waits."""
        self._waiting.clear()


class Decompressor:
    """What the peer sends."""

    __slots__ = ("_is_full", "_stream", "_waiting")

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._waiting = b""
        self._is_full = False

    @property
    def is_behind(self) -> bool:
        """Whether there may be a further piece in what has come."""
        return bool(self._waiting) or self._is_full

    def add(self, octets: bytes) -> None:
        """Octets have come."""
        self._waiting += octets

    def next_piece(self) -> bytes:
        """At most PIECE octets, none if more must come first. Raises zlib.error if this is not DEFLATE, or if there is
        more after the stream's end."""
        stream = self._stream
        if stream.eof:
            raise zlib.error("octets after the end of the stream")
        octets = stream.decompress(self._waiting, PIECE)
        # All input may have been taken while the stream itself still holds output.
        self._waiting = stream.unconsumed_tail or stream.unused_data
        self._is_full = len(octets) == PIECE and not stream.eof
        return octets
