"""The octets of a message on their way into the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.transient import transient
from pymailsuite.message.structure import MessageStructure, Part, PartTable
from pymailsuite.values import ContentId


@transient
class StagedContent:
    """A message's octets on their way into the store: scanned, digested, not yet referred to by anything.

    ``tail`` holds the octets not yet written (the whole message if it fits one chunk); the chunks before it, if any,
    are in the store already under ``content_id`` and are swept if nothing ever refers to them.
    """

    content_id: ContentId
    size: int
    digest: bytes
    """SHA-256 of all octets."""
    structure: MessageStructure
    tail: bytes = field(repr=False)
    chunks_written: int = 0
    extra_octets: int | None = None
    """Octets that CRLF at the end of every line adds; None: nobody counted."""
    header: bytes = field(default=b"", repr=False)
    """The header, or nothing if it is longer than the store keeps headers apart from the other octets."""


class IReadableMessage(Interface):
    """A message that has come in and is not accepted yet: its octets as they are staged, our trace field in front.

    Without a read it costs nothing. What is read is never in memory whole; all of it ends, with a failure, when the
    message is given up, as when the client leaves.
    """

    def read(start: int, stop: int) -> Deferred[bytes]:
        """Octets ``start`` to ``stop`` (exclusive, at most MAX_CHUNK of them); short past the end. Has fired already if
        the message is short."""

    def parts() -> PartTable:
        """Its parts, with their places among those octets."""

    def text(part: Part) -> AsyncIterator[str]:
        """The body of a leaf as text, transfer encoding and charset undone, piece by piece."""

    def decoded(part: Part) -> AsyncIterator[bytes]:
        """The body of a leaf, its transfer encoding undone, piece by piece; as it stands if that encoding is not
        known."""


@frozen
class MessageSource:
    """A message as a stream: ``read`` gives its octets from ``start`` to ``stop``, at most MAX_CHUNK at once.

    ``header_size`` counts the empty line that ends the header. ``seven_bit``: all octets are known to be ASCII, so that
    nothing has to check.
    """

    size: int
    header_size: int
    read: Callable[[int, int], Deferred[bytes]] = field(repr=False)
    seven_bit: bool = False

    def with_fields(self, fields: bytes) -> MessageSource:
        """The message with header lines in front of it, each ended by CRLF; nothing of it is read for that."""
        if not fields:
            return self
        ahead, read = len(fields), self.read

        def read_behind(start: int, stop: int) -> Deferred[bytes]:
            if start >= ahead:
                return read(start - ahead, stop - ahead)
            front = fields[start:stop]
            if stop <= ahead:
                return succeed(front)
            return read(0, stop - ahead).addCallback(front.__add__)

        seven_bit = self.seven_bit and fields.isascii()
        return MessageSource(ahead + self.size, ahead + self.header_size, read_behind, seven_bit)


class IContentWriter(Interface):
    """Takes the octets of one message in any cut; holds at most a few chunks in memory."""

    content_id = Attribute("ContentId the octets will have, known from the start; never used again if aborted.")
    size = Attribute("Octets written so far.")
    whole_lines = Attribute(
        "True: every line of the octets is known to end with CRLF, and no CR or LF to stand alone. Whoever writes may"
        " say so before the first write, which saves a look at all octets."
    )

    def write(octets: bytes) -> Deferred[None] | None:
        """Add octets. None: go on. A Deferred: stop reading from the peer until it fires.

        The Deferred fails if a chunk could not be stored; the writer is then aborted.
        """

    def read(start: int, stop: int) -> Deferred[bytes]:
        """Octets ``start`` to ``stop`` (exclusive, at most MAX_CHUNK of them) of those written so far; short past their
        end. Has fired already if they are still in memory. Fails once the writer is aborted; not to be asked after
        ``finish``."""

    def structure() -> MessageStructure:
        """Complete the scan, and what it found. Nothing may be written afterwards."""

    def finish() -> Deferred[StagedContent]:
        """Complete the scan and hand over; the message is not yet in any mailbox. Nothing may be written afterwards."""

    def abort() -> None:
        """Forget everything written. Harmless after ``finish`` or a failure."""
