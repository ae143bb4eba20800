"""The protocol over real sockets: what is sent arrives whole and in order, whatever the kernel takes at once."""

import socket
import time

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from pymailsuite.wire.connection import ConnectionProtocol
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits

NUMBERS = b"".join(b"%09d\n" % number for number in range(600_000))


class Flood(ConnectionProtocol):
    """Sends six megabytes in pieces of all sizes, without waiting, and closes."""

    def connection_opened(self):
        at, size = 0, 1
        while at < len(NUMBERS):
            self.send(NUMBERS[at : at + size])
            self.flush()
            at, size = at + size, size % 99991 + 7919
        self.close()

    def octets_received(self, octets):
        raise AssertionError("nothing is sent to it")


class FloodFactory(ConnectionFactory):
    def make_protocol(self):
        return Flood(self.reactor)


class Measured(ConnectionProtocol):
    """Notes how much it got and how much it will get at once."""

    def octets_received(self, octets):
        self.factory.reads.append((len(octets), self.transport.bufferSize))
        if len(octets) > len(b"short"):
            self.close()
        else:
            # As the transport hands over what it read when the kernel had more than enough.
            reactor.callLater(0, self.dataReceived, b"x" * self.transport.bufferSize)


class MeasuredFactory(ConnectionFactory):
    def __init__(self):
        super().__init__(reactor, ConnectionLimits())
        self.reads = []

    def make_protocol(self):
        return Measured(self.reactor)


class SocketTests(TestCase):
    """On loopback, port 0."""

    timeout = 120

    def test_a_slow_reader_gets_all_in_order(self):
        factory = FloodFactory(reactor, ConnectionLimits())
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)

        def read(number):
            pieces = []
            with socket.create_connection(("127.0.0.1", number), 10) as client:
                time.sleep(0.1)
                while piece := client.recv(65536):
                    pieces.append(piece)
            return b"".join(pieces)

        def check(octets):
            self.assertTrue(octets == NUMBERS)
            return factory.shut_down()

        return deferToThread(read, port.getHost().port).addCallback(check)

    def test_a_peer_that_fills_a_read_is_read_in_larger_pieces_from_then_on(self):
        factory = MeasuredFactory()
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)

        def talk(number):
            with socket.create_connection(("127.0.0.1", number), 10) as client:
                client.sendall(b"short")
                return client.recv(1)

        def check(answer):
            self.assertEqual((answer, factory.reads), (b"", [(5, 65536), (65536, 262144)]))
            return factory.shut_down()

        return deferToThread(talk, port.getHost().port).addCallback(check)
