"""A connection to a mail host: moves the octets of a :class:`~pymailsuite.relay.session.ClientSession`, keeps its
timeouts, and streams message content at the pace of the host."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorTime
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.errors import TemporaryFailure
from pymailsuite.relay.host_verification import VerifyingConnection, verification_problem
from pymailsuite.relay.route import Destination
from pymailsuite.relay.session import (
    ClientSession,
    Finished,
    HostProblem,
    MessageEnvelope,
    Ready,
    Rules,
    SendContent,
    StartTls,
    Unusable,
    Wait,
)
from pymailsuite.values import MAX_CHUNK
from pymailsuite.wire.connection import ConnectionProtocol
from pymailsuite.wire.dot_stuffing import DotEncoder

ReadContent = Callable[[int, int], Deferred[bytes]]
"""Gives octets ``start`` to ``stop`` of a message's content, at most MAX_CHUNK of them."""


_OF_NO_TRANSACTION = frozenset({Wait.FINAL, Wait.QUIT, Wait.IDLE})
"""Steps whose timeout does not depend on earlier steps: cutting short the reply to the final dot would duplicate
messages."""


class HostUnavailable(Exception):
    """A host cannot be used now; ``problem`` says why. No verdict on any message."""

    def __init__(self, problem: HostProblem) -> None:
        super().__init__(problem.reply)
        self.problem = problem


class TlsFailed(HostUnavailable):
    """The TLS handshake with the host failed; it may accept mail without TLS."""


class IncompleteContent(TemporaryFailure):
    """The store gave fewer octets than the message has; it is not sent at all, rather than truncated."""

    text = "Message content is incomplete in the store"


@frozen
class Content:
    """A message's octets: the first piece in memory, the rest read as the host takes them."""

    first: bytes
    size: int
    read: ReadContent


def client_tls_context() -> SSL.Context:
    """TLS 1.2 and later without verification: opportunistic TLS (RFC 7435) protects against eavesdropping, not against
    impersonation."""
    return CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()


