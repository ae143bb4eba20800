"""Rows of one read, as columns, with the values that several data items derive from them computed once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Sequence
from functools import cached_property
from typing import Any

from attrs import frozen

from pymailsuite.interfaces import Column, MessageRow
from pymailsuite.message.parts import PartTable, decode_parts
from pymailsuite.message.transfer import IDENTITY, decode_transfer
from pymailsuite.values import MAX_CHUNK, NumberSet


@frozen
class Slice:
    """Octets ``start`` to ``stop`` of a message, its prefix counted: at most MAX_CHUNK, for ``read_octets``.

    ``is_input``: the octets are not written, but sent back into the generator that yielded this. ``is_binary``: for a
    literal8, so that a NUL stays one.
    """

    uid: int
    start: int
    stop: int
    is_input: bool = False
    is_binary: bool = False


def slices(uid: int, start: int, stop: int, is_input: bool = False, is_binary: bool = False) -> list[Slice]:
    """Octets ``start`` to ``stop`` in pieces that can be read at once."""
    return [Slice(uid, at, min(at + MAX_CHUNK, stop), is_input, is_binary) for at in range(start, stop, MAX_CHUNK)]


def plain(octets: bytes) -> bytes:
    """The octets as a literal may contain them: without NUL."""
    return octets.replace(b"\0", b"?") if b"\0" in octets else octets


class Batch:
    """Some rows, at least one, by ascending UID; ``numbers`` and ``recent`` are the session's data about them."""

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[MessageRow],
        numbers: Callable[[int], int],
        recent: Container[int],
    ) -> None:
        self._columns = dict(zip(columns, zip(*rows, strict=True), strict=True))
        self._recent = recent
        self._tables: dict[int, PartTable] = {}
        self._decoded: dict[tuple[int, int, str], bytes | None] = {}
        self.numbers = numbers

    def __getitem__(self, column: Column) -> Sequence[Any]:
        return self._columns[column]

    @property
    def uids(self) -> Sequence[int]:
        """The UIDs of all rows."""
        return self._columns[Column.UID]

    @cached_property
    def recent_uids(self) -> frozenset[int]:
        """Those of the messages that are recent."""
        recent, uids = self._recent, self.uids
        if isinstance(recent, NumberSet):
            # Looking up each UID in a set of ranges would be a Python loop in a Python loop.
            spans = (uids[bisect_left(uids, low) : bisect_right(uids, high)] for low, high in recent.ranges)
            return frozenset(uid for span in spans for uid in span)
        return frozenset(uid for uid in uids if uid in recent)

    def table(self, place: int) -> PartTable:
        """The part table of one message."""
        table = self._tables.get(place)
        if table is None:
            table = self._tables[place] = decode_parts(self._columns[Column.PARTS][place])
        return table

    def decoded(self, place: int, start: int, stop: int, encoding: str) -> bytes | None:
        """Octets of one message of the batch, without their transfer encoding; None if that is not known.

        A part that a client fetches in a hundred windows is decoded once.
        """
        octets: bytes = self._columns[Column.OCTETS][place]
        if encoding in IDENTITY:
            return octets[start:stop]
        key = (place, start, encoding)
        if key not in self._decoded:
            self._decoded[key] = decode_transfer(octets[start:stop], encoding)
        return self._decoded[key]

    @property
    def tables(self) -> Sequence[PartTable]:
        """The part table of each message."""
        return [self.table(place) for place in range(len(self.uids))]

    @property
    def prefix_sizes(self) -> Sequence[int]:
        """The number of octets in front of the shared content, to which part offsets are relative."""
        return self._columns[Column.PREFIX_SIZE]
