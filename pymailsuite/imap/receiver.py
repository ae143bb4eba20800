"""Octets to events: the lines and literals of IMAP, before they are parsed.

A command is one or more lines joined by literals (RFC 3501 §4.3): each line that ends in ``{n}`` or ``{n+}`` (RFC 7888)
goes on after n raw octets. The receiver collects the pieces of a command, lines at even places and literals at odd
ones, and bounds both. A message in a command (APPEND, REPLACE) is never collected: each literal of such a command is
offered, and taken for a message, taken for a string, or refused; a message is streamed in the chunks in which it came.
The kind of the next line depends on the server's own replies, so the session
pulls: after AUTHENTICATE and IDLE it calls :meth:`ImapReceiver.expect_line` before it asks for the next event.
"""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Callable
from typing import Final

from attrs import field, frozen

from pymailsuite.values import MAX_CHUNK
from pymailsuite.wire.lines import LineBuffer, LineTooLong

_LITERAL: Final = re.compile(rb"\{([0-9]++)(\+?)\}\Z")
_LONGEST_NUMBER: Final = 20


@frozen
class Limits:
    """The limits of one command, in octets; all sessions in the same state share one object."""

    line: int
    """All lines of a command together, without literals."""
    literals: int
    """All literals of a command together, the message of an APPEND not counted."""
    skipped: int
    """A refused non-synchronizing literal is read and discarded up to this size."""
    unasked: int = sys.maxsize
    """A non-synchronizing literal (RFC 7888 §4)."""


@frozen
class CommandReceived:
    """A complete command: lines at even places, literals at odd ones, the ``{n}`` taken away."""

    pieces: tuple[bytes, ...] = field(repr=False)


@frozen
class ContinuationNeeded:
    """The client waits for ``+`` before it sends a literal."""


@frozen
class LiteralRefused:
    """A literal is over the limit. ``pieces`` are those before it; with ``skipped`` False the connection must close,
    because more octets are coming than the limit for discarding."""

    pieces: tuple[bytes, ...] = field(repr=False)
    skipped: bool = True


@frozen
class LineRefused:
    """A line is over the limit and is being skipped, with all non-synchronizing literals of its command.

    ``pieces`` are those before it, often none; ``beginning`` is the line's first word, by which the refusal finds its
    command, or nothing if it is no word."""

    pieces: tuple[bytes, ...] = field(repr=False)
    beginning: bytes = field(default=b"", repr=False, eq=False)


@frozen
class LiteralOffered:
    """A command that may contain messages has come as far as a literal of ``size`` octets; answer with
    ``accept_message``, ``collect_literal`` or ``refuse_literal``. ``waits`` is True if the client waits for ``+``.

    ``pieces`` are those before it; with ``further`` only those that came after the last message."""

    pieces: tuple[bytes, ...] = field(repr=False)
    size: int
    waits: bool
    further: bool = False


@frozen
class MessageOctets:
    """Some of the message."""

    octets: bytes = field(repr=False)


@frozen
class MessageEnded:
    """A command with messages is complete; ``pieces`` are those after the last message."""

    pieces: tuple[bytes, ...] = field(repr=False)


@frozen
class LineReceived:
    """The line that was expected: an authentication response, or DONE."""

    line: bytes = field(repr=False)


Event = (
    CommandReceived
    | ContinuationNeeded
    | LiteralRefused
    | LineRefused
    | LiteralOffered
    | MessageOctets
    | MessageEnded
    | LineReceived
)


@frozen
class _GoOn:
    """No event yet, but the octets read determine how to read the next ones. This continues a loop instead of
    recursing: a client may send thousands of empty literals in one command."""


_GO_ON: Final = _GoOn()


def _size(token: re.Match[bytes]) -> int:
    """The announced size. A number with too many digits counts as above any limit: octets may be coming."""
    return int(token[1][-_LONGEST_NUMBER:]) if len(token[1].lstrip(b"0")) <= _LONGEST_NUMBER else sys.maxsize


