"""Ports: bound first, served later, on IPv4 and IPv6 alike."""

from __future__ import annotations

import errno
import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from pymailsuite.errors import ConfigError
from pymailsuite.server.listeners import Listeners, ListeningService, Sessions
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits
from tests.acceptance import acceptance


class Greeter(Protocol):
    """Greets."""

    def connectionMade(self) -> None:
        self.transport.write(b"220 mail.example.test ESMTP\r\n")  # type: ignore[union-attr]


def greeters() -> Factory:
    """A factory of those."""
    return Factory.forProtocol(Greeter)


class Greeted(Protocol):
    """Waits to be greeted."""

    def __init__(self) -> None:
        self.greeting: Deferred[bytes] = Deferred()
        self.greeted = False

    def dataReceived(self, data: bytes) -> None:
        self.greeted = True
        self.greeting.callback(data)
        self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = ConnectionDone) -> None:
        if not self.greeted:
            self.greeting.errback(reason)


def has_ipv6() -> bool:
    """Whether this machine can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class ListenersTests(TestCase):
    """On real ports, which are the point here."""

    def listeners(self, *services: ListeningService) -> Listeners:
        listeners = Listeners(reactor, services)
        listeners.privilegedStartService()
        listeners.startService()
        self.addCleanup(listeners.stopService)
        return listeners

    @acceptance("S001", "S002")
    async def test_one_service_on_several_ports_of_both_ip_versions(self) -> None:
        endpoints = ["tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"]
        if has_ipv6():
            endpoints.append(r"tcp:0:interface=\:\:1")
        listeners = self.listeners(ListeningService("smtp", "listeners.smtp", endpoints, greeters()))
        listeners.accept_connections()
        self.assertEqual(len({address.port for _, address in listeners.ports()}), len(endpoints))  # type: ignore[attr-defined]
        for _, address in listeners.ports():
            host, port = address.host, address.port  # type: ignore[attr-defined]
            client_endpoint = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
            client = await connectProtocol(client_endpoint(reactor, host, port), Greeted())
            self.assertEqual(await client.greeting, b"220 mail.example.test ESMTP\r\n")

    async def test_nobody_is_served_before_the_store_is_open(self) -> None:
        listeners = self.listeners(
            ListeningService("smtp", "listeners.smtp", ["tcp:0:interface=127.0.0.1"], greeters())
        )
        ((_, address),) = listeners.ports()
        client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", address.port), Greeted())  # type: ignore[attr-defined]
        await deferLater(reactor, 0.05)
        self.assertFalse(client.greeted)
        listeners.accept_connections()
        await client.greeting

    async def test_ipv4_and_ipv6_share_a_port_number(self) -> None:
        if not has_ipv6():
            self.skipTest("no IPv6 here")
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        endpoints = [f"tcp:{port}", f"tcp6:{port}"]
        listeners = self.listeners(ListeningService("smtp", "listeners.smtp", endpoints, greeters()))
        self.assertEqual([address.port for _, address in listeners.ports()], [port, port])  # type: ignore[attr-defined]

    async def test_a_port_in_use_is_named_with_its_setting(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            listeners = Listeners(reactor, [ListeningService("imap", "listeners.imap", [endpoint], greeters())])
            with self.assertRaises(ConfigError) as caught:
                listeners.privilegedStartService()
        self.assertEqual(
            caught.exception.public, f"listeners.imap: cannot listen on {endpoint}: Address already in use"
        )

    async def test_closed_ports_refuse(self) -> None:
        listeners = Listeners(
            reactor, [ListeningService("smtp", "listeners.smtp", ["tcp:0:interface=127.0.0.1"], greeters())]
        )
        listeners.privilegedStartService()
        ((_, address),) = listeners.ports()
        await listeners.stopService()
        with socket.socket() as client:
            self.assertEqual(client.connect_ex(("127.0.0.1", address.port)), errno.ECONNREFUSED)  # type: ignore[attr-defined]


class MemoryListenersTests(SynchronousTestCase):
    """What needs no port."""

    def test_a_service_with_tls_speaks_it_from_the_first_octet(self) -> None:
        memory_reactor = MemoryReactorClock()
        factory = greeters()
        tls = CertificateOptions()
        Listeners(
            memory_reactor, [ListeningService("imaps", "listeners.imaps", ["tcp:993"], factory, tls)]
        ).privilegedStartService()
        ((port, listening, *_),) = memory_reactor.tcpServers
        self.assertEqual(port, 993)
        self.assertIsInstance(listening, TLSMemoryBIOFactory)
        self.assertIs(listening.wrappedFactory, factory)
        self.assertIsInstance(tls.getContext(), SSL.Context)

    def test_ipv6_is_passed_over_where_there_is_none(self) -> None:
        class OldReactor(MemoryReactorClock):
            def addReader(self, reader: Any) -> None:
                raise AssertionError("must not come so far")

        def no_ipv6(*args: Any) -> socket.socket:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

        self.patch(socket, "socket", no_ipv6)
        listeners = Listeners(
            OldReactor(), [ListeningService("smtp", "listeners.smtp", ["tcp:25", "tcp6:25"], greeters())]
        )
        listeners.privilegedStartService()
        self.assertEqual(len(listeners.ports()), 1)

    def test_a_privileged_port_without_privileges_is_named(self) -> None:
        class ForbiddingReactor(MemoryReactorClock):
            def listenTCP(self, port: int, *args: Any, **kwargs: Any) -> Any:
                raise CannotListenError("", port, PermissionError(errno.EACCES, "Permission denied"))

        listeners = Listeners(ForbiddingReactor(), [ListeningService("smtp", "listeners.smtp", ["tcp:25"], greeters())])
        with self.assertRaises(ConfigError) as caught:
            listeners.privilegedStartService()
        self.assertEqual(caught.exception.public, "listeners.smtp: cannot listen on tcp:25: Permission denied")


class SessionsTests(SynchronousTestCase):
    """Connections end in good order."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = ConnectionFactory(self.clock, ConnectionLimits())
        self.ended: Deferred[None] = Deferred()
        self.patch(self.factory, "shut_down", lambda: self.ended)
        self.sessions = Sessions([self.factory], 10.0, self.clock)
        self.sessions.startService()

    def test_stopping_waits_for_them(self) -> None:
        stopped = self.sessions.stopService()
        self.assertNoResult(stopped)
        self.ended.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_but_not_for_ever(self) -> None:
        stopped = self.sessions.stopService()
        self.clock.advance(10.0)
        self.successResultOf(stopped)
