"""Lines out of a stream of octets, with a bound on every one of them.

A line ends with CRLF and with nothing else (RFC 5321 §2.3.8): a bare CR or LF is an ordinary octet here, and the
grammar above refuses it where it may not stand. The position reached by an unsuccessful search is remembered, so input
that drips in octet by octet costs linear time. While the unread octets came in one piece they are kept as they came:
taking them whole copies nothing.
"""

from __future__ import annotations

from pymailsuite.errors import PeerError

_COMPACT_AT = 64 * 1024
"""Octets already read at the front of a growing buffer that are worth moving the rest for."""


class LineTooLong(PeerError):
    """A line exceeded its limit. It is skipped to its end. Source: RFC 5321 §4.5.3.1.9 for the reply."""

    smtp_code = 500
    enhanced_code = "5.5.2"
    text = "Line too long"


class LineBuffer:
    """Unread octets of a connection, given out as lines or raw. It never holds more than it was given unread.

    ``limit`` is the longest line in octets without its CRLF; it may be changed between lines.
    """

    __slots__ = ("_octets", "_searched", "_skipping", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._octets: bytes | bytearray = b""
        self._start = 0
        self._searched = 0
        self._skipping = False

    def __len__(self) -> int:
        """Unread octets."""
        return len(self._octets) - self._start

    def receive(self, octets: bytes) -> None:
        """Add octets from the peer."""
        held = self._octets
        if self._start == len(held):
            self._octets = octets
            self._start = self._searched = 0
            return
        if not isinstance(held, bytearray):
            held = bytearray(memoryview(held)[self._start :])
        elif self._start > _COMPACT_AT:
            del held[: self._start]
        else:
            held += octets
            return
        self._searched -= self._start
        self._start = 0
        held += octets
        self._octets = held

    def next_line(self) -> bytes | None:
        """The next line without its CRLF; None: more octets are needed.

        Raises LineTooLong once for each line that is too long; what remains of it is then skipped as it comes in.
        """
        octets, start = self._octets, self._start
        end = octets.find(b"\r\n", self._searched)
        if end < 0:
            self._no_line_end()
            return None
        if end + 2 == len(octets):
            self._octets = b""
            self._start = self._searched = 0
        else:
            self._start = self._searched = end + 2
        if self._skipping:
            self._skipping = False
            return self.next_line()
        if end - start > self.limit:
            raise LineTooLong
        line = octets[start:end]
        return line if isinstance(line, bytes) else bytes(line)

    def _no_line_end(self) -> None:
        stop = len(self._octets)
        ends_in_cr = stop > self._start and self._octets[-1] == 0x0D
        # The CR may be the first half of a line end.
        self._searched = stop - ends_in_cr
        if self._skipping or self._searched - self._start > self.limit:
            self._octets = b"\r" if ends_in_cr else b""
            self._start = self._searched = 0
            if not self._skipping:
                self._skipping = True
                raise LineTooLong

    def take(self, count: int) -> bytes:
        """Up to ``count`` raw octets, empty if there are none: literals and message text."""
        start = self._start
        stop = min(start + count, len(self._octets))
        taken = self._octets[start:stop]
        self._start = self._searched = stop
        self._forget_if_empty()
        return taken if isinstance(taken, bytes) else bytes(taken)

    def untake(self, octets: bytes) -> None:
        """Put octets back in front: those that a decoder found to come after its end."""
        if not octets:
            return
        unread = self._octets[self._start :]
        self._octets = octets + unread if unread else octets
        self._start = self._searched = 0

    def drop_unread(self) -> int:
        """Throw away everything unread and answer how many octets that was: STARTTLS (RFC 3207 §4.2)."""
        dropped = len(self)
        self._octets = b""
        self._start = self._searched = 0
        self._skipping = False
        return dropped

    def _forget_if_empty(self) -> None:
        if self._start == len(self._octets):
            self._octets = b""
            self._start = self._searched = 0
