"""Connections through a proxy: no protocol before the client is known."""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.wire.factory import ConnectionLimits
from pymailsuite.wire.proxied import ProxiedFactory, ProxyRules
from tests.wire.test_connection import EchoFactory, Transport

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n"
V2_LOCAL = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x20, 0, 0)
V2_IPV6 = (
    b"\r\n\r\n\x00\r\nQUIT\n"
    + struct.pack("!BBH", 0x21, 0x21, 36)
    + bytes.fromhex("20010db8000000000000000000000009")
    + bytes(16)
    + struct.pack("!HH", 4711, 25)
)


class ProxiedTests(SynchronousTestCase):
    """A proxy at 127.0.0.1 in front of a protocol that echoes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.refused: list[tuple[str, str]] = []
        self.echoes = EchoFactory(self.clock, ConnectionLimits(per_address=1))
        self.required = True

    def connect(self, address: IAddress | str = "127.0.0.1", factory: Factory | None = None) -> Transport:
        if isinstance(address, str):
            address = IPv4Address("TCP", address, 4000)
        rules = ProxyRules(lambda ip: ip in ("127.0.0.1", ""), self.required, 5.0)
        proxied = ProxiedFactory(
            factory or self.echoes, rules, self.clock, lambda ip, why: self.refused.append((ip, why.decode()))
        )
        transport = Transport()
        transport.getPeer = lambda: address
        transport.protocol = proxied.buildProtocol(address)
        if transport.protocol is not None:
            transport.protocol.makeConnection(transport)
        return transport

    def receive(self, transport: Any, octets: bytes) -> bytes:
        transport.protocol.dataReceived(octets)
        said: bytes = transport.value()
        transport.clear()
        return said

    def test_the_protocol_is_made_for_the_client(self) -> None:
        transport = self.connect()
        self.assertEqual(self.receive(transport, V1[:30]), b"")
        self.assertEqual(self.receive(transport, V1[30:] + b"early"), b"hello\r\nearly")
        self.assertEqual((transport.protocol.peer_ip, transport.protocol.peer_port), ("203.0.113.9", 4711))
        self.assertEqual(transport.getPeer().host, "203.0.113.9")

    def test_a_header_that_comes_octet_by_octet_is_the_same(self) -> None:
        for header, ip in ((V1, "203.0.113.9"), (V2_IPV6, "2001:db8::9")):
            transport = self.connect()
            said = b"".join(self.receive(transport, bytes((octet,))) for octet in header)
            self.assertEqual(said, b"hello\r\n")
            self.assertEqual(transport.protocol.peer_ip, ip)

    def test_a_proxy_that_speaks_for_itself_is_itself(self) -> None:
        transport = self.connect()
        self.assertEqual(self.receive(transport, V2_LOCAL), b"hello\r\n")
        self.assertEqual(transport.protocol.peer_ip, "127.0.0.1")

    def test_what_is_no_header_cuts_the_connection(self) -> None:
        for octets in (b"EHLO client.example\r\n", b"PROXY TCP4 nonsense\r\n", b"PROXY " + b"x" * 200):
            transport = self.connect()
            self.assertEqual(self.receive(transport, octets), b"")
            self.assertTrue(transport.aborted)
        self.assertEqual([ip for ip, _ in self.refused], ["127.0.0.1"] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_octet_renews_the_time_for_the_header(self) -> None:
        transport = self.connect()
        for octet in V1[:4]:
            self.receive(transport, bytes((octet,)))
            self.clock.advance(1.0)
        self.assertFalse(transport.aborted)
        self.clock.advance(1.0)
        self.assertTrue(transport.aborted)
        self.assertEqual(self.refused, [("127.0.0.1", "cut off: no header in time")])

    def test_a_proxy_that_goes_leaves_nothing(self) -> None:
        transport = self.connect()
        transport.protocol.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_but_proxies_connects_where_they_are_required(self) -> None:
        self.assertIsNone(self.connect("192.0.2.7").protocol)
        self.assertEqual(self.refused, [("192.0.2.7", "cut off: not a proxy of ours")])

    def test_elsewhere_others_are_served_as_themselves(self) -> None:
        self.required = False
        transport = self.connect("192.0.2.7")
        self.assertEqual(self.receive(transport, V1), b"hello\r\n" + V1)

    def test_who_may_open_a_socket_of_the_file_system_is_a_proxy(self) -> None:
        transport = self.connect(UNIXAddress(""))
        self.receive(transport, V1)
        self.assertEqual(transport.protocol.peer_ip, "203.0.113.9")

    def test_clients_are_counted_and_their_proxy_is_not(self) -> None:
        said = []
        for ip in (b"203.0.113.9", b"203.0.113.9", b"203.0.113.10"):
            said.append(self.receive(self.connect(), b"PROXY TCP4 %b 192.0.2.1 4711 25\r\n" % ip)[:5])
        self.assertEqual(said, [b"hello", b"busy\r", b"hello"])

    def test_a_factory_that_wants_no_more_clients_is_heard(self) -> None:
        class Full(Factory):
            def buildProtocol(self, addr: Any) -> Protocol | None:  # type: ignore[override]
                return None

        transport = self.connect(factory=Full())
        self.receive(transport, V1)
        self.assertTrue(transport.aborted)
