"""APPEND: messages are streamed into the store, and added all at once.

RFC 3501 §6.3.11, RFC 3502 (several at once), RFC 4315 (APPENDUID), RFC 7888 (non-synchronizing literals).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pymailsuite.errors import MailError, MessageTooBig, NoSuchMailbox, PeerError
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar.mailboxes import parse_append
from pymailsuite.imap.grammar.tokens import Cursor, Words
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.receiver import MessageOffered
from pymailsuite.imap.replies import TooManyMessages, TryCreate
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import DEFAULT_LIMITS, Append, GrammarLimits
from pymailsuite.interfaces import IContentWriter, NewMessage
from pymailsuite.values import MAX_CHUNK, UidSet


def parse_offer(
    pieces: Sequence[bytes], words: Words, limits: GrammarLimits = DEFAULT_LIMITS, *, utf8: bool = False
) -> Append:
    """The APPEND whose message literal comes after ``pieces``, which end with the space before its ``{n}``.

    PeerError: not an APPEND, or more than ``limits`` allow.
    """
    cursor = Cursor(pieces, limits, words, utf8=utf8)
    tag = cursor.tag()
    cursor.space()
    if cursor.word("a command") != "APPEND":
        raise PeerError("Unexpected literal")
    return parse_append(cursor, tag)


class Upload:
    """One APPEND in progress. At most one message is open; earlier ones are held as staged contents only."""

    __slots__ = ("_command", "_failure", "_finished", "_messages", "_place", "_writer", "tag")

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self._place: MailboxPlace | None = None
        self._messages: list[NewMessage] = []
        self._writer: IContentWriter | None = None
        self._finished: list[IContentWriter] = []
        self._command: Append | None = None
        self._failure: Failure | None = None

    async def offer(self, context: Context, event: MessageOffered) -> None:
        """Prepare for one more message. Raises the error that refuses the APPEND, before its octets come."""
        settings = context.settings
        command = parse_offer(event.pieces, context.shared.vocabulary, utf8=context.utf8)
        if event.size > settings.message_size:
            raise MessageTooBig(f"Message is longer than {settings.message_size} octets")
        if not event.size:
            raise EmptyMessage()
        if event.further:
            if len(self._messages) + 1 >= settings.append_messages:
                raise TooManyMessages(settings.append_messages)
            await self._finish_message()
        else:
            self._place = await context.place(command.mailbox)
            if event.waits or event.size > MAX_CHUNK:
                await self._look_for_mailbox(self._place)
            # A non-synchronizing literal comes in any case, and of a short one nothing is stored before its end: the
            # store will then report a missing mailbox, which saves one look-up.
        self._command = command
        self._writer = context.shared.store.new_content()

    async def _look_for_mailbox(self, place: MailboxPlace) -> None:
        """Raises an error if the mailbox cannot take messages."""
        try:
            mailbox = await place.mail.mailbox(place.name)
        except NoSuchMailbox:
            raise TryCreate() from None
        if not mailbox.selectable:
            raise NoSuchMailbox("Not a mailbox that can hold messages")

    def write(self, octets: bytes) -> Deferred[None] | None:
        """Some octets. A Deferred: no more until it fires. Errors are reported when all octets have come."""
        if self._failure is not None or self._writer is None:
            return None
        waiting: Deferred[None] | None = self._writer.write(octets)
        return waiting.addErrback(self._note_failure) if waiting is not None else None

    def _note_failure(self, failure: Failure) -> None:
        self._failure = failure

    async def store(self, context: Context, rest: bytes) -> bytes:
        """All octets have come: add the messages, and return the completion once they are committed."""
        if rest.strip(b" "):
            raise PeerError("Unexpected text after the message")
        await self._finish_message()
        place = self._place
        assert place is not None
        try:
            appended = await place.mail.append(place.name, self._messages)
        except NoSuchMailbox:
            await self._look_for_mailbox(place)
            raise TryCreate() from None  # it has been made just now
        self._messages = []
        self._finished = []
        await context.arrived_in(place)
        uids = UidSet.of(appended.uids)
        return f"OK [APPENDUID {appended.uid_validity} {uids}] APPEND completed".encode("ascii")

    async def _finish_message(self) -> None:
        writer, self._writer = self._writer, None
        command = self._command
        assert writer is not None and command is not None
        if self._failure is not None:
            writer.abort()
            self._failure.raiseException()
        self._finished.append(writer)
        self._messages.append(NewMessage(await writer.finish(), command.flags, command.internal_date))

    def abort(self) -> None:
        """Drop staged messages; harmless afterwards."""
        writer, self._writer = self._writer, None
        finished, self._finished = self._finished, []
        for one in finished if writer is None else (*finished, writer):
            one.abort()


class EmptyMessage(MailError):
    """RFC 3502 §6.3.11: a message of no octets cancels the APPEND."""

    text = "APPEND cancelled: a message of no octets"


async def _without_message(_context: Context, _: Append) -> bytes:
    raise PeerError("Expected the message as a literal")


# An Upload takes the message; a command that is complete without one is malformed.
COMMANDS: Final = (ImapCommand("APPEND", AFTER_LOGIN, _without_message, parse_append, message_reader=Upload),)