@implementer(IOpenSSLClientConnectionCreator)
class _ClientTls:
    """``host`` is the name for SNI, by which the server may choose its certificate."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = VerifyingConnection(self._context, None)
        connection.set_app_data(tlsProtocol)
        if not isIPAddress(self._host) and not isIPv6Address(self._host):  # RFC 6066 §3: names only
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection


class RelayConnection(ConnectionProtocol):
    """One connection to ``destination``. ``established`` fires with it once a message may be sent, or fails with
    HostUnavailable; ``ended`` is called once when the connection is closed."""

    log: ClassVar[Logger] = Logger()
    protocol_name = "relay"

    def __init__(
        self,
        reactor: IReactorTime,
        destination: Destination,
        rules: Rules,
        settings: RelaySettings,
        tls_context: SSL.Context,
        ended: Callable[[RelayConnection], None],
    ) -> None:
        super().__init__(reactor)
        self.target = destination.target
        self._names = destination.names
        self.messages = 0
        self.established: Deferred[RelayConnection] = Deferred(lambda cancelled: self.abort())
        self._session = ClientSession(rules)
        self._settings = settings
        self._tls_context = tls_context
        self._ended = ended
        self._finished: Deferred[Finished] | None = None
        self._content: Content | None = None
        self._timed_step = -1
        self._transaction_until = math.inf
        self._handshaking = False
        self._beginning = False
        self._leaving = False
        self._broken_content: Exception | None = None
        self._timeouts = {
            Wait.GREETING: settings.greeting_timeout,
            Wait.COMMAND: settings.command_timeout,
            Wait.DATA: settings.data_timeout,
            Wait.BLOCK: settings.block_timeout,
            Wait.FINAL: settings.final_timeout,
            Wait.QUIT: settings.quit_timeout,
            Wait.IDLE: settings.idle_close,
        }

    # --- methods that the pool and the relay call

    @property
    def usable(self) -> bool:
        """True if a message may be sent now."""
        return self._session.idle and not self._leaving and not self.closing

    @property
    def extensions(self) -> dict[str, str]:
        """The extensions that the host offers."""
        return self._session.extensions

    def hold(self, time_s: float | None = None) -> None:
        """A message for this connection is being prepared, which may take ``time_s``; None: the preparation is over."""
        # The connection may just be becoming ready, and is about to set its timeout.
        self._timeouts[Wait.IDLE] = self._settings.idle_close if time_s is None else time_s
        if self.usable:
            self.set_timeout(self._timeouts[Wait.IDLE])

    def send_message(self, envelope: MessageEnvelope, content: Content) -> Deferred[Finished]:
        """One transaction. Fails only if the store cannot give the content."""
        if not self.usable:
            return succeed(Finished({}, HostProblem("4.4.2", "connection lost while it was idle")))
        self.messages += 1
        self._content = content
        finished: Deferred[Finished] = Deferred()
        self._finished = finished
        self.in_turn(self._begin, envelope)
        return finished

    def _begin(self, envelope: MessageEnvelope) -> None:
        self._transaction_until = self._reactor.seconds() + self._settings.transaction_timeout
        self._beginning = True
        self._session.begin(envelope)
        self._act()
        self._beginning = False

    def leave(self) -> None:
        """Send QUIT and close. Within a transaction, whose outcome is no longer awaited: abort the connection, for QUIT
        could become a line of the message, and the message could still be completed."""
        if self._finished is not None:
            self.abort()
            return
        if not self.closing and not self._leaving:
            self._leaving = True
            self._session.quit()
            self.in_turn(self._act)

    # --- the protocol

    def log_opened(self) -> None:
        self.log.info(
            "{event} to {target}", event="relay.connected", target=str(self.target), local_port=self._local_port()
        )

    def log_closed(self, seconds: float, reason: Failure) -> None:
        self.log.info(
            "{event} from {target} after {messages} messages",
            event="relay.disconnected",
            target=str(self.target),
            messages=self.messages,
            seconds=seconds,
            reason=reason.getErrorMessage(),
        )

    def _local_port(self) -> int:
        return getattr(self.transport.getHost(), "port", 0)

    def connection_opened(self) -> None:
        self._act()

    def octets_received(self, octets: bytes) -> None:
        if self._leaving:
            self.close()
            return
        self._session.receive(octets)
        self._act()

    def drop_unread(self) -> int:
        return self._session.drop_unread()

    def secured(self) -> None:
        self._handshaking = False
        doubt = self._doubt()
        if doubt:
            self._session.fail(HostProblem("4.7.5", f"{self.target} is not proved to be the relay host: {doubt}"))
            self._act()
            self.abort()
        else:
            self._session.tls_started()
            self._act()

    def _doubt(self) -> str:
        """Why the host is not verified, if it must be; empty otherwise."""
        if not self._names:
            return ""
        return verification_problem(self.transport.getHandle(), self._names, self._settings.relayhost_keys)

    def timed_out(self) -> None:
        if self._session.idle:
            self.leave()
            return
        waiting_for = self._session.waiting_for
        if waiting_for is not Wait.QUIT:
            self._session.fail(HostProblem("4.4.2", f"timed out waiting for the reply to {waiting_for.value}"))
        self._act()
        self.abort()

    def turn_failed(self, failure: Failure) -> None:
        self._session.fail(HostProblem("4.3.0", "internal error"))
        self.abort()
        self._act()

    def connection_closed(self, reason: Failure) -> None:
        self._session.fail(HostProblem("4.4.2", f"connection lost: {reason.getErrorMessage()}"))
        self._act()
        self._ended(self)

    def _act(self) -> None:
        """Perform the session's events, send its output, and set the timeout for what it waits for."""
        session = self._session
        while (event := session.next_event()) is not None:
            if isinstance(event, Finished):
                self._tell_finished(event)
            elif isinstance(event, SendContent):
                self._send_content()
            elif isinstance(event, Ready):
                self.established.callback(self)
            elif isinstance(event, StartTls):
                self._handshaking = True
                self.start_tls(_ClientTls(self._tls_context, self._names[0] if self._names else self.target.host))
            else:
                self._tell_unusable(event)
        octets = session.take_output()
        if octets:
            self.send(octets)
        if not self.closing and session.step != self._timed_step:
            self._timed_step = session.step
            self.set_timeout(self._time_for(session.waiting_for))

    def _time_for(self, wait: Wait) -> float:
        """Seconds the host has for a step; before the final dot no more than the transaction has left."""
        time_s = self._timeouts[wait]
        if wait in _OF_NO_TRANSACTION:
            return time_s
        return min(time_s, max(self._transaction_until - self._reactor.seconds(), 0.0))

    def _tell_finished(self, event: Finished) -> None:
        finished, self._finished, self._content = self._finished, None, None
        assert finished is not None
        if event.problem is not None:
            self.close()
        if self._broken_content is not None:
            finished.errback(Failure(self._broken_content))
        elif self._beginning:
            # Settled without a command to the host. In a reactor turn of its own, or a series of such messages would
            # recurse.
            self._reactor.callLater(0, finished.callback, event)
        else:
            finished.callback(event)

    def _tell_unusable(self, event: Unusable) -> None:
        if not self.established.called:
            kind = TlsFailed if self._handshaking else HostUnavailable
            self.established.errback(Failure(kind(event.problem)))
        self.close()

    # --- content

    def _send_content(self) -> None:
        content = self._content
        assert content is not None
        if len(content.first) == content.size:
            encoder = DotEncoder(refuse_bare=True)
            try:
                self.send_all([encoder.encode(content.first), encoder.finish()])
            except Exception as error:
                self._content_broken(error)
                return
            self._session.content_sent()
        else:
            Deferred.fromCoroutine(self._stream_content(content)).addErrback(self._stream_failed)

    async def _stream_content(self, content: Content) -> None:
        encoder = DotEncoder(refuse_bare=True)
        piece, position = content.first, 0
        while True:
            position += len(piece)
            self.send(encoder.encode(piece))
            self.set_timeout(self._time_for(Wait.BLOCK))
            drained = self.drained()
            if drained is not None:
                await drained
            if self.closing:
                return
            if position >= content.size:
                break
            piece = await content.read(position, min(position + MAX_CHUNK, content.size))
            if not piece:
                raise IncompleteContent(cause=f"{position} of {content.size} octets")
        self.in_turn(self._end_content, encoder.finish())

    def _end_content(self, end: bytes) -> None:
        self.send(end)
        self._session.content_sent()
        self._act()

    def _stream_failed(self, failure: Failure) -> None:
        if self.connection_ended or failure.check(CancelledError):
            # connection_closed reports the end of the connection.
            return
        self._content_broken(failure.value)

    def _content_broken(self, error: BaseException | None) -> None:
        """The message cannot be sent whole: abort the connection, so that the host cannot take the message for
        complete."""
        self._broken_content = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self.abort()
        self._session.fail(HostProblem("4.3.0", "content unavailable"))
        self._act()
