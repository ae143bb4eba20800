"""One client's session: events in, replies out, commands strictly one after the other.

The session has no sockets. The protocol gives it an event; where the reply needs the store, the session returns a
coroutine (or a Deferred) and gets no further event until that has ended. Replies are collected in ``out`` and sent
together, the completion last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed

from pymailsuite.errors import LoginRefused, MailError, PeerError
from pymailsuite.imap import replies, values
from pymailsuite.imap.context import LineReader, MessageReader
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar import parse_tag
from pymailsuite.imap.guard import ExtensionTooSlow
from pymailsuite.imap.mailbox_session import MailboxSession
from pymailsuite.imap.places import Places
from pymailsuite.imap.proxy.connection import BackendConnection
from pymailsuite.imap.proxy.dialogue import FRONT_ENDS, proxy_ttl
from pymailsuite.imap.quirks import ClientName, Quirk, client_name, listed
from pymailsuite.imap.receiver import (
    CommandReceived,
    ContinuationNeeded,
    Event,
    ImapReceiver,
    LineReceived,
    LineRefused,
    LiteralOffered,
    LiteralRefused,
    MessageEnded,
    MessageOctets,
)
from pymailsuite.imap.shared import Connection, Shared
from pymailsuite.imap.states import State
from pymailsuite.interfaces import IImapAvatar

Doing = Coroutine[Deferred[Any], Any, None] | Deferred[None]
"""A reply that takes time."""


class Session(MailboxSession):
    """One session. ``connection`` moves its octets, ``receiver`` reads them, all sessions share ``shared``."""

    __slots__ = (
        "_bad_commands",
        "_client_name",
        "_line_reader",
        "_message_reader",
        "_quirks",
        "backend",
        "failed_logins",
        "log_out",
        "proxy_ttl",
        "receiver",
    )

    def __init__(self, shared: Shared, connection: Connection) -> None:
        super().__init__(shared, connection)
        self.receiver = ImapReceiver(shared.before_login, shared.vocabulary.has_messages)
        self.log_out: Callable[[], object] | None = None
        self._line_reader: LineReader | None = None
        self._message_reader: MessageReader | None = None
        self.failed_logins = 0
        self.proxy_ttl = FRONT_ENDS
        self.backend: BackendConnection | None = None
        """Whom the client speaks with from now on."""
        self._bad_commands = 0
        self._client_name: ClientName = ()
        self._quirks: tuple[Quirk, ...] = ()

    # --- methods that the protocol calls

    def greet(self) -> None:
        """Send the greeting. Source: RFC 3501 §7.1.1."""
        greeting = replies.text(self.settings.greeting)
        self.connection.send(b"* OK [CAPABILITY " + self.capabilities() + b"] " + greeting + replies.CRLF)

    def take(self, event: Event) -> Doing | None:
        """Answer an event: at once (None), or when the returned object is done."""
        match event:
            case CommandReceived(pieces):
                return self._obey(pieces)
            case MessageOctets(octets):
                assert self._message_reader is not None
                return self._message_reader.write(octets)
            case LineReceived(line):
                return self._take_line(line)
            case ContinuationNeeded():
                self.connection.send(replies.CONTINUE)
            case LiteralOffered():
                reader = self._reader_for(event)
                return self._guard(reader.tag, self._offered(reader, event))
            case MessageEnded(pieces):
                done, self._message_reader = self._message_reader, None
                assert done is not None
                self.connection.set_deadline(None)
                return self._guard(done.tag, self._message_read(done, pieces))
            case LineRefused(pieces, beginning):
                self._refuse(self._tag_of_line(pieces or (beginning,)), PeerError("Command line too long"))
                self.flush()
            case LiteralRefused(pieces, skipped):
                if pieces:
                    # Without pieces it is a further literal of a command that was refused already.
                    self._refuse(self._tag_of_line(pieces), PeerError("Literal too big"))
                    self.flush()
                if not skipped:
                    self.end("Literal too big")
        return None

    @property
    def may_be_told(self) -> bool:
        """Whether the client may be sent something between commands: it is not in the middle of one."""
        return self._message_reader is None and (self._line_reader is None or self.is_idle)

    def patience_s(self) -> float:
        """The present timeout of the client, in seconds. Source: RFC 3501 §5.4."""
        settings = self.settings
        if self.is_idle:
            return settings.idle_timeout
        return settings.login_timeout if self.avatar is None else settings.autologout

    def closed(self) -> None:
        """The connection is closed: release resources."""
        self.state = State.LOGOUT
        self.deselect()
        self.tell_unasked(None)
        self._abandon_message()
        self._give_back_login()

    def forget(self) -> int:
        """Discard everything from before TLS; returns the number of octets discarded. Source: RFC 3501 §6.2.1."""
        self._line_reader = None
        self._bad_commands = 0
        return self.receiver.drop_unread()

    # --- methods that commands call

    def capabilities(self) -> bytes:
        """The present capabilities."""
        logged_in = self.avatar is not None
        all_of_them = self.shared.capabilities(self.connection, logged_in=logged_in)
        return listed(all_of_them, self._quirks, logged_in=logged_in) if self._quirks else all_of_them

    def hides(self, capability: str) -> bool:
        """Whether this capability is not there for this client."""
        return any(quirk.hidden(capability) for quirk in self._quirks)

    def identified(self, fields: Mapping[str, str | None]) -> bool:
        """The client has sent an ID. True if its capabilities are others from now on."""
        before = self.capabilities()
        self._client_name = client_name(fields)
        self.proxy_ttl = min(self.proxy_ttl, proxy_ttl(fields))
        self._choose_quirks()
        return self.capabilities() != before

    def _choose_quirks(self) -> None:
        choices = {} if self.avatar is None else self.avatar.account.overrides.imap_quirks
        if self._client_name or choices or self._quirks:
            self._quirks = self.shared.quirks.chosen(self._client_name, choices)

    def logged_in(self, avatar: IImapAvatar, log_out: Callable[[], object]) -> None:
        """The portal has let the client in."""
        self.avatar = avatar
        self.log_out = log_out
        self._choose_quirks()
        self.places = Places(self.shared.naming, self.shared.sharing, avatar)
        self.state = State.AUTHENTICATED
        self.receiver.limits = self.shared.after_login
        self.connection.set_deadline(None)
        avatar.on_ended(self.connection.withdraw)

    def pass_on(self, backend: BackendConnection, log_out: Callable[[], object]) -> None:
        """The client is to speak with a back-end, which has let it in."""
        self.backend = backend
        self.log_out = log_out
        self.connection.set_deadline(None)

    def unauthenticate(self) -> None:
        """The client is not logged in any more, on the same connection; what it enabled is off again.

        The failed logins of the connection stay counted. Source: RFC 8437 §3.
        """
        self.deselect()
        self.tell_unasked(None)
        self._give_back_login()
        self._choose_quirks()
        self.state = State.NOT_AUTHENTICATED
        self.condstore = False
        self.qresync = False
        self.uid_only = False
        self.utf8 = False
        self.rev2 = False
        self.language = None
        self.receiver.limits = self.shared.before_login
        self.connection.set_deadline(self.settings.login_timeout)

    def _give_back_login(self) -> None:
        if self.avatar is not None:
            self.shared.forget_login(str(self.avatar.account.account_id))
            self.avatar = None
        log_out, self.log_out = self.log_out, None
        if log_out is not None:
            log_out()

    def expect_line(self, reader: LineReader, *, idle: bool = False) -> None:
        """The next line of the client is for ``reader``; until then the client is in IDLE, or owes a response."""
        self._line_reader = reader
        self.is_idle = idle
        self.receiver.expect_line()

    def end_after_reply(self) -> None:
        """LOGOUT was answered."""
        self.state = State.LOGOUT
        self.flush()
        self.connection.close()

    # --- events

    def _tag_of(self, pieces: tuple[bytes, ...]) -> bytes:
        tag = parse_tag(pieces[0]) if pieces else None
        return b"*" if tag is None else tag.encode("ascii")

    def _tag_of_line(self, pieces: tuple[bytes, ...]) -> bytes:
        """The tag for a refused line: that of AUTHENTICATE, IDLE or APPEND, which end by the refusal, or of a new
        command."""
        reader = self._end_line_reader() or self._message_reader
        self._abandon_message()
        return self._tag_of(pieces) if reader is None else reader.tag

    def _end_line_reader(self) -> LineReader | None:
        reader, self._line_reader = self._line_reader, None
        self.is_idle = False
        return reader

    async def _obey(self, pieces: tuple[bytes, ...]) -> None:
        tag = b"*"
        is_answered = False
        try:
            vocabulary = self.shared.vocabulary
            declared, command = vocabulary.parse(pieces, self.grammar, utf8=self.utf8)
            tag = command.tag.encode("ascii")
            if self.state not in declared.states:
                raise PeerError("Command not allowed in this state")
            if declared in vocabulary.foreign:
                result = await self._run_foreign(declared, command)
            else:
                result = await declared.run(self, command)
            self._bad_commands = 0
            if self.owes_completion:
                # IDLE goes on until DONE, and its changes may be sent at once.
                await self.sync_unasked(expunges=not declared.holds_numbers)
            if result is not None and self.state is not State.LOGOUT:
                self.answer(replies.completed(tag, result))
                is_answered = True
                if declared.after is not None:
                    declared.after(self)
        except (CancelledError, GeneratorExit):
            raise
        except Exception as error:
            if is_answered:
                # Nothing more can be sent to it, and its state is unknown.
                self.flush()
                raise
            self._failed(self._tag_of(pieces) if tag == b"*" else tag, error)
        self.flush()

    async def _run_foreign(self, declared: ImapCommand, command: values.Command) -> bytes | None:
        """A command of an extension of another package: its time is limited."""
        extension = self.shared.vocabulary.foreign[declared]
        too_slow = ExtensionTooSlow(cause=f"extension {extension}")
        try:
            return await self.connection.within(self.settings.extension_timeout, declared.run(self, command), too_slow)
        except ExtensionTooSlow:
            self.log.error(
                "{event}: {command} of {plugin} was called off",
                event="extension.too_slow",
                command=declared.name,
                plugin=extension,
            )
            raise

    async def _guard(self, tag: bytes, doing: Awaitable[bytes | None]) -> None:
        """Await ``doing`` and send the completion, if the command has ended."""
        try:
            result = await doing
            if result is not None:
                self._bad_commands = 0
                if self.owes_completion:
                    await self.sync_unasked(expunges=True)
                if self.state is not State.LOGOUT:
                    self.answer(replies.completed(tag, result))
        except (CancelledError, GeneratorExit):
            raise
        except Exception as error:
            self._failed(tag, error)
        self.flush()

    def _take_line(self, line: bytes) -> Doing:
        """An authentication response, or the end of IDLE."""
        reader = self._end_line_reader()
        assert reader is not None, "a line was expected by nobody"
        return self._guard(reader.tag, reader.take_line(self, line))

    def _reader_for(self, event: LiteralOffered) -> MessageReader:
        """The reader of the command whose literal is offered."""
        if self._message_reader is not None:
            return self._message_reader
        declared = self.shared.vocabulary.streaming(event.pieces[0])
        assert declared is not None and declared.message_reader is not None
        reader: MessageReader = declared.message_reader(self._tag_of(event.pieces))
        return reader

    async def _offered(self, reader: MessageReader, event: LiteralOffered) -> None:
        """A literal of a command that streams messages: accept or refuse it before its octets come."""
        self._message_reader = reader
        try:
            if not event.further:
                declared = self.shared.vocabulary.streaming(event.pieces[0])
                if declared is None or self.state not in declared.states:
                    raise PeerError("Command not allowed in this state")
            if await reader.offer(self, event):
                self.receiver.accept_message()
                self.connection.set_deadline(self.settings.append_timeout)
            elif self.receiver.collect_literal():
                if not event.further:
                    self._message_reader = None
            else:
                raise PeerError("Literal too big")
        except BaseException:
            self._abandon_message()
            if not self.receiver.refuse_literal():
                self.end("Literal too big")
            raise
        if event.waits:
            self.out.append(replies.CONTINUE)

    async def _message_read(self, reader: MessageReader, pieces: tuple[bytes, ...]) -> bytes:
        try:
            return await reader.store(self, pieces)
        finally:
            reader.abort()

    def _abandon_message(self) -> None:
        reader, self._message_reader = self._message_reader, None
        if reader is not None:
            reader.abort()
            if self.avatar is not None:
                # One that was refused before login leaves the deadline of that.
                self.connection.set_deadline(None)

    # --- errors

    def _failed(self, tag: bytes, error: Exception) -> None:
        if self.state is State.LOGOUT:
            # The client has disconnected or cannot get a reply; a defect is still logged.
            if not isinstance(error, (MailError, ConnectionClosed)):
                self.log.failure("{event}: {log_failure.value}", event="imap.command_failed")
            return
        if self.mid_response:
            # A tagged line would become a part of the message that the client keeps.
            if isinstance(error, MailError):
                self.log.error(
                    "{event}: {reason}", event="imap.response_cut", reason=error, peer_ip=self.connection.peer_ip
                )
            else:
                self.log.failure(
                    "{event}: {log_failure.value}", event="imap.response_cut", peer_ip=self.connection.peer_ip
                )
            self.fall_silent()
            return
        if isinstance(error, MailError):
            if error.cause:
                self.log.info(
                    "{event}: {reply} ({reason})", event="imap.refused", reply=error.public, reason=error.cause
                )
            self._refuse(tag, error)
            return
        self.log.failure("{event}: {log_failure.value}", event="imap.command_failed", peer_ip=self.connection.peer_ip)
        self.answer(replies.refused(tag, replies.ServerBug()))

    def _refuse(self, tag: bytes, error: MailError) -> None:
        """Send NO or BAD; a client with too many errors is disconnected."""
        self.answer(replies.refused(tag, error))
        if isinstance(error, LoginRefused) and self.failed_logins >= self.settings.failed_logins:
            self.end("Too many failed logins")
        elif isinstance(error, PeerError):
            self._bad_commands += 1
            if self._bad_commands >= self.settings.bad_commands:
                self.end("Too many errors")
