"""What is declared is what there is; and extensions of other packages that fail."""

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import Refusal
from pymailsuite.pop3.extension import BASE_COMMANDS, Command, Extensions, Pop3Extension, find_extensions
from pymailsuite.pop3.extensions import OURS
from pymailsuite.pop3.replies import ok
from pymailsuite.pop3.session import _COMMANDS
from pymailsuite.pop3.states import State
from pymailsuite.wire.extension import AwaitReply
from tests.pop3.support import MESSAGES, World
from tests.support.logs import captured_logs


class DeclarationTests(SynchronousTestCase):
    def test_ours_are_found_as_plugins(self):
        found = find_extensions()
        self.assertEqual(found.commands, OURS.commands)
        self.assertEqual(BASE_COMMANDS, _COMMANDS.keys())

    def test_a_command_is_refused_in_every_state_it_is_not_declared_for(self):
        world = World(MESSAGES["one"], bad_commands=1000)
        commands = {**_COMMANDS, **OURS.commands}
        before, after = world.connect(), world.logged_in()
        for keyword, command in commands.items():
            if command.state is State.TRANSACTION:
                self.assertEqual(before.say(keyword.decode()).splitlines()[-1], b"-ERR log in first", keyword)
            elif command.state is State.AUTHORIZATION:
                self.assertEqual(after.say(keyword.decode()).splitlines()[-1], b"-ERR already logged in", keyword)


def _raises(session, argument):
    raise ValueError("a defect")


def _refuses(session, argument):
    raise Refusal("not today")


class ForeignTests(SynchronousTestCase):
    """Of other packages."""

    def setUp(self):
        self.answer = Deferred()
        given = Pop3Extension(
            "given",
            lambda session: "XGIVEN" if session.login_name else "",
            (
                Command(b"XFAILS", _raises, None),
                Command(b"XREFUSES", _refuses, None),
                Command(b"XFIRST", lambda session, _: session.read_message(session.index_of(1), 0), State.TRANSACTION),
                Command(b"XWAITS", lambda session, _: AwaitReply(self.answer), None),
                Command(b"XKNOWS", lambda session, _: AwaitReply(succeed(ok("known"))), None),
                Command(b"XBREAKS", lambda session, _: AwaitReply(fail(ValueError("a defect"))), None),
                Command(b"RETR", _raises, None),
                Command(b"TOP", _raises, None),
            ),
        )
        mute = Pop3Extension("mute", lambda session: session.no_such_thing)
        self.world = World(MESSAGES["one"])
        with captured_logs() as events:
            extensions = Extensions((*OURS.declared, given, mute))
        self.taken = [(event["word"], event["plugin"], event["other"]) for event in events]
        self.world.configure(extensions=extensions, extension_timeout=20)
        self.client = self.world.logged_in()
        self.client.output()

    def test_it_is_offered_where_it_says(self):
        self.assertNotIn(b"XGIVEN", self.world.connect().say("CAPA"))
        self.assertIn(b"\r\nXGIVEN\r\n", self.client.say("CAPA"))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 2)

    def test_of_two_of_one_name_ours_stays(self):
        self.assertEqual(self.taken, [("RETR", "given", "RFC 1939"), ("TOP", "given", "top")])
        self.assertTrue(self.client.say("TOP 1 0").startswith(b"+OK"))

    def test_it_may_answer_with_a_message(self):
        self.assertEqual(self.client.say("XFIRST"), self.client.say("TOP 1 0"))

    def test_what_fails_is_answered_and_named_in_the_log(self):
        for command in ("XFAILS", "XBREAKS"):
            with captured_logs() as events:
                answer = self.client.say(command)
            self.assertEqual(answer, b"-ERR [SYS/TEMP] internal error, try again later\r\n")
            (event,) = [event for event in events if event.get("event") == "extension.failed"]
            self.assertEqual(event["plugin"], "given")
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.client.say("XREFUSES"), b"-ERR not today\r\n")
        self.assertEqual(self.client.say("NOOP"), b"+OK\r\n")

    def test_what_is_waited_for_is_said_in_its_turn(self):
        self.assertEqual(self.client.say("XKNOWS"), b"+OK known\r\n")
        self.assertEqual(self.client.say("XWAITS", "NOOP"), b"")
        self.answer.callback(ok("at last"))
        self.assertEqual(self.client.output(), b"+OK at last\r\n+OK\r\n")

    def test_what_hangs_is_called_off(self):
        self.assertEqual(self.client.say("XWAITS", "NOOP"), b"")
        self.world.clock.advance(19)
        self.assertEqual(self.client.output(), b"")
        self.world.clock.advance(1)
        self.assertEqual(self.client.output(), b"-ERR [SYS/TEMP] internal error, try again later\r\n+OK\r\n")
        self.flushLoggedErrors()

    def test_a_client_that_leaves_ends_what_hangs(self):
        cancelled = []
        self.answer.addErrback(cancelled.append)
        self.client.say("XWAITS")
        self.client.lose()
        self.assertEqual(len(cancelled), 1)
