"""Every dialogue again, with each call to the store failing, held or called off: see :mod:`tests.support.failures`."""

from __future__ import annotations

import re

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.pop3.support import WireConversation, world_of
from tests.support.failures import failures
from tests.support.interference import Call, Interference
from tests.support.transcripts import Transcript

pytestmark = pytest.mark.sqlite

_REPLY = re.compile(rb"(?:\+OK|-ERR|\+ )[^\r\n]*\r\n(?:(?!\+OK|-ERR|\+ )(?:(?!\.\r\n)[^\n]*\n)*\.\r\n)?")


class FailingConversation(WireConversation):
    """Its store and portal are interfered with, once its set-up is over."""

    def __init__(self, transcript: Transcript, interference: Interference) -> None:
        world = world_of(transcript)
        (where,) = transcript.arguments("from") or ["127.0.0.1"]
        interference.inside(world.store.database)
        world.factory._portal = interference.around(world.portal)
        self._interference = interference
        self._said = b""
        self._is_lost = False
        super().__init__(world, ip=where, tls=bool(transcript.arguments("tls")))

    def receive(self, octets: bytes) -> None:
        if not self._is_lost:
            super().receive(octets)

    def output(self) -> bytes:
        sent: bytes = super().output()
        self._said += sent
        return sent

    def act(self, name: str, argument: str) -> None:
        with self._interference.aside(*_OF_OTHERS):
            if name == "messages" and not self._interference.is_idle:
                return  # how many there are depends on what failed
            super().act(name, argument)

    def ended(self) -> bool:
        return self._is_lost or super().ended()

    def lose(self) -> None:
        self._is_lost = True
        super().lose()

    def check_alive(self, case: SynchronousTestCase) -> None:
        if not self.ended():
            case.assertRegex(self.say("NOOP"), rb"(?s)(?:\+OK|-ERR)[^\r\n]*\r\n\Z")

    def leave(self) -> None:
        if not self._is_lost:
            self.lose()

    def check_said(self, case: SynchronousTestCase, sent: bytes) -> None:
        self.output()
        at = replies = 0
        while reply := _REPLY.match(self._said, at):
            at = reply.end()
            replies += 1
        rest = self._said[at:]
        # A message that is cut has no end.
        case.assertTrue(not rest or self.transport.aborted or self.transport.disconnecting, rest[-200:])
        # The greeting, our own NOOP, and a word about why the connection is closed.
        case.assertLessEqual(replies, sent.count(b"\n") + 3)

    def check_nothing_is_left(self, case: SynchronousTestCase, call: Call) -> None:
        world = self.world
        case.assertEqual(world.clock.getDelayedCalls(), [])
        case.assertEqual(world.factory.connections, 0)
        case.assertEqual(world.portal.realm.logged_out, world.portal.realm.logged_in)
        # Only a lock that could not be given back ends with its lease.
        world.clock.advance(90 if call[1] == "write unlock maildrop" else world.settings.login_delay)
        again = world.connect(tls=True)
        again.say("USER alice@mail.example", "PASS wonderland")
        case.assertEqual(again.say("STAT")[:4], b"+OK ")
        again.say("QUIT")
        again.lose()


_OF_OTHERS = ("write append", "write remove messages", "read mailbox", "read messages")


@failures("pop3", "pop3_connection", make=FailingConversation, undone=("login",))
class FailureTests(SynchronousTestCase):
    """A test for each dialogue."""
