"""Requests and answers as octets."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.web import WebSettings
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.history import TurnedAway
from pymailsuite.web import WebFactory
from pymailsuite.wire.refusal_counts import RefusalCounts
from tests.support.directory import MemoryDirectory
from tests.web.support import make_pages, outlook_request

_CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_STS = b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.com:443\r\n\r\n"


class _Transport(StringTransport):
    def setTcpNoDelay(self, enabled: bool) -> None:
        """As one of TCP."""


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.directory = MemoryDirectory().with_domain("example.com")
        settings = WebSettings(connections=3, connections_per_address=2, idle=10.0, request_size=1000, requests=5)
        self.refusals = RefusalCounts(self.clock, 60.0, 10, self)
        self.told: list[TurnedAway] = []
        self.factory = WebFactory(settings, make_pages(self.directory), self.clock, self.refusals)
        self.factory.doStart()
        self.addCleanup(self.factory.doStop)

    def turned_away(self, count: TurnedAway) -> None:
        self.told.append(count)

    def connect(self, ip: str = "192.0.2.1", factory: Any = None) -> tuple[Any, StringTransport]:
        address = IPv4Address("TCP", ip, 4711)
        protocol = (factory or self.factory).buildProtocol(address)
        transport = _Transport(peerAddress=address)
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, octets: bytes) -> tuple[bytes, StringTransport]:
        protocol, transport = self.connect("127.0.0.1")
        protocol.dataReceived(octets)
        protocol.connectionLost(Failure(ConnectionDone()))
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
            protocol.dataReceived(bytes((octet,)))
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
        protocol, _ = self.connect()
        self.connect()
        for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            _, transport = self.connect(ip)
            self.assertEqual(transport.disconnected, ip != "192.0.2.2", ip)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertFalse(self.connect()[1].disconnected)
        self.clock.advance(60)
        self.assertEqual(
            [(one.protocol, one.what, one.ip, one.number) for one in self.told],
            [("https", "too_many_connections", "192.0.2.1", 1), ("https", "too_many_connections", "192.0.2.3", 1)],
        )

    def test_within_tls_they_are_hung_up_on_before_the_handshake(self) -> None:
        secured = TLSMemoryBIOFactory(CertificateOptions(), False, self.factory, self.clock)
        self.connect(factory=secured), self.connect(factory=secured)
        _, transport = self.connect(factory=secured)
        self.assertTrue(transport.disconnected)
        self.assertEqual(transport.value(), b"")

    def test_a_handshake_has_its_time_and_no_octet_makes_it_longer(self) -> None:
        secured = TLSMemoryBIOFactory(CertificateOptions(), False, self.factory, self.clock)
        protocol, transport = self.connect(factory=secured)
        for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":
            self.assertFalse(transport.disconnected)
            protocol.dataReceived(bytes((octet,)))
            self.clock.advance(0.95)
        self.assertTrue(transport.disconnected)

    def test_whoever_says_nothing_is_hung_up_on(self) -> None:
        _, transport = self.connect()
        self.clock.advance(9.9)
        self.assertFalse(transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(transport.disconnected)

    def test_octets_now_and_then_do_not_make_a_request_longer(self) -> None:
        body = b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"
        for octets in (_STS, body + b"x" * 900, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"):
            protocol, transport = self.connect("127.0.0.1")
            for octet in octets[:40]:
                self.assertFalse(transport.disconnected)
                protocol.dataReceived(bytes((octet,)))
                self.clock.advance(0.51)
            self.assertTrue(transport.disconnected)
            protocol.connectionLost(Failure(ConnectionDone()))

    def test_the_next_request_must_begin_in_time_and_has_its_own(self) -> None:
        protocol, transport = self.connect()
        for _ in range(3):
            protocol.dataReceived(_STS[:20])
            self.clock.advance(19)
            protocol.dataReceived(_STS[20:])
            self.clock.advance(9)
        self.assertEqual(transport.value().count(b"HTTP/1.1 200 "), 3)
        self.assertFalse(transport.disconnected)
        self.clock.advance(1.1)
        self.assertTrue(transport.disconnected)

    def test_whoever_asks_many_things_at_once_has_an_answer_a_turn_and_so_many_in_all(self) -> None:
        protocol, transport = self.connect()
        answers: list[int] = []
        later = self.clock.callLater

        def watched(delay: float, function: Any, *arguments: Any) -> Any:
            if delay == 0:
                answers.append(transport.value().count(b"HTTP/1.1 200 "))
            return later(delay, function, *arguments)

        self.patch(self.clock, "callLater", watched)
        protocol.dataReceived(_STS * 1_000)
        self.assertEqual(transport.value().count(b"HTTP/1.1 200 "), 1)
        self.clock.advance(0)
        # How many had been given when the next turn was asked for.
        self.assertEqual(answers[:5], [0, 1, 2, 3, 4])
        self.assertEqual(transport.value().count(b"HTTP/1.1 200 "), 5)
        self.assertEqual(transport.value().count(b"Connection: close"), 1)
        self.assertTrue(transport.disconnecting)

    def test_whoever_leaves_while_waiting_for_a_turn_is_forgotten(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(_STS * 3)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(1)
        self.assertEqual(transport.value().count(b"HTTP/1.1 200 "), 1)

    def test_a_whole_url_is_as_good_as_host_and_path(self) -> None:
        whole = b"GET https://mta-sts.example.com/.well-known/mta-sts.txt HTTP/1.1\r\nHost: other.example\r\n\r\n"
        self.assertIn(b"HTTP/1.1 200 ", self.ask(whole)[0])
        self.assertIn(b"HTTP/1.1 404 ", self.ask(whole.replace(b"mta-sts.example.com", b"mta-sts.other.example"))[0])
        old = b"GET /.well-known/mta-sts.txt HTTP/1.0\r\n\r\n"
        self.assertIn(b" 404 ", self.ask(old)[0])
        self.assertIn(b" 404 ", self.ask(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")[0])

    def test_what_is_no_clear_request_is_told_so_and_nothing_behind_it_is_heard(self) -> None:
        end = b"\r\nHost: mta-sts.example.com\r\n\r\n"
        post = b"POST / HTTP/1.1\r\nHost: x\r\n"
        for status, octets in (
            (b"501", b"CONNECT other.example:443 HTTP/1.1" + end),
            (b"400", b"GET other.example:443 HTTP/1.1" + end),
            (b"400", b"GET ftp://other.example/ HTTP/1.1" + end),
            (b"400", b"GET / HTTP/1.1\r\n\r\n"),
            (b"400", b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n"),
            (b"400", b"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n"),
            (b"400", b"GET / HTTP/1.1\r\nHost : a.example\r\nX: y\r\n\r\n"),
            (b"400", b"GET / HTTP/1.1\r\nno field\r\nHost: a.example\r\n\r\n"),
            (b"400", b"GET / HTTP/1.1\r\nHost: a.example\r\nX: a\0b\r\n\r\n"),
            (b"400", b"GET / HTTP/1.1\r\nHost: a.example\r\nX: a\nb\r\n\r\n"),
            (b"400", b"GET  / HTTP/1.1" + end),
            (b"400", b"GET / HTTP/2.0" + end),
            (b"400", b"GET /\r\n"),
            (b"400", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            (b"400", b"\x16\x03\x01\x02\r\n"),
            (b"400", b"GET /" + b"a" * 20_000 + b" HTTP/1.1" + end),
            (b"400", b"a" * 20_000),
            (b"400", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 600 + b"\r\n"),
            (b"400", post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            (b"400", post + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
            (b"400", post + b"Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nabcd"),
            (b"400", post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            (b"400", post.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            (b"400", post + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\nabcd"),
            (b"400", post + b"Content-Length: 4, 4\r\n\r\nabcd"),
            (b"400", post + b"Content-Length: -4\r\nX: y\r\n\r\nabcd"),
            (b"400", post + b"Content-Length: +4\r\n\r\nabcd"),
            (b"400", post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
            (b"400", post + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"),
            (b"400", post + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 20_000),
            (b"400", post + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5_000),
        ):
            with self.subTest(octets=octets[:80]):
                answer, transport = self.ask(octets + _STS)
                head, _, rest = answer.partition(b"\r\n\r\n")
                self.assertTrue(
                    head.startswith(b"HTTP/1.1 " + status) or head.startswith(b"HTTP/1.0 " + status), answer
                )
                self.assertIn(b"Connection: close", head)
                self.assertIn(b"Content-Length: %d" % len(rest), head)
                self.assertTrue(transport.disconnecting)

    @given(
        st.binary(max_size=200),
        st.sampled_from((b"", _STS[:40], _STS, _STS[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")),
    )
    def test_nothing_makes_it_fail(self, octets: bytes, start: bytes) -> None:
        self.ask(start + octets)
