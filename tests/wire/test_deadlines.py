"""Deadlines of a connection: what octets move, and what they do not."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from pymailsuite.wire.deadlines import Deadline, Deadlines
from pymailsuite.wire.factory import ConnectionLimits
from tests.wire.test_connection import EchoFactory, Transport


class DeadlinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.passed: list[tuple[float, Deadline]] = []
        self.deadlines = Deadlines(self.clock, lambda step: self.passed.append((self.clock.seconds(), step)))

    def run_for(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    def test_each_passes_once_at_its_time(self) -> None:
        for step, timeout_s in ((Deadline.TOTAL, 5.0), (Deadline.IDLE, 3.0), (Deadline.HANDSHAKE, 9.0)):
            self.deadlines.set(step, timeout_s)
        self.run_for(20)
        self.assertEqual(self.passed, [(3, Deadline.IDLE), (5, Deadline.TOTAL), (9, Deadline.HANDSHAKE)])

    def test_one_that_is_moved_on_does_not_move_another(self) -> None:
        self.deadlines.set(Deadline.TOTAL, 5.0)
        for _ in range(10):
            self.deadlines.set(Deadline.IDLE, 3.0)
            self.run_for(1)
        self.assertEqual(self.passed, [(5, Deadline.TOTAL)])

    def test_one_that_is_lifted_does_not_pass(self) -> None:
        self.deadlines.set(Deadline.TOTAL, 5.0)
        self.deadlines.set(Deadline.IDLE, 7.0)
        self.deadlines.set(Deadline.TOTAL, None)
        self.run_for(20)
        self.assertEqual(self.passed, [(7, Deadline.IDLE)])

    def test_a_shorter_one_is_kept_whatever_the_timer_was_set_to(self) -> None:
        self.deadlines.set(Deadline.TOTAL, 20.0)
        self.deadlines.set(Deadline.IDLE, 10.0)
        self.run_for(1)
        self.deadlines.set(Deadline.IDLE, 3.0)
        self.run_for(4)
        # After it has rung, and again with nothing left for it to ring for.
        self.deadlines.set(Deadline.IDLE, 2.0)
        self.deadlines.set(Deadline.TOTAL, None)
        self.run_for(30)
        self.deadlines.set(Deadline.IDLE, 5.0)
        self.run_for(10)
        self.assertEqual([at for at, _ in self.passed], [4, 7, 40])

    def test_one_timer_serves_all_and_none_is_left(self) -> None:
        for step in Deadline:
            self.deadlines.set(step, 5.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.deadlines.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ShellTests(SynchronousTestCase):
    """The deadlines of a ShellProtocol."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = EchoFactory(self.clock, ConnectionLimits())
        self.factory.handshake_timeout_s = 30.0
        self.transport = Transport()
        self.protocol = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4000))

    def connect(self) -> None:
        self.protocol.makeConnection(self.transport)

    def begin_with_tls(self) -> None:
        self.transport.setTcpNoDelay = lambda enabled: None
        alsoProvides(self.transport, ISSLTransport)
        self.connect()

    def test_a_handshake_that_takes_too_long_ends_the_connection(self) -> None:
        self.begin_with_tls()
        self.protocol.set_timeout(300.0)
        self.clock.advance(30)
        self.assertTrue(self.transport.aborted)

    def test_so_it_is_after_starttls(self) -> None:
        self.connect()
        self.clock.advance(100)
        self.protocol.start_tls("a context")
        self.clock.advance(29)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(1)
        self.assertTrue(self.transport.aborted)

    def test_one_that_is_complete_has_no_limit_any_more(self) -> None:
        self.begin_with_tls()
        self.protocol.handshakeCompleted()
        self.clock.advance(100)
        self.assertFalse(self.transport.aborted)

    def test_octets_do_not_move_the_deadline_of_a_step(self) -> None:
        self.connect()
        self.protocol.set_deadline(10.0)
        for _ in range(9):
            self.protocol.dataReceived(b"x")
            self.protocol.set_timeout(5.0)
            self.clock.advance(1)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)

    def test_whoever_has_lost_his_rights_is_gone_in_a_moment_though_he_does_not_read(self) -> None:
        self.connect()
        self.protocol.withdraw()
        self.assertTrue(self.transport.disconnecting)
        self.protocol.set_timeout(300.0)
        self.protocol.set_deadline(300.0)
        self.clock.advance(2)
        self.assertTrue(self.transport.aborted)
