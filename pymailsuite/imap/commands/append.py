"""APPEND: messages are streamed into the store, and added all at once.

RFC 3501 §6.3.11, RFC 3502 (several at once), RFC 4315 (APPENDUID), RFC 4469 (CATENATE), RFC 7888 (non-synchronizing
literals). Octets are kept as they come: 8-bit text and NUL too, whether or not the literal says that it is binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pymailsuite.errors import MailError, MessageTooBig, NoSuchMailbox
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar.append import (
    Awaited,
    MessageBegins,
    MessageEnds,
    Messages,
    OctetsOf,
    Place,
    Step,
    read_messages,
)
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.message_urls import octets_of
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.receiver import LiteralOffered
from pymailsuite.imap.replies import TooManyMessages, TryCreate
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command
from pymailsuite.interfaces import Appended, IContentWriter, NewMessage
from pymailsuite.values import MAX_CHUNK, UidSet


@frozen
class Append(Command):
    """The arguments of an APPEND as far as they have come; ``messages`` None: the mailbox is still to come."""

    mailbox: str = ""
    messages: Messages | None = None


def parse_append(cursor: Cursor, tag: str, *, literal: bool = False) -> Append:
    """append = "APPEND" SP mailbox 1*append-message; with ``literal`` a literal stands at the end of the pieces."""
    cursor.space()
    if literal and cursor.is_at_end():
        return Append(tag)
    mailbox = cursor.mailbox()
    return Append(tag, mailbox, read_messages(cursor, Place.FIRST, literal=literal))


class Upload:
    """One APPEND in progress. At most one message is open; earlier ones are held as staged contents only."""

    __slots__ = ("_at", "_begun", "_failure", "_finished", "_messages", "_writer", "command", "tag", "target")

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self.command = Append("")
        self.target: MailboxPlace | None = None
        self._at = Place.FIRST
        self._messages: list[NewMessage] = []
        self._begun: MessageBegins | None = None
        self._writer: IContentWriter | None = None
        self._finished: list[IContentWriter] = []
        self._failure: Failure | None = None

    # --- what differs between commands

    def parse(self, cursor: Cursor, tag: str, *, literal: bool) -> Append:
        """The command from its tag on, as far as it has come."""
        return parse_append(cursor, tag, literal=literal)

    async def begin(self, context: Context) -> None:
        """The command is known, and its first message begins: raise the error that refuses it."""

    async def check_room(self, size: int) -> None:
        """OverQuota if octets do not fit that are about to come, together with those that have."""
        assert self.target is not None, "no message has begun"
        staged = sum([message.content.size for message in self._messages])
        if self._writer is not None:
            staged += self._writer.size
        number = len(self._messages) + (2 if self._writer is not None and self._at is Place.NEXT else 1)
        await self.target.mail.check_room(self.target.name, staged + size, number)

    async def add(self, context: Context, place: MailboxPlace, messages: Sequence[NewMessage]) -> bytes:
        """Add the messages to the mailbox; returns the completion."""
        try:
            appended: Appended = await place.mail.append(place.name, messages)
        except NoSuchMailbox:
            await _look_for_mailbox(place)
            raise TryCreate() from None  # it has been made just now
        self.keep_staged()
        await context.arrived_in(place)
        return b"OK " + append_uid(appended) + b"APPEND completed"

    # --- as a MessageReader

    async def offer(self, context: Context, event: LiteralOffered) -> bool:
        """Prepare for octets of a message. Raises the error that refuses the command, before they come."""
        cursor = Cursor(event.pieces, context.grammar, context.shared.vocabulary, utf8=context.utf8)
        if event.further:
            messages = read_messages(cursor, self._at, literal=True)
        else:
            tag = cursor.tag()
            cursor.skip_name()
            self.command = self.parse(cursor, tag, literal=True)
            if self.command.messages is None:
                return False
            messages = self.command.messages
        if messages.awaited is Awaited.STRING:
            return False
        if not event.size and messages.awaited is Awaited.MESSAGE:
            raise EmptyMessage()
        self._check_size(context, event.size)
        if not event.further:
            await self.begin(context)
            self.target = await context.place(self.command.mailbox)
            if event.waits or event.size > MAX_CHUNK or len(messages.steps) > 1:
                # A non-synchronizing literal comes in any case, and of a short one nothing is stored before its end:
                # the store will then report a missing mailbox, which saves one look-up.
                await _look_for_mailbox(self.target)
        if event.waits or event.size > MAX_CHUNK:
            await self.check_room(event.size)
        await self._take(context, messages.steps)
        if self._writer is not None:
            self._check_size(context, self._writer.size + event.size)
        self._at = Place.NEXT if messages.awaited is Awaited.MESSAGE else Place.LIST
        return True

    def write(self, octets: bytes) -> Deferred[None] | None:
        """Some octets. A Deferred: no more until it fires. Errors are reported when all octets have come."""
        if self._failure is not None or self._writer is None:
            return None
        waiting: Deferred[None] | None = self._writer.write(octets)
        return waiting.addErrback(self._note_failure) if waiting is not None else None

    async def store(self, context: Context, pieces: Sequence[bytes]) -> bytes:
        """All octets have come: add the messages, and return the completion once they are committed."""
        cursor = Cursor(pieces, context.grammar, context.shared.vocabulary, utf8=context.utf8)
        messages = read_messages(cursor, self._at, literal=False)
        await self._take(context, messages.steps)
        return await self._add_all(context)

    def abort(self) -> None:
        """Drop staged messages; harmless afterwards."""
        writer, self._writer = self._writer, None
        finished, self._finished = self._finished, []
        for one in finished if writer is None else (*finished, writer):
            one.abort()

    # --- parts of that

    async def whole(self, context: Context, command: Append) -> bytes:
        """A command in which no message came as a literal."""
        assert command.messages is not None
        self.command = command
        try:
            await self.begin(context)
            self.target = await context.place(command.mailbox)
            await _look_for_mailbox(self.target)
            await self._take(context, command.messages.steps)
            return await self._add_all(context)
        finally:
            self.abort()

    def keep_staged(self) -> None:
        """The messages are in a mailbox: what was staged is not dropped any more."""
        self._messages = []
        self._finished = []

    async def _add_all(self, context: Context) -> bytes:
        if self._writer is not None:
            await self._finish_message()
        assert self.target is not None, "no message has begun"
        return await self.add(context, self.target, self._messages)

    def _check_size(self, context: Context, size: int) -> None:
        most = context.settings.message_size
        if size > most:
            raise MessageTooBig(f"Message is longer than {most} octets")

    async def _take(self, context: Context, steps: Sequence[Step]) -> None:
        if self._at is Place.NEXT and (steps or self._failure is not None):
            await self._finish_message()
        for step in steps:
            match step:
                case MessageBegins():
                    if len(self._messages) >= context.settings.append_messages:
                        raise TooManyMessages(context.settings.append_messages)
                    self._begun = step
                    self._writer = context.shared.store.new_content()
                case OctetsOf(url):
                    await self._copy(context, url)
                case MessageEnds():
                    await self._finish_message()

    async def _copy(self, context: Context, url: bytes) -> None:
        """The message goes on with octets of another one."""
        async for octets in octets_of(context, url):
            writer = self._writer
            assert writer is not None
            self._check_size(context, writer.size + len(octets))
            waiting = self.write(octets)
            if waiting is not None:
                await waiting
            if self._failure is not None:
                self._failure.raiseException()

    def _note_failure(self, failure: Failure) -> None:
        self._failure = failure

    async def _finish_message(self) -> None:
        writer, self._writer = self._writer, None
        begun = self._begun
        assert writer is not None and begun is not None
        if self._failure is not None:
            writer.abort()
            self._failure.raiseException()
        self._finished.append(writer)
        if not writer.size:
            raise EmptyMessage()
        self._messages.append(NewMessage(await writer.finish(), begun.flags, begun.internal_date))


async def _look_for_mailbox(place: MailboxPlace) -> None:
    """Raises an error if the mailbox cannot take messages."""
    try:
        mailbox = await place.mail.mailbox(place.name)
    except NoSuchMailbox:
        raise TryCreate() from None
    if not mailbox.selectable:
        raise NoSuchMailbox("Not a mailbox that can hold messages")


class EmptyMessage(MailError):
    """RFC 3502 §6.3.11: a message of no octets cancels the APPEND."""

    text = "APPEND cancelled: a message of no octets"


def append_uid(appended: Appended) -> bytes:
    """The response code APPENDUID, and a space. Source: RFC 4315 §3."""
    return f"[APPENDUID {appended.uid_validity} {UidSet.of(appended.uids)}] ".encode("ascii")


async def _append(context: Context, command: Append) -> bytes:
    return await Upload(command.tag.encode("ascii")).whole(context, command)


COMMANDS: Final = (ImapCommand("APPEND", AFTER_LOGIN, _append, parse_append, message_reader=Upload),)
