"""The protocol: turns, clocks, back-pressure, limits."""

from types import SimpleNamespace

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.wire.connection import ConnectionProtocol
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits
from tests.acceptance import acceptance


class Transport(StringTransport):
    """Remembers writes, and whether it was cut."""

    def __init__(self, ip="192.0.2.1"):
        super().__init__(peerAddress=IPv4Address("TCP", ip, 4000))
        self.writes = []
        self.aborted = False

    def write(self, data):
        self.writes.append(data)
        super().write(data)

    def abortConnection(self):
        self.aborted = True
        super().abortConnection()

    def startTLS(self, context):
        self.writes.append(context)


class Echo(ConnectionProtocol):
    """Sends back each octet as a piece of its own; fails at ``!``."""

    seen = b""
    dropped = 0

    def connection_opened(self):
        self.send(b"hello\r\n")

    def octets_received(self, octets):
        self.seen += octets
        for at in range(len(octets)):
            if octets[at : at + 1] == b"!":
                raise ValueError("a defect")
            self.send(octets[at : at + 1])

    def drop_unread(self):
        return self.dropped


class EchoFactory(ConnectionFactory):
    def make_protocol(self):
        return Echo(self.reactor)

    def busy_reply(self):
        return b"busy\r\n"


class ShellTests(SynchronousTestCase):
    """ShellProtocol and ShellFactory."""

    def setUp(self):
        self.clock = Clock()
        self.factory = EchoFactory(self.clock, ConnectionLimits(in_all=3, per_address=2))

    def connect(self, ip="192.0.2.1"):
        protocol = self.factory.buildProtocol(IPv4Address("TCP", ip, 4000))
        transport = Transport(ip)
        protocol.makeConnection(transport)
        return protocol, transport

    def lose(self, protocol, reason=ConnectionDone):
        protocol.connectionLost(Failure(reason()))

    def test_interfaces(self):
        protocol, _ = self.connect()
        for interface in (IHalfCloseableProtocol, IHandshakeListener, IPushProducer):
            verifyObject(interface, protocol)

    def test_a_turn_is_one_write(self):
        protocol, transport = self.connect()
        protocol.dataReceived(b"abc")
        self.assertEqual(transport.writes, [b"hello\r\n", b"abc"])

    def test_sending_outside_of_a_turn_goes_at_once(self):
        protocol, transport = self.connect()
        protocol.send(b"x")
        protocol.in_turn(protocol.send_all, [b"y", b"z"])
        self.assertEqual(transport.writes[1:], [b"x", b"yz"])

    def test_the_peer_is_known_by_its_address(self):
        protocol, _ = self.connect("::ffff:192.0.2.9")
        self.assertEqual((protocol.peer_ip, protocol.peer_port), ("192.0.2.9", 4000))

    def test_the_timer_rings_after_silence(self):
        protocol, transport = self.connect()
        protocol.set_timeout(10)
        self.clock.advance(9)
        protocol.set_timeout(10)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(9)
        self.assertFalse(transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(transport.disconnecting)

    def test_an_earlier_deadline_moves_the_timer(self):
        protocol, transport = self.connect()
        protocol.set_timeout(100)
        protocol.set_timeout(1)
        self.clock.advance(1)
        self.assertTrue(transport.disconnecting)

    def test_no_timeout_lets_the_peer_be(self):
        protocol, transport = self.connect()
        protocol.set_timeout(1)
        protocol.set_timeout(None)
        self.clock.advance(100)
        self.assertFalse(transport.disconnecting)

    def test_a_peer_that_does_not_take_our_last_words_is_cut_off(self):
        protocol, transport = self.connect()
        protocol.close()
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.aborted)
        self.clock.advance(10)
        self.assertTrue(transport.aborted)

    def test_nothing_is_heard_after_closing(self):
        protocol, _ = self.connect()
        protocol.close()
        protocol.dataReceived(b"more")
        self.assertEqual(protocol.seen, b"")

    def test_a_lost_connection_leaves_no_clock_running(self):
        protocol, _ = self.connect()
        protocol.set_timeout(10)
        self.lose(protocol)
        protocol.set_timeout(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_defect_is_logged_and_cuts_the_connection(self):
        protocol, transport = self.connect()
        protocol.dataReceived(b"a!")
        self.assertTrue(transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    @acceptance("S208")
    def test_reading_stops_while_too_much_is_unread(self):
        protocol, transport = self.connect()
        protocol.hold_reading(65536)
        self.assertEqual(transport.producerState, "producing")
        protocol.hold_reading(65537)
        self.assertEqual(transport.producerState, "paused")
        protocol.release_reading()
        self.assertEqual(transport.producerState, "producing")

    def test_writing_waits_for_a_slow_peer(self):
        protocol, transport = self.connect()
        self.assertIsNone(protocol.drained())
        transport.producer.pauseProducing()
        waiting = protocol.drained()
        self.assertNoResult(waiting)
        transport.producer.resumeProducing()
        self.successResultOf(waiting)
        self.assertIsNone(protocol.drained())

    def test_waiting_for_a_slow_peer_ends_with_the_connection(self):
        protocol, transport = self.connect()
        transport.producer.pauseProducing()
        waiting, cancelled = protocol.drained(), protocol.drained()
        cancelled.addErrback(lambda _: None)
        cancelled.cancel()
        self.lose(protocol, ConnectionLost)
        self.failureResultOf(waiting, ConnectionLost)

    def test_what_was_said_leaves_before_tls_begins(self):
        protocol, transport = self.connect()
        protocol.dropped = 7
        protocol.in_turn(lambda: (protocol.send(b"go\r\n"), protocol.start_tls("context")))
        self.assertEqual(transport.writes[1:], [b"go\r\n", "context"])
        self.assertTrue(protocol.secure)

    def test_half_closed_connections_are_closed(self):
        protocol, transport = self.connect()
        protocol.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_one_address_has_only_so_many_connections(self):
        first, _ = self.connect()
        self.connect()
        _, third = self.connect()
        self.assertEqual(third.value(), b"busy\r\n")
        self.assertTrue(third.disconnecting)
        self.lose(first)
        _, fourth = self.connect()
        self.assertEqual(fourth.value(), b"hello\r\n")

    def test_connections_too_many_are_counted(self):
        noted = []
        self.factory.refusal_counts = SimpleNamespace(note=lambda *told: noted.append(told))
        for ip in ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"):
            self.connect(ip)
        self.assertEqual(
            noted,
            [("wire", "too_many_connections", ip, b"busy\r\n") for ip in ("192.0.2.1", "192.0.2.3")],
        )

    def test_this_host_has_as_many_connections_as_there_are(self):
        for ip in ("127.0.0.1", "127.0.0.1", "127.0.0.1"):
            _, transport = self.connect(ip)
        self.assertEqual(transport.value(), b"hello\r\n")

    def test_all_addresses_have_only_so_many_connections(self):
        for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            self.connect(ip)
        busy, transport = self.connect("192.0.2.4")
        self.assertEqual(transport.value(), b"busy\r\n")
        self.lose(busy)
        self.assertEqual(self.factory.connections, 3)

    def test_an_ipv6_network_counts_as_one_address(self):
        for host in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"):
            last = self.factory.buildProtocol(IPv6Address("TCP", host, 4000))
            self.assertEqual(isinstance(last, Echo), host != "2001:db8::3")

    def test_shutting_down_waits_for_the_last_connection(self):
        first, transport = self.connect()
        second, _ = self.connect("192.0.2.2")
        stopped = self.factory.shut_down()
        self.assertTrue(transport.disconnecting)
        self.lose(first)
        self.assertNoResult(stopped)
        self.lose(second)
        self.successResultOf(stopped)
        self.successResultOf(self.factory.shut_down())
