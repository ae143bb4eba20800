"""Sets of message numbers, as a client writes them."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from pymailsuite.values import SeqSet, UidSet

STAR: Final = 0
"""Stands in a range for ``*``, the largest number in use; no message has the number 0."""


@frozen
class PartialRange:
    """A ``partial-range`` of RFC 9394 §4, as it was written: places counted from 1, or down from -1, the last one."""

    first: int
    last: int

    def of(self, count: int) -> tuple[int, int]:
        """Which of so many: a half-open range of places counted from 0, which may be empty."""
        low, high = sorted((abs(self.first), abs(self.last)))
        if self.first > 0:
            return min(low - 1, count), min(high, count)
        return max(count - high, 0), max(count - low + 1, 0)

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"


@frozen
class SequenceSet:
    """A ``sequence-set`` as it was written: ranges in the order given, :data:`STAR` where ``*`` stood.

    ``uid`` says what the numbers are. Source: RFC 3501 §9 (sequence-set). With ``is_saved`` there are no ranges: ``$``
    stood there, the result of the last SEARCH with SAVE, whichever kind of number the command takes (RFC 5182 §2.1).
    """

    ranges: tuple[tuple[int, int], ...]
    uid: bool = False
    is_saved: bool = False

    def resolve(self, largest: int) -> SeqSet | UidSet:
        """The numbers meant when ``largest`` is the largest in use (0: there is no message, and ``*`` is nothing).

        ``n:*`` always holds ``largest``, even if n is greater; ``9:3`` is ``3:9``. Numbers above ``largest`` stay in
        the set: whether they are an error (sequence numbers) or nothing (UIDs) is for the caller to say.
        """
        ranges = []
        for first, last in self.ranges:
            if STAR in (first, last):
                if not largest:
                    continue
                first, last = first or largest, last or largest  # noqa: PLW2901
            ranges.append((first, last) if first <= last else (last, first))
        return UidSet(ranges) if self.uid else SeqSet(ranges)
