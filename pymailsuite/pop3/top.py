"""The beginning of a message: TOP of RFC 1939 §7, in bulk."""

from __future__ import annotations

import re
from typing import Final

_HEADER_END: Final = re.compile(rb"\n\r?\n")


class TopCutter:
    """Lets the header, the empty line and the first ``lines`` lines of the body pass; ``complete`` once they have.

    A line ends with LF here, with or without CR: a message stored by APPEND may have bare ones. The octets may be cut
    in any way.
    """

    def __init__(self, lines: int) -> None:
        self._left = lines
        # The start counts as after a line end: a message without any header begins with the empty line.
        self._tail: bytes | None = b"\n"
        self.complete = False

    def cut(self, octets: bytes) -> bytes:
        """The part of this piece that belongs to the top."""
        if self.complete:
            return b""
        begin = 0
        if self._tail is not None:
            work = self._tail + octets
            end = _HEADER_END.search(work)
            if end is None:
                self._tail = work[-2:]
                return octets
            begin = end.end() - len(self._tail)
            self._tail = None
        body = octets[begin:] if begin else octets
        count = body.count(b"\n")
        if count < self._left:
            self._left -= count
            return octets
        self.complete = True
        rest = body.split(b"\n", self._left)[-1]
        return octets[: len(octets) - len(rest)]
