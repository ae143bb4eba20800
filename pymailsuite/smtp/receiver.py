"""Turns octets into events: command lines, or the text of a message after the session has asked for it.

The meaning of the next octets depends on the server's last reply, so events are pulled, one at a time. Message text is
given out in the pieces it arrived in. An error in the text (too big, bare CR or LF, a line too long) is found on the
way: from then on the receiver only reads the text, to stay in step with the client, and keeps nothing of it.
"""

from __future__ import annotations

from attrs import frozen

from pymailsuite.errors import MailError, MessageTooBig, Refusal
from pymailsuite.wire.dot_stuffing import BareLineEnd, DotDecoder
from pymailsuite.wire.lines import LineBuffer, LineTooLong


class TextLineTooLong(Refusal):
    """A line of the message text is longer than the limit. Source: RFC 5321 §4.5.3.1.6."""

    enhanced_code = "5.6.0"
    text = "Line of message text too long"


class NulRefused(Refusal):
    """A NUL in the message (only the obsolete syntax of RFC 5322 §4 has it): a host that drops it, or ends a line at
    it, reads another message, and may find another end of it."""

    enhanced_code = "5.6.0"
    text = "NUL in message not allowed"


_NUL = ord("\0")


@frozen
class CommandLine:
    """A line outside of message text, without its CRLF."""

    line: bytes


@frozen
class LineRefused:
    """A line that was too long; it has been skipped, or will be."""

    error: MailError


@frozen
class Text:
    """Octets of the message, with dot-stuffing removed."""

    octets: bytes


@frozen
class TextRefused:
    """The message cannot be accepted; no more Text of it will come. EndOfText still will."""

    error: MailError


@frozen
class EndOfText:
    """The line with the dot. ``size`` counts all octets of the text; ``error`` says why it is refused, if it is."""

    size: int
    error: MailError | None


Event = CommandLine | LineRefused | Text | TextRefused | EndOfText


class TextLines:
    """Checks the length of the lines of a text that arrives in pieces of any size. A CRLF must not be split."""

    __slots__ = ("_limit", "_so_far")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._so_far = 0

    def too_long(self, text: bytes) -> bool:
        """True if a line is longer than the limit with this piece. Searches only where a line must have ended."""
        limit = self._limit
        at, left, size = 0, limit - self._so_far, len(text)
        while size - at > left:
            end = text.rfind(b"\r\n", at, at + left + 2)
            if end < 0:
                return True
            at, left = end + 2, limit
        end = text.rfind(b"\r\n", at)
        self._so_far = limit - left + size - at if end < 0 else size - end - 2
        return False


class SmtpReceiver:
    """Octets in, events out."""

    __slots__ = ("_allow_nul", "_buffer", "_decoder", "_end", "_error", "_lines", "_max_size", "_size", "_skip")

    def __init__(self, line_limit: int) -> None:
        """``line_limit`` is for command lines, CRLF included."""
        self._buffer = LineBuffer(line_limit - 2)
        self._decoder: DotDecoder | None = None
        self._lines = TextLines(0)
        self._end = False
        self._error: MailError | None = None
        self._max_size = 0
        self._size = 0
        self._allow_nul = False
        self._skip = 0

    def __len__(self) -> int:
        """Octets received and not yet given out."""
        return len(self._buffer)

    def receive(self, octets: bytes) -> None:
        """Add octets from the peer."""
        self._buffer.receive(octets)

    def next_event(self) -> Event | None:
        """The next event; None: more octets are needed."""
        if self._decoder is not None:
            return self._next_text(self._decoder)
        if self._skip and not self._skipped():
            return None
        try:
            line = self._buffer.next_line()
        except LineTooLong as error:
            return LineRefused(error)
        return None if line is None else CommandLine(line)

    def skip(self, count: int) -> None:
        """Skip the next ``count`` octets: they are data, not commands."""
        self._skip = count

    def _skipped(self) -> bool:
        """Whether all octets to be skipped have come."""
        self._skip -= len(self._buffer.take(min(len(self._buffer), self._skip)))
        return not self._skip

    def expect_text(self, max_size: int, max_line: int, *, allow_nul: bool = False, repair: bool = False) -> None:
        """The next octets are the text of a message (354 was said), up to its end. Limits are in octets; ``repair`` is
        as :class:`DotDecoder` has it."""
        self._decoder = DotDecoder(repair)
        self._allow_nul = allow_nul
        self._lines = TextLines(max_line)
        self._max_size = max_size
        self._size = 0
        self._error = None
        self._end = False

    @property
    def within_text(self) -> bool:
        """True between ``expect_text`` and EndOfText."""
        return self._decoder is not None

    def discard_text(self, error: MailError) -> None:
        """Give out no more of this text; EndOfText will carry ``error``."""
        self._error = self._error or error

    def drop_unread(self) -> int:
        """Discard unread octets, for STARTTLS. Returns their number. Source: RFC 3207 §4.2."""
        return self._buffer.drop_unread()

    def _next_text(self, decoder: DotDecoder) -> Event | None:
        buffer = self._buffer
        while not self._end:
            octets = buffer.take(len(buffer))
            if not octets:
                return None
            text, rest = decoder.decode(octets)
            if decoder.ended:
                buffer.untake(rest)
                self._end = True
            if text:
                self._size += len(text)
                if self._error is None:
                    self._error = self._fault(decoder, text)
                    return Text(text) if self._error is None else TextRefused(self._error)
        self._decoder = None
        return EndOfText(self._size, self._error)

    def _fault(self, decoder: DotDecoder, text: bytes) -> MailError | None:
        if decoder.bare_line_end:
            return BareLineEnd()
        if self._size > self._max_size:
            return MessageTooBig()
        if self._lines.too_long(text):
            return TextLineTooLong()
        if _NUL in text and not self._allow_nul:
            return NulRefused()
        return None
