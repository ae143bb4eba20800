"""The Twisted protocol around a pure core: it moves octets, timers and TLS, in the same way for all text protocols.

A turn is one call into the protocol, by the reactor (octets came) or by a Deferred (an answer is there). Octets sent
during a turn leave in one write at its end: a reply cut into small segments waits for the peer's delayed ACK. A core
that waits for an answer leaves the octets unread, and once too many of them have gathered the transport is paused.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.wire.addresses import peer_ip
from pymailsuite.wire.busy import GRACE_S
from pymailsuite.wire.channel_binding import channel_binding
from pymailsuite.wire.deadlines import Deadline, Deadlines
from pymailsuite.wire.turns import COMMANDS_IN_TURN, Turns

P = ParamSpec("P")

TlsContextFactory = IOpenSSLServerConnectionCreator | Any
"""What ``startTLS`` takes: an IOpenSSLServerConnectionCreator, or an older ``ContextFactory``."""

_SEND_LIMIT = 1024 * 1024
"""Octets offered to the kernel at once. Twisted's own limit, an eighth of it, costs a long reply a turn of the reactor
for each piece; a kernel takes what it has room for."""

_FULL_READ = Connection.bufferSize
_BULK_READ = 256 * 1024
"""Octets asked of the kernel at once when the peer has filled a read of Twisted's size: it is sending a long text, and
each read of it costs a turn of the reactor. Others' reads stay small."""

_WITHDRAWN_S = 2.0
"""Seconds for what is under way, and for the last reply, once the peer's login has ended."""

_UNSENT_REPLIES = 64
"""Replies of one turn after which it is asked whether the peer reads what it is sent."""


