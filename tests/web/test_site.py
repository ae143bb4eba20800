"""Requests and answers as octets."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.web import WebSettings
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.history import TurnedAway
from pymailsuite.web import WebFactory
from pymailsuite.wire.refusal_counts import RefusalCounts
from tests.support.directory import MemoryDirectory
from tests.web.support import make_pages, outlook_request

_STS = b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.com:443\r\n\r\n"


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.directory = MemoryDirectory().with_domain("example.com")
        settings = WebSettings(connections=2, idle=10.0, request_size=1000)
        self.refusals = RefusalCounts(self.clock, 60.0, 10, self)
        self.told: list[TurnedAway] = []
        self.factory = WebFactory(settings, make_pages(self.directory), self.clock, self.refusals)
        self.factory.doStart()
        self.addCleanup(self.factory.doStop)

    def turned_away(self, count: TurnedAway) -> None:
        self.told.append(count)

    def connect(self) -> tuple[object, StringTransport]:
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
        transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 4711))
        if protocol is not None:
            protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, octets: bytes) -> tuple[bytes, StringTransport]:
        protocol, transport = self.connect()
        protocol.dataReceived(octets)  # type: ignore[attr-defined]
        return transport.value(), transport

    def test_a_page_comes_with_length_and_type_and_does_not_say_what_serves_it(self) -> None:
        head, _, body = self.ask(_STS)[0].partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "))
        self.assertIn(b"Content-Length: %d" % len(body), head)
        self.assertIn(b"Server: pymailsuite", head)
        self.assertTrue(body.startswith(b"version: STSv1\r\n"))

    def test_head_has_no_body(self) -> None:
        octets, _ = self.ask(_STS.replace(b"GET", b"HEAD"))
        self.assertTrue(octets.endswith(b"\r\n\r\n"))
        self.assertNotIn(b"Content-Length: 0", octets)

    def test_a_posted_request_is_read_octet_by_octet(self) -> None:
        protocol, transport = self.connect()
        body = outlook_request("ann@example.com")
        head = b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        for octet in head + body:
            protocol.dataReceived(bytes((octet,)))  # type: ignore[attr-defined]
        self.assertIn(b"<LoginName>ann@example.com</LoginName>", transport.value())

    def test_a_body_that_is_too_long_is_not_kept_and_in_the_end_not_listened_to(self) -> None:
        head = b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        octets, _ = self.ask(head % 1001 + b"x" * 1001)
        self.assertTrue(octets.startswith(b"HTTP/1.1 413 "))
        octets, transport = self.ask(head % 10**9 + b"x" * 20_000)
        self.assertEqual(octets, b"")
        self.assertTrue(transport.disconnected or transport.disconnecting)

    def test_without_the_store_the_answer_is_to_come_again(self) -> None:
        self.directory.failure = StoreUnavailable()
        octets, _ = self.ask(_STS)
        self.assertTrue(octets.startswith(b"HTTP/1.1 503 "))
        self.assertIn(b"Retry-After: 30", octets)

    def test_too_many_connections_are_hung_up_on(self) -> None:
        self.connect(), self.connect()
        self.assertIsNone(self.connect()[0])
        self.clock.advance(60)
        self.assertEqual(
            [(one.protocol, one.what, one.ip, one.number) for one in self.told],
            [("https", "too_many_connections", "192.0.2.1", 1)],
        )

    def test_whoever_says_nothing_is_hung_up_on(self) -> None:
        _, transport = self.connect()
        self.clock.advance(10.1)
        self.assertTrue(transport.disconnecting)
