"""dnspython's network, on Twisted transports.

dnspython keeps the protocol (message format, retries over servers, TCP on truncation) and asks a back end for sockets
whose methods it awaits. Here these are a connected UDP port and a TCP client of any reactor, and what is awaited are
Deferreds: drive a dnspython coroutine with ``Deferred.fromCoroutine``. No thread, no event loop beside the reactor.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Awaitable
from typing import Any, TypeVar

import dns.asyncbackend
import dns.exception
import dns.inet
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IReactorTCP, IReactorTime
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

T = TypeVar("T")

_MAX_DATAGRAM = 65_535


class _Inbox:
    """Received items and the Deferred that waits for one: at most one waits, and an error stays for all later calls."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._items: deque[bytes] = deque()
        self._error: Exception | None = None
        self._waiting: Deferred[bytes] | None = None

    def put(self, item: bytes) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(item)
        else:
            self._items.append(item)

    def put_back(self, item: bytes) -> None:
        self._items.appendleft(item)

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.errback(Failure(error))

    async def get(self, timeout_s: float | None) -> bytes:
        """The next item; dns.exception.Timeout if none comes in time, else the error the socket ended with."""
        if self._items:
            return self._items.popleft()
        if self._error is not None:
            raise self._error
        self._waiting = Deferred(self._forget)
        return await _within(self._waiting, timeout_s, self._clock)

    def _forget(self, waiting: Deferred[bytes]) -> None:
        self._waiting = None


def _within(deferred: Deferred[T], timeout_s: float | None, clock: IReactorTime) -> Deferred[T]:
    """``deferred``, or dnspython's Timeout after ``timeout_s`` seconds."""
    if timeout_s is None:
        return deferred

    def timed_out(result: Any, seconds: float) -> Any:
        raise dns.exception.Timeout(timeout=seconds)

    return deferred.addTimeout(timeout_s, clock, timed_out)


class _Datagrams(DatagramProtocol):
    noisy = False

    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._inbox.put(datagram)

    def connectionRefused(self) -> None:
        self._inbox.fail(ConnectionRefusedError("name server port unreachable"))


class _DatagramSocket(dns.asyncbackend.DatagramSocket):
    """A UDP port connected to one name server: the kernel drops what comes from elsewhere."""

    def __init__(self, family: int, reactor: Any, source: tuple[str, int] | None, server: tuple[str, int]) -> None:
        super().__init__(family, socket.SOCK_DGRAM)
        self._inbox = _Inbox(reactor)
        interface, port = source or ("::" if family == socket.AF_INET6 else "0.0.0.0", 0)  # noqa: S104 (a client)
        self._port: Any = reactor.listenUDP(port, _Datagrams(self._inbox), interface, _MAX_DATAGRAM)
        self._server = dns.inet.low_level_address_tuple(server, family)
        self._port.connect(*server)

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        self._port.write(what)
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        return await self._inbox.get(timeout), self._server

    async def close(self) -> None:
        closed = self._port.stopListening()
        if isinstance(closed, Deferred):
            await closed

    async def getpeername(self) -> Any:
        return self._server

    async def getsockname(self) -> Any:
        host = self._port.getHost()
        return host.host, host.port

    async def getpeercert(self, timeout: float | None) -> Any:
        raise NotImplementedError


class _Stream(Protocol):
    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox

    def dataReceived(self, data: bytes) -> None:
        self._inbox.put(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._inbox.fail(EOFError("name server closed the connection"))


class _OneStream(Factory):
    noisy = False

    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox

    def buildProtocol(self, addr: IAddress | None) -> _Stream:
        return _Stream(self._inbox)


class _StreamSocket(dns.asyncbackend.StreamSocket):
    def __init__(self, family: int, inbox: _Inbox, transport: Any) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._inbox = inbox
        self._transport = transport

    async def sendall(self, what: bytes, timeout: float | None) -> None:
        # A query is a few hundred octets: the transport's buffer takes it, and the answer's timeout covers both.
        self._transport.write(what)

    async def recv(self, size: int, timeout: float | None) -> bytes:
        octets = await self._inbox.get(timeout)
        if len(octets) > size:
            self._inbox.put_back(octets[size:])
        return octets[:size]

    async def close(self) -> None:
        self._transport.loseConnection()

    async def getpeername(self) -> Any:
        peer = self._transport.getPeer()
        return peer.host, peer.port

    async def getsockname(self) -> Any:
        host = self._transport.getHost()
        return host.host, host.port

    async def getpeercert(self, timeout: float | None) -> Any:
        raise NotImplementedError


class TwistedBackend(dns.asyncbackend.Backend):
    """Sockets and sleep for dnspython from a Twisted reactor (IReactorUDP, IReactorTCP and IReactorTime)."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._clock: IReactorTime = reactor

    def name(self) -> str:
        return "twisted"

    def datagram_connection_required(self) -> bool:
        # Asks dnspython to name the destination when it makes a UDP socket.
        return True

    async def make_socket(
        self,
        af: int,
        socktype: int,
        proto: int = 0,
        source: tuple[str, int] | None = None,
        destination: tuple[str, int] | None = None,
        timeout: float | None = None,
        ssl_context: Any = None,
        server_hostname: str | None = None,
    ) -> dns.asyncbackend.Socket:
        """A UDP or TCP socket; OSError if there is no way to ``destination``. DNS over TLS is not offered."""
        if destination is None or ssl_context is not None:
            raise NotImplementedError("only plain sockets to a known name server")
        if socktype == socket.SOCK_DGRAM:
            return _DatagramSocket(af, self._reactor, source, destination)
        return await self._connect(af, source, destination, timeout)

    async def _connect(
        self, af: int, source: tuple[str, int] | None, destination: tuple[str, int], timeout_s: float | None
    ) -> _StreamSocket:
        tcp: IReactorTCP = self._reactor
        endpoint_type = TCP6ClientEndpoint if af == socket.AF_INET6 else TCP4ClientEndpoint
        endpoint = endpoint_type(tcp, destination[0], destination[1], timeout_s or 30, source)
        inbox = _Inbox(self._clock)
        try:
            stream: Any = await _within(endpoint.connect(_OneStream(inbox)), timeout_s, self._clock)
        except ConnectError as error:
            raise OSError(f"cannot connect to name server: {error}") from error
        return _StreamSocket(af, inbox, stream.transport)

    async def sleep(self, interval: float) -> None:
        """Wait ``interval`` seconds."""
        slept: Deferred[None] = Deferred()
        self._clock.callLater(interval, slept.callback, None)
        await slept

    async def wait_for(self, awaitable: Awaitable[T], timeout: float | None) -> T:
        """What ``awaitable`` gives, or dns.exception.Timeout after ``timeout`` seconds."""
        return await _within(ensureDeferred(awaitable), timeout, self._clock)  # type: ignore[arg-type]
