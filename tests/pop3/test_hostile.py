"""What no decent client sends."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.pop3 import Pop3Settings
from pymailsuite.pop3.extension import BASE_COMMANDS
from pymailsuite.pop3.extensions import OURS
from tests.acceptance import acceptance
from tests.pop3.support import MESSAGES, CoreConversation, World

_KEYWORDS = st.sampled_from([b"XYZZY", *sorted(BASE_COMMANDS), *OURS.commands]) | st.binary(max_size=6)
_ARGUMENTS = st.lists(
    st.sampled_from([b"1", b"0", b"2", b"99999999999999999999", b"-1", b"PLAIN", b"LOGIN", b"=", b"*", b"AAAA", b""])
    | st.binary(max_size=12),
    max_size=3,
).map(b" ".join)
_LINES = st.tuples(_KEYWORDS, _ARGUMENTS).map(b" ".join) | st.binary(max_size=40) | st.just(b"*")


class FuzzTests(SynchronousTestCase):
    def conversation(self, logged_in):
        self.world = World(MESSAGES["one"], MESSAGES["dots"], bad_commands=1000, failed_logins=1000)
        conversation = CoreConversation(self.world)
        if logged_in:
            conversation.receive(b"USER alice@mail.example\r\nPASS wonderland\r\n")
        conversation.output()
        return conversation

    @settings(max_examples=150, deadline=None)
    @given(st.booleans(), st.lists(_LINES, min_size=1, max_size=12))
    def test_every_line_has_its_reply_in_every_state(self, logged_in, lines):
        conversation = self.conversation(logged_in)
        for line in lines:
            if conversation.ended():
                break
            line = line.replace(b"\n", b"")
            conversation.receive(line + b"\r\n")
            # STLS throws away what follows; a line that is only the tail of a CRLF has none.
            reply = conversation.output()
            self.assertRegex(reply, rb"\A(\+OK|-ERR|\+ )[^\r\n]*\r\n")
            self.assertTrue(reply.endswith(b"\r\n"))
            if reply.startswith((b"-ERR", b"+ ")):
                self.assertEqual(reply.count(b"\r\n"), 1)

    @settings(max_examples=100, deadline=None)
    @given(st.booleans(), st.binary(max_size=300))
    def test_any_octets_at_all(self, logged_in, octets):
        conversation = self.conversation(logged_in)
        conversation.receive(octets)
        self.assertRegex(conversation.output(), rb"\A((\+OK|-ERR|\+ |[^\r]*)[^\r]*\r\n)*\Z")


class ShellTests(SynchronousTestCase):
    def setUp(self):
        self.world = World(MESSAGES["one"])
        self.conversation = self.world.connect()
        self.conversation.output()

    def test_a_line_without_end_is_refused_in_bounded_memory(self):
        octets = b"a" * 65536
        tracemalloc.start()
        try:
            for _ in range(320):
                self.conversation.receive(octets)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 1_000_000)
        self.assertEqual(self.conversation.output(), b"-ERR Line too long\r\n")
        self.assertEqual(self.conversation.say("", "NOOP"), b"-ERR log in first\r\n")

    def test_commands_beyond_what_may_wait_are_not_read(self):
        self.world.portal.checker.hold()
        self.conversation.say("USER alice@mail.example", "PASS wonderland")
        for _ in range(40):
            self.conversation.receive(b"NOOP\r\n" * 1000)
        self.assertEqual(self.conversation.transport.producerState, "paused")
        self.world.portal.checker.release()
        self.world.clock.advance(0)
        self.assertEqual(self.conversation.transport.producerState, "producing")
        self.assertEqual(self.conversation.output().count(b"+OK\r\n"), 40_000)

    def test_commands_that_come_at_once_share_the_turn_with_others(self):
        self.conversation.protocol.dataReceived(b"CAPA\r\n" * 1000)
        answered = self.conversation.output().count(b"\r\n.\r\n")
        self.assertLessEqual(answered, 101)
        self.world.clock.advance(0)
        self.assertEqual(answered + self.conversation.output().count(b"\r\n.\r\n"), 1000)

    def test_client_that_has_shut_down_its_side_gets_its_answers(self):
        self.world.portal.checker.hold()
        self.conversation.say("USER alice@mail.example", "PASS wonderland", "RETR 1", "DELE 1", "QUIT")
        self.conversation.protocol.readConnectionLost()
        self.world.portal.checker.release()
        self.assertTrue(self.conversation.output().endswith(b"signing off (maildrop empty)\r\n"))
        self.assertTrue(self.conversation.ended())
        self.assertEqual(self.world.mailbox.messages, 0)

    def test_client_that_shuts_down_without_quit_removes_nothing(self):
        self.conversation.say("USER alice@mail.example", "PASS wonderland", "DELE 1")
        self.conversation.protocol.readConnectionLost()
        self.assertTrue(self.conversation.ended())
        self.conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.world.mailbox.messages, 1)

    @acceptance("S189")
    def test_stls_with_commands_in_the_same_packet_executes_none(self):
        sent = self.conversation.say("STLS", "USER alice@mail.example", "PASS wonderland")
        self.assertEqual(sent, b"+OK begin TLS negotiation\r\n")
        self.assertEqual(self.conversation.transport.tls, "a context")
        self.assertEqual(self.world.portal.checker.asked, [])
        self.assertEqual(self.conversation.say("PASS wonderland"), b"-ERR give your name with USER first\r\n")

    def test_too_many_connections_are_told_so(self):
        self.world.configure(connections_per_address=1)
        first = self.world.connect("192.0.2.1")
        second = self.world.connect("192.0.2.1")
        self.assertEqual(second.output(), b"-ERR [SYS/TEMP] too many connections, try again later\r\n")
        first.lose()
        self.assertTrue(self.world.connect("192.0.2.1").output().startswith(b"+OK "))

    def test_defect_in_a_turn_ends_the_connection_with_a_word(self):
        self.patch(self.conversation.protocol.session, "line_received", lambda line: 1 / 0)
        self.assertEqual(self.conversation.say("NOOP"), b"-ERR [SYS/TEMP] internal error, closing connection\r\n")
        self.assertTrue(self.conversation.ended())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_server_that_stops_says_so_and_removes_nothing(self):
        self.conversation.say("USER alice@mail.example", "PASS wonderland", "DELE 1")
        self.conversation.protocol.shut_down()
        self.assertEqual(self.conversation.output(), b"-ERR [SYS/TEMP] server is shutting down\r\n")
        self.assertTrue(self.conversation.ended())
        self.assertEqual(self.world.mailbox.messages, 1)

    def test_server_that_stops_gives_the_answer_it_owes_first(self):
        self.world.portal.checker.hold()
        self.conversation.say("USER alice@mail.example", "PASS wonderland", "STAT")
        self.conversation.protocol.shut_down()
        self.assertFalse(self.conversation.ended())
        self.world.portal.checker.release()
        replies = self.conversation.output().splitlines()
        self.assertTrue(replies[0].startswith(b"+OK maildrop has"))
        self.assertEqual(replies[1:], [b"-ERR [SYS/TEMP] server is shutting down"])
        self.assertTrue(self.conversation.ended())

    def test_small_replies_leave_at_once(self):
        self.conversation.transport.writes = 0
        self.conversation.say("CAPA", "USER alice@mail.example", "NOSUCH")
        self.assertEqual(self.conversation.transport.writes, 1)


class FactoryTests(SynchronousTestCase):
    @acceptance("S196")
    def test_passwords_in_the_clear_are_off_by_default_and_warned_of_when_allowed(self):
        self.assertFalse(Pop3Settings().plaintext_login)
        with capturedLogs() as events:
            World(plaintext_login=False)
            self.assertEqual(events, [])
            World(plaintext_login=True)
        self.assertEqual([event["event"] for event in events], ["pop3.plaintext_login_allowed"])
        self.assertEqual(events[0]["log_level"], LogLevel.warn)
