"""Line ends made CRLF on the way out, and how many octets that adds.

A message is stored as it came, and APPEND takes bare CR and LF. POP3 sends lines that end with CRLF (RFC 1939 §3): sent
as they are, such octets may read as the end of the message to one client, and as something else to another. So each
bare CR and each bare LF is sent as CRLF, and a last line without an end gets one. Counter and encoder agree, and give
the same result however the octets are cut. Both work on whole pieces, never line by line.
"""

from __future__ import annotations

from pymailsuite.wire.dot_stuffing import has_bare_line_end

_CRLF = b"\r\n"


class ExtraOctets:
    """Counts the octets that :class:`LineEndEncoder` adds to a text."""

    __slots__ = ("_count", "_ends_in_cr", "_last")

    def __init__(self) -> None:
        self._count = 0
        self._ends_in_cr = False
        self._last = b""

    def feed(self, octets: bytes) -> None:
        """The next piece of the text."""
        if not octets:
            return
        work = b"\r" + octets if self._ends_in_cr else octets
        self._last = work[-1:]
        # What a CR at the end is shows with the next piece.
        self._ends_in_cr = self._last == b"\r"
        if self._ends_in_cr:
            work = work[:-1]
        if has_bare_line_end(work):
            self._count += work.count(b"\r") + work.count(b"\n") - 2 * work.count(_CRLF)

    def finish(self) -> int:
        """How many there are; the text is over."""
        if self._ends_in_cr:
            return self._count + 1
        return self._count + (2 if self._last not in (b"", b"\n") else 0)


def extra_octets(octets: bytes) -> int:
    """Those of a whole text."""
    counter = ExtraOctets()
    counter.feed(octets)
    return counter.finish()


class LineEndEncoder:
    """Gives one text, every line of which ends with CRLF."""

    __slots__ = ("_ends_in_cr", "_last")

    def __init__(self) -> None:
        self._ends_in_cr = False
        self._last = b""

    def encode(self, octets: bytes) -> bytes:
        """The next piece of the text, a CR at its end held back."""
        if not octets:
            return b""
        work = b"\r" + octets if self._ends_in_cr else octets
        self._last = work[-1:]
        self._ends_in_cr = self._last == b"\r"
        if self._ends_in_cr:
            work = work[:-1]
        if has_bare_line_end(work):
            return work.replace(_CRLF, b"\n").replace(b"\r", b"\n").replace(b"\n", _CRLF)
        return work

    def finish(self) -> bytes:
        """What is missing at its end."""
        return b"" if self._last in (b"", b"\n") else _CRLF


def with_crlf(octets: bytes) -> bytes:
    """A whole text so encoded."""
    encoder = LineEndEncoder()
    return encoder.encode(octets) + encoder.finish()
