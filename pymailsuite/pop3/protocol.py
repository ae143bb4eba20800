"""The protocol of the POP3 server: octets, timers and Deferreds around the pure session.

Lines are pulled, one after the last is answered. Replies of a turn leave in one write, but never more than a bounded
number of octets before the client has read what it was sent: pipelined commands are short and their replies long.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ClassVar, Final

from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import LoginRefused, NoSuchEntry
from pymailsuite.interfaces import IPop3Avatar
from pymailsuite.pop3.login_delay import LoginDelay
from pymailsuite.pop3.maildrop import Maildrop, open_maildrop
from pymailsuite.pop3.requests import (
    AwaitLogin,
    BeginTls,
    CloseMaildrop,
    HoldBack,
    LogIn,
    ReadMessage,
    Request,
    Service,
)
from pymailsuite.pop3.session import Pop3Session
from pymailsuite.pop3.states import State
from pymailsuite.values import Peer
from pymailsuite.wire.addresses import may_send_passwords
from pymailsuite.wire.connection import TlsContextFactory
from pymailsuite.wire.extension import AwaitReply
from pymailsuite.wire.lines import LineBuffer, LineTooLong
from pymailsuite.wire.pull import OnDisconnect, PullingProtocol, nothing_more

_UNREAD_REPLIES: Final = 128 * 1024
"""Octets of replies after which the protocol checks whether the client reads them."""

_FORMATS: Final = {
    "pop3.logged_in": "{event} {login_name} at {peer_ip}, {messages} messages",
    "extension.failed": "{event} {plugin} at {peer_ip}: {log_failure.value}",
    "pop3.signed_off": "{event} {login_name} at {peer_ip}, {retrieved} retrieved, {deleted} deleted, {left} left",
}


class MessageGone(NoSuchEntry):
    """Another session has expunged the message, and its octets are there no longer."""

    text = "message is gone"


class Pop3Protocol(PullingProtocol[Request]):
    """One connection of a POP3 client."""

    log: ClassVar[Logger] = Logger()
    protocol_name = "pop3"
    failed_event = "pop3.failed"

    def __init__(
        self,
        reactor: IReactorTime,
        service: Service,
        portal: Portal,
        login_delay: LoginDelay,
        tls_context: TlsContextFactory | None = None,
    ) -> None:
        super().__init__(reactor)
        self._service = service
        self._settings = service.settings
        self._portal = portal
        self._login_delay = login_delay
        self._tls_context = tls_context
        # Departs from RFC 1939 §3: people type into a connection, and their lines end with LF alone.
        self._lines = LineBuffer(service.settings.line, bare_lf=True)
        self._session: Pop3Session | None = None
        self._maildrop: Maildrop | None = None
        self._logout: Callable[[], object] | None = None
        self._stopping = False
        self._queued = 0

    @property
    def session(self) -> Pop3Session:
        """The session; it exists from the moment the connection is made."""
        assert self._session is not None, "not connected"
        return self._session

    # --- methods that the base class calls

    def connection_opened(self) -> None:
        """Send the greeting."""
        self._session = Pop3Session(
            self._service, self.secure, may_send_passwords(self.peer_ip, self._service.settings.plaintext_login)
        )
        self._session.channel = self.channel_binding
        self.set_deadline(self._settings.login_timeout)
        self._session.greet()
        self._finish_turn(True)

    def octets_received(self, octets: bytes) -> None:
        """Take the octets, and act on them unless the session waits for a result."""
        self._lines.receive(octets)
        if self._waiting:
            self.hold_reading(len(self._lines))
        else:
            self.pump()

    def drop_unread(self) -> int:
        """Discard the octets received before TLS."""
        dropped = self._lines.drop_unread()
        self.session.tls_begun()
        return dropped

    def timed_out(self) -> None:
        """Close without a reply: RFC 1939 §3. A client that does not read would not see it anyway."""
        self.log.info("{event} {peer_ip}", event="pop3.timed_out", peer_ip=self.peer_ip)
        if self._waiting:
            self.abort()
        else:
            self.close()

    def shut_down(self) -> None:
        """The server stops: tell the client and close, after the pending reply."""
        self._stopping = True
        if not self.closing and not self._waiting:
            self.pump()

    def login_ended(self) -> None:
        """Tell the client and close, after the pending reply; messages marked deleted are not removed."""
        if not self.closing and not self._waiting:
            self.pump()

    def input_ended(self) -> None:
        """A client that has shut down its side still gets the replies to its commands."""
        if not self._waiting:
            self.close()

    def turn_failed(self, failure: Failure) -> None:
        """The session may be out of step with the client: send an error and close."""
        if self._session is None or self.closing or self._session.mid_message:
            self.abort()
            return
        self._session.failed()
        self._finish_turn(False)

    def connection_closed(self, reason: Failure) -> None:
        """No deletion without QUIT: RFC 1939 §6."""
        self.abandon()
        maildrop, self._maildrop = self._maildrop, None
        if maildrop is not None:
            maildrop.abandon()
        self._log_out()

    # --- the pump

    def pump(self, request: Request | None = None, acted: bool = False) -> None:
        """Perform ``request``, then act on lines until there are no more or an answer must be waited for."""
        lines = self._lines
        session = self.session
        turns = self._turns
        acted = acted or request is not None
        self._pumping = True
        try:
            while True:
                if request is not None:
                    request = self._perform(request)
                    continue
                if self._waiting or session.ended or self.closing:
                    break
                if self.withdrawn:
                    session.login_ended()
                    break
                if self._stopping:
                    session.shut_down()
                    break
                if (session.outgoing or self._output_paused) and self._must_wait_for_client(session):
                    break
                if turns.left <= 0 and len(lines) and self.must_leave_turn():
                    break
                turns.left -= 1
                try:
                    line = lines.next_line()
                except LineTooLong as error:
                    session.line_refused(error)
                    continue
                if line is None:
                    break
                acted = True
                request = session.line_received(line)
        finally:
            self._pumping = False
        self._finish_turn(acted)

    def _must_wait_for_client(self, session: Pop3Session) -> bool:
        """Write the replies; True if the client has too many octets of them unread."""
        self._queued += sum(map(len, session.outgoing))
        self._hand_on(session)
        if self._queued < _UNREAD_REPLIES and not self._output_paused:
            return False
        self._queued = 0
        # Long replies count like many commands.
        self.wait_for(self.drained() or self.next_turn(), nothing_more)
        return self._waiting

    def _hand_on(self, session: Pop3Session) -> None:
        if session.outgoing:
            outgoing, session.outgoing = session.outgoing, []
            self.send_all(outgoing)

    def _finish_turn(self, acted: bool) -> None:
        """Write the replies and the log, and reset the timeout unless only part of a command has come."""
        session = self.session
        self._hand_on(session)
        self._queued = 0
        if session.notes:
            notes, session.notes = session.notes, []
            for note in notes:
                text, fields = _FORMATS[note.event], {"event": note.event, "peer_ip": self.peer_ip, **note.fields}
                if note.failure is None:
                    self.log.info(text, **fields)
                else:
                    self.log.failure(text, note.failure, **fields)
        if self.closing:
            return
        if session.ended:
            self.close()
        elif self._waiting:
            # The timeout keeps running: the session may be waiting for the client to read.
            self.set_timeout(self._settings.autologout)
            self.hold_reading(len(self._lines))
        elif self.input_over:
            self.close()
        else:
            if acted:
                logged_in = session.state is State.TRANSACTION
                self.set_timeout(self._settings.autologout if logged_in else self._settings.login_timeout)
            self.release_reading()

    # --- requests of the session

    def _perform(self, request: Request) -> Request | None:
        """Perform a request; returns the next request if the result was there at once and leads to one."""
        if isinstance(request, ReadMessage):
            return self._read_message(request)
        if isinstance(request, LogIn):
            return self._log_in(request)
        if isinstance(request, HoldBack):
            return self.hold_back(request.delay_s, self._held_back)
        if isinstance(request, BeginTls):
            self._finish_turn(True)
            self.start_tls(self._tls_context)
            self.set_deadline(self._settings.login_timeout)
            return None
        if isinstance(request, AwaitLogin):
            return self.wait_for(self._start(request.pending.outcome), self._login_stepped)
        if isinstance(request, AwaitReply):
            request.answer.addTimeout(self._settings.extension_timeout, self._reactor)
            return self.wait_for(request.answer, self.session.replied)
        return self._close_maildrop(request)

    @staticmethod
    def _start(work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(work)

    # --- logging in

    def _log_in(self, request: LogIn) -> Request | None:
        peer = Peer(self.peer_ip, self.peer_port)
        login = self._portal.login(request.credentials, peer, IPop3Avatar)
        return self.wait_for(login, partial(self._login_answered, request.mailbox), OnDisconnect.CANCEL_AND_SETTLE)

    def _login_stepped(self, answer: Any) -> Request | None:
        return self._login_ended(answer) if isinstance(answer, Failure) else self.session.login_goes_on(answer)

    def _login_answered(self, mailbox: str, answer: Any) -> Request | None:
        if not isinstance(answer, Failure):
            _, avatar, logout = answer
            if self.closing:
                logout()
                return None
            self._logout = logout
            opening = self._start(self._open_maildrop(avatar, mailbox))
            return self.wait_for(opening, partial(self._maildrop_answered, avatar), OnDisconnect.CANCEL_AND_SETTLE)
        return None if self.connection_ended else self._login_ended(answer)

    def _login_ended(self, failure: Failure) -> Request | None:
        if failure.check(LoginRefused, LoginFailed) is not None:
            self.log.info("{event} at {peer_ip}", event="pop3.login_refused", peer_ip=self.peer_ip)
            error = failure.value if isinstance(failure.value, LoginRefused) else LoginRefused()
            self.count_refusal("login_refused", error.public.encode())
            return self.session.login_refused(error)
        self.session.maildrop_refused(self.error_of(failure))
        return None

    async def _open_maildrop(self, avatar: Any, mailbox: str) -> Maildrop:
        settings = self._settings
        await self._login_delay.check(avatar.account.account_id)
        return await open_maildrop(
            avatar.mail, mailbox, self._service.owner, settings.lock_lease, settings.read_ahead, self._reactor
        )

    def _maildrop_answered(self, avatar: Any, answer: Any) -> Request | None:
        if isinstance(answer, Failure):
            self._log_out()
            error = self.error_of(answer)
            if not self.connection_ended:
                self.session.maildrop_refused(error)
            return None
        if self.closing:
            # The client has given up waiting, or has disconnected.
            answer.abandon()
            self._log_out()
            return None
        self._maildrop = answer
        answer.lock_lost = self._lock_lost
        self.set_deadline(None)
        self.session.maildrop_opened(avatar.account.login_name, answer.listing)
        avatar.on_ended(self.withdraw)
        return None

    def _log_out(self) -> None:
        logout, self._logout = self._logout, None
        if logout is not None:
            logout()

    def _lock_lost(self) -> None:
        if self._waiting:
            # The reply in progress may be half a message.
            self.abort()
        else:
            self.in_turn(self._end_without_lock)

    def _end_without_lock(self) -> None:
        self.session.lock_lost()
        self._finish_turn(False)

    def _held_back(self, _: Any) -> Request | None:
        self.session.held_back()
        return None

    # --- reading

    def _read_message(self, request: ReadMessage) -> Request | None:
        maildrop = self._maildrop
        assert maildrop is not None, "logged in"
        octets = maildrop.message(request.index)
        if isinstance(octets, bytes):
            self.session.message_read(octets)
            return None
        return self.wait_for(octets, lambda answer: self._message_answered(answer, maildrop, request))

    def _message_answered(self, answer: Any, maildrop: Maildrop, request: ReadMessage) -> Request | None:
        if isinstance(answer, bytes):
            self.session.message_read(answer)
        elif isinstance(answer, Failure):
            self.session.message_refused(self.error_of(answer))
        else:
            streaming = self._start(self._stream(maildrop, request))
            return self.wait_for(streaming, self._streamed)
        return None

    async def _stream(self, maildrop: Maildrop, request: ReadMessage) -> bool:
        """Send a message in pieces; False if part of it was missing."""
        session = self.session
        size = maildrop.listing.sizes[request.index]
        position = 0
        while position < size:
            try:
                piece = await maildrop.piece(request.index, position)
                if not piece and position == 0:
                    raise MessageGone
            except CancelledError:
                raise
            except Exception:
                if position > 0:
                    raise
                session.message_refused(self.error_of(Failure()))
                return True
            if not piece or self.closing:
                return False
            if position == 0:
                session.message_begun()
            position += len(piece)
            if session.message_piece(piece):
                break
            self._hand_on(session)
            drained = self.drained()
            if drained is not None:
                self.set_timeout(self._settings.autologout)
                await drained
        session.message_ended()
        return True

    def _streamed(self, answer: Any) -> Request | None:
        if answer is not True and not self.connection_ended:
            # The client has half a message and waits for its end: only closing the connection shows it the error.
            reason = str(self.error_of(answer)) if isinstance(answer, Failure) else "octets are missing"
            self.log.error(
                "{event} at {peer_ip}: {reason}", event="pop3.message_cut", peer_ip=self.peer_ip, reason=reason
            )
            self.abort()
        return None

    # --- QUIT

    def _close_maildrop(self, request: CloseMaildrop) -> Request | None:
        maildrop, self._maildrop = self._maildrop, None
        assert maildrop is not None, "logged in"
        return self.wait_for(self._start(maildrop.finish(request.uids)), self._maildrop_closed, OnDisconnect.SETTLE)

    def _maildrop_closed(self, answer: Any) -> Request | None:
        if isinstance(answer, Failure):
            self.session.removal_failed(self.error_of(answer))
        else:
            self.session.maildrop_closed()
        return None