class Owner(typing.Protocol):
    """What a connection asks of the factory that made it."""

    handshake_timeout_s: float | None
    """How long a peer may take for the whole TLS handshake; None: as long as for what it has to say."""

    def count_refusal(self, what: str, ip: str, reply: bytes) -> None:
        """Somebody is refused something of which only the number is told."""

    def connection_ended(self, protocol: Any) -> None:
        """A protocol of the factory has lost its connection."""


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPushProducer)
class ConnectionProtocol(Protocol):
    """One connection. A protocol derives from it, overrides the methods of the first group and calls the others."""

    log: ClassVar[Logger] = Logger()
    protocol_name: str = "wire"

    max_unread = 64 * 1024
    """Unread octets at which the peer is made to wait. The buffer may pass it by one read of the transport."""

    factory: Owner | None = None
    transport: Any = None  # an ITCPTransport, or TLS over one

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._out: list[bytes] = []
        self._socket: Connection | None = None
        self._in_turn = False
        self._turns = Turns(reactor)
        self._deadlines = Deadlines(reactor, self._deadline_passed)
        self._closing = False
        self._reading_held = False
        self._output_paused = False
        self._drain_waiters: list[Deferred[None]] = []
        self._opened_at = 0.0
        self.connection_ended = False
        self.input_over = False
        self.withdrawn = False
        """True once the peer's login has ended: nothing more is done for it."""
        self.peer_ip = ""
        self.peer_port = 0
        self.counted_as = ""
        self.secure = False
        """True once TLS has been begun."""

    # --- what a protocol provides

    def connection_opened(self) -> None:
        """The connection is there; greet."""

    def octets_received(self, octets: bytes) -> None:
        """Octets from the peer. Not called again once the connection is being closed."""
        raise NotImplementedError

    def drop_unread(self) -> int:
        """Drop octets that were received and not acted on, and all state from before TLS; returns how many octets."""
        raise NotImplementedError

    def secured(self) -> None:
        """The TLS handshake is complete."""

    def timed_out(self) -> None:
        """The peer was silent for too long: tell the peer and close."""
        self.close()

    def input_ended(self) -> None:
        """The peer will send no more; it may still read. A protocol with an answer pending closes after that answer."""
        self.close()

    def shut_down(self) -> None:
        """The server stops: tell the peer and close, at once or when the pending answers have been sent."""
        self.close()

    def login_ended(self) -> None:
        """The login of the peer has lost its rights: tell the peer and close, and do nothing more for it.

        Where an answer is pending, once that is there; ``withdrawn`` says so until then.
        """
        self.close()

    def turn_failed(self, failure: Failure) -> None:
        """An unexpected exception ended a turn; it is logged already. Tell the peer and go on or close."""
        self.abort()

    def connection_closed(self, reason: Failure) -> None:
        """The connection is gone: abandon pending work."""

    def log_opened(self) -> None:
        """Log the beginning of the connection."""
        self.log.info(
            "{event} {protocol} from {peer_ip}",
            event="connection.opened",
            protocol=self.protocol_name,
            peer_ip=self.peer_ip,
            peer_port=self.peer_port,
            tls=self.secure,
        )

    def log_closed(self, seconds: float, reason: Failure) -> None:
        """Log its end, after that many seconds."""
        self.log.info(
            "{event} {protocol} from {peer_ip}",
            event="connection.closed",
            protocol=self.protocol_name,
            peer_ip=self.peer_ip,
            peer_port=self.peer_port,
            seconds=seconds,
            reason=reason.getErrorMessage(),
        )

    # --- what a protocol calls

    def send(self, octets: bytes) -> None:
        """Send octets, at the end of the turn or, outside of one, at once."""
        self._out.append(octets)
        if not self._in_turn:
            self.flush()

    def send_all(self, pieces: list[bytes]) -> None:
        """Send many pieces as one."""
        self._out += pieces
        if not self._in_turn:
            self.flush()

    def flush(self) -> None:
        """Hand everything sent so far to the transport, in one write."""
        out = self._out
        if out:
            octets = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            if not self.connection_ended:
                if self._socket is not None:
                    octets = send_now(self._socket, octets)
                if octets:
                    self.transport.write(octets)

    def in_turn(self, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run ``call`` as one turn: its output leaves in one write, and a failure is logged and answered.

        For callbacks of Deferreds. Within a turn it just calls.
        """
        if self._in_turn:
            call(*args, **kwargs)
            return
        self._in_turn = True
        self._turns.left = COMMANDS_IN_TURN
        try:
            call(*args, **kwargs)
        except Exception:
            self._turn_failed()
        finally:
            self._in_turn = False
        if self._out:
            self.flush()

    def _turn_failed(self) -> None:
        failure = Failure()
        self.log.failure(
            "{event}: {log_failure.value}",
            failure=failure,
            event="connection.failed",
            protocol=self.protocol_name,
            peer_ip=self.peer_ip,
        )
        self.turn_failed(failure)

    def drained(self) -> Deferred[None] | None:
        """None if the peer keeps up with us; else a Deferred that fires when it has read enough for more to be sent.

        After a large piece: ``send``, then wait for this. It fails with the connection's end.
        """
        self.flush()
        if not self._output_paused or self.connection_ended:
            return None
        waiter: Deferred[None] = Deferred(self._drain_waiters.remove)
        self._drain_waiters.append(waiter)
        return waiter

    def peer_lags(self) -> Deferred[None] | None:
        """As ``drained``; cheap enough to be called before each command.

        Commands are short and their replies may be long: a peer that sends commands and does not read replies must
        wait, or all of its replies would be held in memory.
        """
        if not self._output_paused and len(self._out) < _UNSENT_REPLIES:
            return None
        return self.drained()

    def turn_is_over(self) -> Deferred[None] | None:
        """To be called before each command. None: go on with it. A Deferred: enough commands have been answered in this
        turn; it fires in a later one, or fails with the connection's end."""
        return self._turns.spend()

    def next_turn(self) -> Deferred[None]:
        """For long work: fires when other connections have had their turn, or fails with the connection's end."""
        self.flush()
        return self._turns.next()

    def count_refusal(self, what: str, reply: bytes) -> None:
        """The peer is refused something of which only the number is told; ``what`` is a name as of an event."""
        if self.factory is not None:
            self.factory.count_refusal(what, self.peer_ip, reply)

    def set_timeout(self, timeout_s: float | None) -> None:
        """The peer may be silent for that many seconds from now, or for ever; then ``timed_out`` is called."""
        if not self._closing and not self.connection_ended:
            self._deadlines.set(Deadline.IDLE, timeout_s)

    def set_deadline(self, timeout_s: float | None) -> None:
        """The peer has that many seconds for the whole of its present task (logging in, a message), or no such limit
        any more.

        Nothing that it sends moves this, so it cannot hold the connection by an octet now and then. Then ``timed_out``
        is called, as when it is silent for too long.
        """
        if not self._closing and not self.connection_ended and not self.withdrawn:
            self._deadlines.set(Deadline.TOTAL, timeout_s)

    def _deadline_passed(self, step: Deadline) -> None:
        if self._closing or self.withdrawn:
            self.abort()
        elif step is Deadline.HANDSHAKE:
            # There is no way yet to tell the peer anything.
            self.log.info(
                "{event} {protocol} from {peer_ip}",
                event="connection.handshake_timed_out",
                protocol=self.protocol_name,
                peer_ip=self.peer_ip,
            )
            self.abort()
        else:
            self.in_turn(self.timed_out)

    def _begin_handshake(self) -> None:
        if self.factory is not None:
            self._deadlines.set(Deadline.HANDSHAKE, self.factory.handshake_timeout_s)

    def withdraw(self) -> None:
        """The login of the peer has ended: tell the peer and close the connection, within a moment, whatever is
        pending."""
        if self.connection_ended or self.withdrawn:
            return
        self.withdrawn = True
        self._deadlines.set(Deadline.TOTAL, _WITHDRAWN_S)
        if not self._closing:
            self.in_turn(self.login_ended)

    def hold_reading(self, unread: int) -> None:
        """An answer is pending and ``unread`` octets wait for it: stop reading if those are too many."""
        if unread > self.max_unread and not self._reading_held and not self.input_over:
            self._reading_held = True
            self.transport.pauseProducing()

    def release_reading(self) -> None:
        """Read on; harmless if reading goes on anyway."""
        if self._reading_held and not self.connection_ended:
            self._reading_held = False
            self._read_on()

    def _read_on(self) -> None:
        self.transport.resumeProducing()

    def start_tls(self, context_factory: TlsContextFactory) -> int:
        """Begin TLS when all sent octets have left. Octets received in clear and not acted on are dropped before.
        Returns how many octets that were. Source: RFC 3207 §4.2, RFC 3501 §6.2.1, RFC 2595 §4.
        """
        self.flush()
        dropped = self.drop_unread()
        self.secure = True
        self._socket = None
        self._begin_handshake()
        self.transport.startTLS(context_factory)
        if dropped:
            self.log.warn(
                "{event}: {octets} octets after the STARTTLS command thrown away",
                event="connection.plaintext_dropped",
                protocol=self.protocol_name,
                peer_ip=self.peer_ip,
                octets=dropped,
            )
        return dropped

    def tls_description(self) -> str:
        """Protocol and cipher, for example ``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty without TLS."""
        if not self.secure or self.connection_ended:
            return ""
        connection = self.transport.getHandle()
        cipher = connection.get_cipher_name()
        return f"{connection.get_protocol_version_name()} {cipher}" if cipher else ""

    def channel_binding(self, kind: str) -> bytes | None:
        """What binds a login to this TLS connection, of a registered type (RFC 5929, RFC 9266); None if there is no
        such data."""
        if not self.secure or self.connection_ended:
            return None
        return channel_binding(self.transport.getHandle(), kind)

    def close(self) -> None:
        """Close once everything sent has left; cut the connection if the peer does not take it in time."""
        if self._closing or self.connection_ended:
            return
        self.flush()
        self.set_deadline(None)
        self.set_timeout(GRACE_S)
        self._closing = True
        # A transport waits for its producer before it closes.
        self.transport.unregisterProducer()
        # One that does not read does not see the peer's end of TLS either.
        self.release_reading()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection now."""
        self._closing = True
        self._out.clear()
        if not self.connection_ended:
            self.transport.abortConnection()

    @property
    def closing(self) -> bool:
        """True once the connection is being closed or is gone."""
        return self._closing or self.connection_ended

    # --- what the reactor calls

    def connectionMade(self) -> None:
        """Note the address of the peer, turn Nagle's delay off, greet."""
        transport = self.transport
        self.secure = ISSLTransport.providedBy(transport)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        if isinstance(transport, Connection) and not self.secure:
            self._socket = transport
            transport.SEND_LIMIT = _SEND_LIMIT
        peer = transport.getPeer()
        self.peer_ip = peer_ip(peer)
        self.peer_port = getattr(peer, "port", 0)
        self._opened_at = self._reactor.seconds()
        transport.registerProducer(self, True)
        self.log_opened()
        if self.secure:
            self._begin_handshake()
        self.in_turn(self.connection_opened)

    def dataReceived(self, data: bytes) -> None:
        """Octets came: one turn."""
        if len(data) >= _FULL_READ and self._socket is not None:
            self._socket.bufferSize = _BULK_READ
        if self._closing:
            return
        if self._in_turn:
            # Only a transport within our own call stack (a test's, or TLS that is just beginning) does this.
            self.octets_received(data)
            return
        self._in_turn = True
        self._turns.left = COMMANDS_IN_TURN
        try:
            self.octets_received(data)
        except Exception:
            self._turn_failed()
        finally:
            self._in_turn = False
        if self._out:
            self.flush()

    def handshakeCompleted(self) -> None:
        """TLS is established."""
        self.secure = True
        self._deadlines.set(Deadline.HANDSHAKE, None)
        self.in_turn(self.secured)

    def readConnectionLost(self) -> None:
        """The peer has shut down its sending side."""
        self.input_over = True
        self._reading_held = False
        if not self._closing:
            self.in_turn(self.input_ended)

    def writeConnectionLost(self) -> None:
        """Our sending side was shut down; we never ask for that."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop all timers and tell the protocol."""
        self.connection_ended = True
        self._deadlines.stop()
        self._out.clear()
        self.log_closed(round(self._reactor.seconds() - self._opened_at, 3), reason)
        try:
            self.connection_closed(reason)
        finally:
            self._turns.stop(reason)
            waiters, self._drain_waiters = self._drain_waiters, []
            for waiter in waiters:
                waiter.errback(reason)
            if self.factory is not None:
                self.factory.connection_ended(self)

    # --- IPushProducer: the transport tells whether the peer keeps up

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._output_paused = True

    def resumeProducing(self) -> None:
        """The transport's buffer has been emptied."""
        self._output_paused = False
        waiters, self._drain_waiters = self._drain_waiters, []
        for waiter in waiters:
            waiter.callback(None)

    def stopProducing(self) -> None:
        """The connection is going; ``connectionLost`` follows."""


def send_now(connection: Connection, octets: bytes) -> bytes:
    """Give octets to the kernel in this very turn; returns those that it did not take.

    A transport's ``write`` only asks the reactor for a turn of its own: two system calls to ask and to take back, and a
    wait. Nothing of that is needed for a reply to a peer that reads.
    """
    if connection.dataBuffer or connection._tempDataLen or connection.disconnecting:
        return octets
    sent = connection.writeSomeData(octets)
    if not isinstance(sent, int):
        return octets  # the connection is lost, as the transport will find out when it tries
    return b"" if sent == len(octets) else octets[sent:]
