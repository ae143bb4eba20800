"""Finds the delimiters of the open multiparts: the place of the next one, and its multipart.

Each boundary is searched for by itself, at the speed of ``bytes.find``, and once in each piece of a message: a place
found is kept until the scan has come there. So lines that are no delimiters cost nothing, however they begin.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace


class Delimiters:
    """Boundaries of open multiparts; ``levels`` has the level of the innermost one that has each."""

    __slots__ = ("_at", "_found", "_needle", "_next", "levels")

    def __init__(self) -> None:
        self.levels: dict[bytes, int] = {}
        # For a single boundary, as in nearly all mail: the octets searched for, and their next place.
        self._needle = b""
        self._at = -1
        # For several: the next place of each, or one past the searched octets; and a heap of these, some outdated.
        self._found: dict[bytes, int] = {}
        self._next: list[tuple[int, bytes]] = []

    def open(self, boundary: bytes, level: int) -> int | None:
        """Begin to search for ``boundary``; returns the level of an outer multipart that has the same one."""
        outer = self.levels.get(boundary)
        self.levels[boundary] = level
        if outer is None:
            if len(self.levels) < 3:
                self.restart()
            else:
                self._found[boundary] = -1
                heappush(self._next, (-1, boundary))
        return outer

    def close(self, boundary: bytes, outer: int | None) -> None:
        """End the search for it, or go on for the outer multipart only."""
        if boundary not in self.levels:
            return  # since :meth:`clear`
        if outer is not None:
            self.levels[boundary] = outer
            return
        del self.levels[boundary]
        if len(self.levels) < 2:
            self.restart()
        else:
            del self._found[boundary]

    def clear(self) -> None:
        """End all searches."""
        self.levels.clear()
        self.restart()

    def restart(self) -> None:
        """Other octets will be searched from now on."""
        self._at = -1
        self._needle = b""
        if len(self.levels) == 1:
            (boundary,) = self.levels
            self._needle = b"\n--" + boundary
        elif self.levels:
            self._found = dict.fromkeys(self.levels, -1)
            self._next = [(-1, boundary) for boundary in self._found]

    def find(self, octets: bytes, start: int, stop: int) -> int:
        """The index of the first line end from ``start`` on and before ``stop`` after which a line begins like a
        delimiter, or -1. Until :meth:`restart` neither ``octets`` nor ``stop`` may change, nor ``start`` go back."""
        needle = self._needle
        if needle:
            at = self._at
            if at < start:
                at = octets.find(needle, start, stop - 1 + len(needle))
                self._at = stop if at < 0 else at
                return at
            return at if at < stop else -1
        found, waiting = self._found, self._next
        while waiting:
            at, boundary = waiting[0]
            if found.get(boundary) != at:
                heappop(waiting)
            elif at >= start:
                return at if at < stop else -1
            else:
                at = octets.find(b"\n--" + boundary, start, stop + 2 + len(boundary))
                at = found[boundary] = stop if at < 0 else at
                heapreplace(waiting, (at, boundary))
        return -1

    def judge(self, line: bytes) -> tuple[bytes, bool]:
        """The boundary of a line that begins like a delimiter, and whether it is the final one.

        ``line`` is what follows the two hyphens, its end removed; of a very long one the beginning. RFC 2046 §5.1.1: it
        is enough that the line begins so; but where the whole line is a delimiter it is that one.
        """
        levels = self.levels
        name = line.rstrip(b" \t\r")
        if name in levels:
            return name, False
        if name.endswith(b"--") and name[:-2] in levels:
            return name[:-2], True
        boundary = max((one for one in levels if line.startswith(one)), key=len)
        return boundary, line.startswith(b"--", len(boundary))
