"""The shell over real sockets: what is sent arrives whole and in order, whatever the kernel takes at once."""

import socket
import time

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from pymailsuite.wire.shell import ConnectionLimits, ShellFactory, ShellProtocol

NUMBERS = b"".join(b"%09d\n" % number for number in range(600_000))


class Flood(ShellProtocol):
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


class FloodFactory(ShellFactory):
    def make_protocol(self):
        return Flood(self.reactor)


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
