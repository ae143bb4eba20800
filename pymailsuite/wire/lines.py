"""Lines out of a stream of octets, with a bound on every one of them.

A line ends with CRLF and with nothing else (RFC 5321 §2.3.8): a bare CR or LF is an ordinary octet here, and the
grammar above refuses it where it may not stand. Where no server ever speaks a buffer may be told that LF alone ends a
line too: people type into ``openssl s_client``. The position reached by an unsuccessful search is remembered, so input
that drips in octet by octet costs linear time. While the unread octets came in one piece they are kept as they came:
taking them whole copies nothing.
"""

from __future__ import annotations

from pymailsuite.errors import PeerError

_COMPACT_AT = 64 * 1024
"""Octets already read at the front of a growing buffer that are worth moving the rest for."""


class LineTooLong(PeerError):
    """A line exceeded its limit. It is skipped to its end. Source: RFC 5321 §4.5.3.1.9 for the reply.

    ``beginning`` are the first octets of it, by which an answer can name what it answers."""

    smtp_code = 500
    enhanced_code = "5.5.2"
    text = "Line too long"

    def __init__(self, beginning: bytes = b"") -> None:
        super().__init__()
        self.beginning = beginning


_BEGINNING = 256
"""Octets of the beginning of a line too long that are kept."""
_TAIL = 64
"""And of its end, which may say that raw octets follow."""


class LineBuffer:
    """Unread octets of a connection, given out as lines or raw. It never holds more than it was given unread.

    ``limit`` is the longest line in octets without its CRLF; it may be changed between lines. With ``bare_lf`` a line
    may end with LF alone as well.
    """

    __slots__ = ("_end", "_end_size", "_octets", "_searched", "_skipping", "_start", "_tail", "limit")

    def __init__(self, limit: int, *, bare_lf: bool = False) -> None:
        self.limit = limit
        self._end = b"\n" if bare_lf else b"\r\n"
        self._end_size = len(self._end)
        self._octets: bytes | bytearray = b""
        self._start = 0
        self._searched = 0
        self._skipping = False
        self._tail = b""

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
        """The next line without its end; None: more octets are needed.

        Raises LineTooLong once for each line that is too long; what remains of it is then skipped as it comes in.
        """
        octets, start = self._octets, self._start
        end = octets.find(self._end, self._searched)
        if end < 0:
            self._no_line_end()
            return None
        after = end + self._end_size
        if after == len(octets):
            self._octets = b""
            self._start = self._searched = 0
        else:
            self._start = self._searched = after
        if after == end + 1 and end > start and octets[end - 1] == 0x0D:
            end -= 1
        if self._skipping:
            self._skipping = False
            self._tail = b""
            return self.next_line()
        if end - start > self.limit:
            self._tail = bytes(octets[max(start, end - _TAIL) : end])
            raise LineTooLong(self._beginning(octets, start))
        line = octets[start:end]
        return line if isinstance(line, bytes) else bytes(line)

    def _no_line_end(self) -> None:
        stop = len(self._octets)
        ends_in_cr = stop > self._start and self._octets[-1] == 0x0D
        # The CR may be the first half of a line end.
        self._searched = stop - ends_in_cr
        if self._skipping or self._searched - self._start > self.limit:
            beginning = self._beginning(self._octets, self._start)
            self._tail = (self._tail + bytes(self._octets[max(self._start, self._searched - _TAIL) : self._searched]))[
                -_TAIL:
            ]
            self._octets = b"\r" if ends_in_cr else b""
            self._start = self._searched = 0
            if not self._skipping:
                self._skipping = True
                raise LineTooLong(beginning)

    def _beginning(self, octets: bytes | bytearray, start: int) -> bytes:
        # No more than is there at once when it comes octet by octet.
        return bytes(octets[start : start + min(_BEGINNING, self.limit + 1)])

    def end_of_skipped(self) -> bytes | None:
        """After LineTooLong: the last octets of that line once all of it has come; None: more octets are needed."""
        if self._skipping:
            octets = self._octets
            end = octets.find(self._end, self._searched)
            if end < 0:
                self._no_line_end()
                return None
            line = octets[max(self._start, end - _TAIL) : end]
            self._tail = (self._tail + bytes(line))[-_TAIL:].removesuffix(b"\r")
            self._start = self._searched = end + self._end_size
            self._skipping = False
            self._forget_if_empty()
        tail, self._tail = self._tail, b""
        return tail

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