class _Next(enum.IntEnum):
    """The kind of the next octets; numbers, so that table look-ups need no Python call."""

    COMMAND_LINE = enum.auto()
    LITERAL = enum.auto()
    PLAIN_LINE = enum.auto()
    OFFER = enum.auto()
    MESSAGE = enum.auto()
    SKIPPED = enum.auto()
    AFTER_SKIPPED = enum.auto()
    REFUSED_LINE = enum.auto()


class ImapReceiver:
    """Takes octets in pieces of any size, gives events. Holds one command at most, and no octets of a message.

    ``has_messages`` tells from the first line of a command whether its literals may be messages."""

    __slots__ = (
        "_has_messages",
        "_left",
        "_lines",
        "_literal",
        "_next",
        "_offer",
        "_pieces",
        "_spent",
        "_streamed",
        "limits",
    )

    def __init__(self, limits: Limits, has_messages: Callable[[bytes], bool]) -> None:
        self.limits = limits
        self._has_messages = has_messages
        # Departs from RFC 3501 §2.2: people type into a connection, and their lines end with LF alone.
        self._lines = LineBuffer(limits.line, bare_lf=True)
        self._next = _Next.COMMAND_LINE
        self._pieces: list[bytes] = []
        self._spent = 0
        self._left = 0
        self._literal: bytearray | None = None
        self._offer: LiteralOffered | None = None
        self._streamed = False
        """A message of the present command has been streamed: ``_pieces`` are those after it."""

    def receive(self, octets: bytes) -> None:
        """Add octets from the client."""
        self._lines.receive(octets)

    @property
    def unread(self) -> int:
        """Octets received that are in no event yet."""
        return len(self._lines)

    def take_unread(self) -> bytes:
        """The octets received that are in no event yet: what follows COMPRESS is not to be read as it stands."""
        return self._lines.take(len(self._lines))

    def drop_unread(self) -> int:
        """Discard octets that came in the same packet as STARTTLS; returns their number (RFC 3501 §6.2.1)."""
        return self._lines.drop_unread()

    def expect_line(self) -> None:
        """The next line stands for itself: no command, no literal."""
        self._next = _Next.PLAIN_LINE

    def accept_message(self) -> None:
        """The literal offered is a message; its octets follow."""
        assert self._offer is not None, "no literal was offered"
        self._left = self._offer.size
        self._offer = None
        self._next = _Next.MESSAGE

    def collect_literal(self) -> bool:
        """The literal offered is a string of the command. False: it is too long, and is to be refused."""
        assert self._offer is not None, "no literal was offered"
        if self._spent + self._offer.size > self.limits.literals or self._lines.limit < 0:
            return False
        self._collect(self._offer.size)
        self._offer = None
        return True

    def refuse_literal(self) -> bool:
        """Refuse the literal and its command. False: its octets are coming all the same, too many to discard:
        close."""
        assert self._offer is not None, "no literal was offered"
        offer, self._offer = self._offer, None
        self._forget_command()
        return offer.waits or self._skip(offer.size)

    def next_event(self) -> Event | None:
        """The next event, or None until more octets come."""
        while True:
            try:
                event = self._READERS[self._next](self)
            except LineTooLong as error:
                event = self._line_too_long(error)
            if not isinstance(event, _GoOn):
                return event

    def _line_too_long(self, error: LineTooLong) -> Event | _GoOn:
        was, pieces = self._next, tuple(self._pieces)
        self._forget_command()
        if was is not _Next.PLAIN_LINE:
            self._next = _Next.REFUSED_LINE
        if was is _Next.AFTER_SKIPPED:
            # Its command has been refused already.
            return _GO_ON
        word, space, _ = error.beginning.partition(b" ")
        return LineRefused(pieces, word if space else b"")

    # --- readers, one for each kind of octets

    def _read_command_line(self) -> Event | _GoOn | None:
        limits = self.limits
        if not self._pieces:
            self._lines.limit = limits.line
        line = self._lines.next_line()
        if line is None:
            return None
        token = _LITERAL.search(line) if line.endswith(b"}") else None
        if token is None:
            if not self._pieces and not self._streamed:
                return CommandReceived((line,))
            self._pieces.append(line)
            pieces, streamed = tuple(self._pieces), self._streamed
            self._forget_command()
            return MessageEnded(pieces) if streamed else CommandReceived(pieces)
        size, waits = _size(token), not token[2]
        self._pieces.append(line[: token.start()])
        self._lines.limit -= len(line)
        if not waits and size > limits.unasked:
            return self._refuse_literal(size, waits)
        if self._streamed or self._has_messages(self._pieces[0]):
            self._offer = LiteralOffered(tuple(self._pieces), size, waits, self._streamed)
            self._next = _Next.OFFER
            return self._offer
        if self._spent + size > limits.literals or self._lines.limit < 0:
            return self._refuse_literal(size, waits)
        self._collect(size)
        return ContinuationNeeded() if waits else _GO_ON

    def _read_literal(self) -> Event | _GoOn | None:
        literal = self._literal
        assert literal is not None
        if self._left:
            octets = self._lines.take(self._left)
            literal += octets
            self._left -= len(octets)
            if self._left:
                return None
        self._pieces.append(bytes(literal))
        self._literal = None
        self._next = _Next.COMMAND_LINE
        return _GO_ON

    def _read_plain_line(self) -> Event | None:
        self._lines.limit = self.limits.line
        line = self._lines.next_line()
        if line is None:
            return None
        self._next = _Next.COMMAND_LINE
        return LineReceived(line)

    def _read_offer(self) -> Event | None:
        # Until the offer is answered the meaning of the next octets is not known.
        return None

    def _read_message(self) -> Event | _GoOn | None:
        if not self._left:
            self._pieces = []
            self._streamed = True
            self._next = _Next.COMMAND_LINE
            return _GO_ON
        octets = self._lines.take(min(self._left, MAX_CHUNK))
        if not octets:
            return None
        self._left -= len(octets)
        return MessageOctets(octets)

    def _read_skipped(self) -> Event | _GoOn | None:
        self._left -= len(self._lines.take(self._left))
        if self._left:
            return None
        self._next = _Next.AFTER_SKIPPED
        return _GO_ON

    def _read_after_skipped(self) -> Event | _GoOn | None:
        self._lines.limit = self.limits.line
        line = self._lines.next_line()
        return None if line is None else self._refused_up_to(line)

    def _read_refused_line(self) -> Event | _GoOn | None:
        end = self._lines.end_of_skipped()
        return None if end is None else self._refused_up_to(end)

    def _refused_up_to(self, line: bytes) -> Event | _GoOn:
        """The command has been refused. The rest that the client sends of it is no command."""
        token = _LITERAL.search(line)
        if token is not None and token[2]:
            if self._skip(_size(token)):
                return _GO_ON
            return LiteralRefused((), skipped=False)
        self._next = _Next.COMMAND_LINE
        return _GO_ON

    _READERS: Final = {
        _Next.COMMAND_LINE: _read_command_line,
        _Next.LITERAL: _read_literal,
        _Next.PLAIN_LINE: _read_plain_line,
        _Next.OFFER: _read_offer,
        _Next.MESSAGE: _read_message,
        _Next.SKIPPED: _read_skipped,
        _Next.AFTER_SKIPPED: _read_after_skipped,
        _Next.REFUSED_LINE: _read_refused_line,
    }

    # --- parts of them

    def _refuse_literal(self, size: int, waits: bool) -> LiteralRefused:
        pieces = tuple(self._pieces)
        self._forget_command()
        return LiteralRefused(pieces, waits or self._skip(size))

    def _collect(self, size: int) -> None:
        """The next octets are a literal that belongs to the command."""
        self._spent += size
        self._left = size
        self._literal = bytearray()
        self._next = _Next.LITERAL

    def _skip(self, size: int) -> bool:
        """Discard a non-synchronizing literal, and the rest of its command; False if it is too big."""
        if size > self.limits.skipped:
            return False
        self._left = size
        self._next = _Next.SKIPPED
        return True

    def _forget_command(self) -> None:
        self._pieces = []
        self._spent = 0
        self._literal = None
        self._streamed = False
        self._next = _Next.COMMAND_LINE
