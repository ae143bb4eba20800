"""The protocol of a session: the only file here that touches a transport."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import LoginEnded
from pymailsuite.imap import replies
from pymailsuite.imap.idle_clients import IdleClients
from pymailsuite.imap.proxy.connection import BackendConnection
from pymailsuite.imap.proxy.passage import Passage
from pymailsuite.imap.session import Doing, Session
from pymailsuite.imap.shared import Shared
from pymailsuite.wire.compressible import CompressibleProtocol
from pymailsuite.wire.compression import CompressionSettings

T = TypeVar("T")

_LAST_ANSWERS_S = 5.0
"""Seconds for the answers of a back-end to a client that sends no more."""


class ImapProtocol(CompressibleProtocol):
    """One connection. Pulls events from the receiver, one after the other, as the session is done with each."""

    log = Logger()
    protocol_name = "imap"

    def __init__(
        self, shared: Shared, idle_clients: IdleClients, tls_context: Any | None, reactor: IReactorTime
    ) -> None:
        super().__init__(reactor)
        self._idle_clients = idle_clients
        self._session = Session(shared, self)
        self._tls_context = tls_context
        self._running: Deferred[None] | None = None
        self._farewell = ""
        self._passage: Passage | None = None
        """The client speaks with a back-end, and no longer with the session."""
        self._waking: IDelayedCall | None = None

    # --- methods that the base class calls

    def connection_opened(self) -> None:
        """Send the greeting."""
        self.set_timeout(self._session.patience_s())
        self.set_deadline(self._session.shared.settings.login_timeout)
        self._session.greet()

    def octets_received(self, octets: bytes) -> None:
        """Octets from the client."""
        if self._passage is not None:
            self._passage.from_client(octets)
            return
        self._session.receiver.receive(octets)
        if self._running is not None:
            self.hold_reading(self._session.receiver.unread)
            return
        self._pump()

    def drop_unread(self) -> int:
        """STARTTLS."""
        return self._session.forget()

    def timed_out(self) -> None:
        """Send BYE, unless the client does not read a reply that is half written."""
        if self._running is None:
            self._session.end("Autologout: idle for too long")
        else:
            self.abort()

    def shut_down(self) -> None:
        """The server stops: send BYE, after the pending reply. Source: RFC 3501 §7.1.5."""
        self._end_soon("Server shutting down")

    def login_ended(self) -> None:
        """Send BYE, in IDLE and in the middle of an APPEND too. Source: RFC 3501 §7.1.5."""
        self._end_soon(LoginEnded.text)

    def not_deflate(self) -> None:
        """The octets that came cannot be decompressed, nor can any later ones: send BYE. Source: RFC 1951."""
        self._end_soon("Not DEFLATE")

    def _end_soon(self, words: str) -> None:
        self._farewell = words
        if self._running is None and not self.closing:
            self._session.end(words)

    def input_ended(self) -> None:
        """Answer the commands received, then close."""
        if self._passage is not None:
            self.set_deadline(_LAST_ANSWERS_S)
        elif self._running is None:
            self.close()

    def turn_failed(self, failure: Failure) -> None:
        """A failure outside of a command leaves the session in an unknown state."""
        if not self._session.mid_response:
            self.send(replies.bye("Internal error"))
        self.close()

    def connection_closed(self, reason: Failure) -> None:
        """Cancel the running command and release resources."""
        self._idle_clients.note(self, False)
        waking, self._waking = self._waking, None
        if waking is not None:
            waking.cancel()
        running = self._running
        if running is not None:
            running.cancel()
        self._session.closed()

    # --- methods that the session calls

    def begin_tls(self) -> None:
        """STARTTLS was answered."""
        self.start_tls(self._tls_context)
        self.set_deadline(self._session.shared.settings.login_timeout)

    def begin_compression(self) -> None:
        """COMPRESS was answered: what the client sent behind it is compressed already."""
        settings = self._session.shared.settings
        self.start_compression(
            CompressionSettings(settings.compress_level, settings.compress_window),
            self._session.receiver.take_unread(),
        )

    def wake(self) -> None:
        """A notice came while the client sent nothing."""
        self.in_turn(self._pump)

    def wake_later(self, delay_s: float) -> None:
        """The store did not answer in IDLE."""
        if self._waking is None:
            self._waking = self._reactor.callLater(delay_s, self._wake_now)

    def _wake_now(self) -> None:
        self._waking = None
        self._session.woken()
        self.wake()

    def seconds(self) -> float:
        """The time."""
        return self._reactor.seconds()

    def wait(self, delay_s: float) -> Deferred[None]:
        """A delay."""
        return deferLater(self._reactor, delay_s)

    def within(self, timeout_s: float, work: Awaitable[T], too_slow: Exception) -> Deferred[T]:
        """Work with a time limit."""

        async def whole() -> T:
            return await work

        running = Deferred.fromCoroutine(whole())
        return running.addTimeout(timeout_s, self._reactor, lambda _failure, _timeout_s: Failure(too_slow))

    # --- the pump

    def _pump(self) -> None:
        session = self._session
        receiver = session.receiver
        turns = self._turns
        patience_s: float | None = None
        while self._running is None and not self.closing:
            if self._farewell:
                self._session.end(self._farewell)
                return
            if session.backend is not None:
                self._pass_on(session.backend)
                return
            lagging = self.peer_lags()
            if lagging is not None:
                self.set_timeout(session.shared.settings.write_timeout)
                self._run(lagging)
                continue
            if session.owes_news and session.may_be_told:
                self._run(session.tell_news())
                continue
            if turns.left <= 0 and receiver.unread:
                self._run(turns.next())
                continue
            event = receiver.next_event()
            if event is None:
                break
            turns.left -= 1
            if patience_s is None:
                # A partial command does not reset the timeout: one sent octet by octet has the same time as one that
                # does not come.
                patience_s = session.patience_s()
                self.set_timeout(patience_s)
            doing = session.take(event)
            if doing is not None:
                self._run(doing)
        self._idle_clients.note(self, session.is_idle)
        if self._running is not None:
            self.hold_reading(receiver.unread)
            return
        if patience_s is not None and patience_s != session.patience_s():
            # Login, IDLE or its end have just changed the timeout.
            self.set_timeout(session.patience_s())
        self.release_reading()
        if self.input_over and not self.closing:
            self.close()

    def _pass_on(self, backend: BackendConnection) -> None:
        """The back-end has let the client in: it is sent what the client has sent behind its login."""
        # What passes may be in the middle of a response at any time: nothing of ours is put into it.
        self._session.mid_response = True
        self.set_timeout(None)
        self.set_deadline(_LAST_ANSWERS_S if self.input_over else None)
        self._passage = Passage(self, backend, self._session.shared.settings.write_timeout)
        unread = self._session.receiver.take_unread()
        self._passage.begin(unread, backend.join(self._passage))

    def _run(self, doing: Doing) -> None:
        running = doing if isinstance(doing, Deferred) else Deferred.fromCoroutine(doing)
        self._running = running
        running.addBoth(self._ran)

    def _command_broke(self, failure: Failure) -> None:
        """A failure that the session does not answer itself. It is raised here, since an errback would keep it in its
        Deferred."""
        try:
            failure.raiseException()
        except Exception:
            self._turn_failed()

    def _ran(self, result: Failure | None) -> None:
        """A command is done; if the pump is not just waiting for that on the stack, go on with the next."""
        self._running = None
        if isinstance(result, Failure) and not (
            self.connection_ended and result.check(CancelledError, ConnectionClosed) is not None
        ):
            # A cancellation by other code, as when a part of the server stops, is no defect, unless it cuts a response.
            called_off = result.check(CancelledError) is not None and not self._session.mid_response
            self.in_turn(self.turn_failed if called_off else self._command_broke, result)
            return
        if not self._in_turn and not self.closing:
            self.in_turn(self._pump)
            if not self._session.is_idle and self._passage is None:
                # The server's own output during IDLE does not reset the client's timeout.
                self.set_timeout(self._session.patience_s())
