"""Extensions that are declared: ours are whole, and what others' do wrong hurts nobody else."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings
from pymailsuite.errors import Refusal
from pymailsuite.plugins import plugins_by_name
from pymailsuite.smtp.extension import Command, Extensions, ISmtpExtension, Parameter, SmtpExtension, find_extensions
from pymailsuite.smtp.extensions import OURS
from pymailsuite.smtp.grammar import ArgumentRefused
from pymailsuite.smtp.replies import reply
from pymailsuite.smtp.states import State
from pymailsuite.values import Address
from pymailsuite.wire.extension import AwaitReply
from tests.smtp.conversations import Server, WireConversation
from tests.support.logs import captured_logs

GREETED = reply(250, "2.0.0", "Good day")


class _BrokenError(Exception):
    """Whatever a plugin may do wrong."""


def _broken(*_: object) -> Any:
    raise _BrokenError


def _number(context: Any, value: str) -> int:
    if not value.isdigit():
        raise ArgumentRefused("Not a number")
    if int(value) > 9:
        raise Refusal("No such number")
    return int(value)


class ExtensionCase(SynchronousTestCase):
    def start(self, *extensions: SmtpExtension, hello: str = "EHLO client.example") -> WireConversation:
        """A conversation with these and ours, after HELO or EHLO."""
        self.server = Server(SmtpMxSettings(extension_timeout="5s"), extensions=Extensions((*_ours(), *extensions)))
        conversation = self.server.connect("127.0.0.1")
        conversation.output()
        self.offered = conversation.say(hello)
        return conversation


def _ours() -> list[SmtpExtension]:
    found = plugins_by_name(ISmtpExtension).values()
    return [one for one in found if isinstance(one, SmtpExtension)]


class DeclarationTests(ExtensionCase):
    def test_ours_are_found_as_plugins_and_are_all_that_a_library_gets(self) -> None:
        conversation = Server(extensions=find_extensions()).connect()
        other = Server().connect()
        for each in (conversation, other):
            each.output()
        self.assertEqual(conversation.say("EHLO a.example"), other.say("EHLO a.example"))
        self.assertEqual(set(find_extensions().commands), set(OURS.commands))

    def test_what_ehlo_says_depends_on_the_conversation(self) -> None:
        named = SmtpExtension("named", lambda context: f"XHELLO {context.peer.helo}" if context.peer.trusted else "")
        self.start(named)
        self.assertIn("250 XHELLO client.example\r\n", self.offered)

    def test_one_that_cannot_say_what_it_offers_is_left_out_and_named(self) -> None:
        with captured_logs() as events:
            self.start(SmtpExtension("broken", _broken))
        self.assertIn("250 HELP\r\n", self.offered)
        self.assertEqual([one["plugin"] for one in events if one.get("event") == "extension.failed"], ["broken"])
        self.assertEqual(len(self.flushLoggedErrors(_BrokenError)), 1)

    def test_a_word_that_is_taken_stays_whose_it_is(self) -> None:
        thief = SmtpExtension(
            "thief",
            commands=(Command("HELP", _broken), Command("MAIL", _broken)),
            mail_parameters=(Parameter("SIZE", _broken),),
        )
        with captured_logs() as events:
            conversation = self.start(thief)
        self.assertEqual(
            [(one["word"], one["other"]) for one in events if one.get("event") == "extension.word_taken"],
            [("HELP", "help"), ("MAIL", "RFC 5321"), ("SIZE", "size")],
        )
        self.assertTrue(conversation.say("HELP").startswith("214"))
        self.assertTrue(conversation.say("MAIL FROM:<a@b.example> SIZE=5").startswith("250"))


class CommandTests(ExtensionCase):
    def test_a_command_answers_at_once_or_later(self) -> None:
        later: Deferred[bytes] = Deferred()
        conversation = self.start(
            SmtpExtension(
                "greeting",
                commands=(
                    Command("XHELLO", lambda context, argument: context.say(GREETED)),
                    Command("XLATER", lambda context, argument: AwaitReply(later)),
                    Command("XNOW", lambda context, argument: AwaitReply(succeed(GREETED))),
                ),
            )
        )
        self.assertEqual(conversation.say("XHELLO", "XNOW", "XLATER", "NOOP"), 2 * GREETED.decode())
        later.callback(GREETED)
        self.assertEqual(conversation.output(), GREETED + b"250 2.0.0 Ok\r\n")

    def test_it_is_out_of_order_where_it_says_so(self) -> None:
        refused = {State.READY: reply(503, "5.5.1", "Not now")}
        conversation = self.start(SmtpExtension("x", commands=(Command("XHELLO", _broken, refused),)))
        self.assertEqual(conversation.say("XHELLO"), "503 5.5.1 Not now\r\n")

    def test_what_it_raises_is_its_reply_or_ours(self) -> None:
        def refusing(context: Any, argument: str) -> None:
            raise Refusal("Not for you")

        commands = (
            Command("XREFUSE", refusing),
            Command("XBREAK", _broken),
            Command("XFAIL", lambda context, argument: AwaitReply(fail(_BrokenError()))),
            Command("XDENY", lambda context, argument: AwaitReply(fail(Refusal("Not for you")))),
        )
        conversation = self.start(SmtpExtension("mine", commands=commands))
        with captured_logs() as events:
            self.assertEqual(conversation.say("XREFUSE", "XDENY"), 2 * "550 5.7.1 Not for you\r\n")
            internal = "451 4.3.0 Internal error, try again later\r\n"
            self.assertEqual(conversation.say("XBREAK", "XFAIL", "NOOP"), 2 * internal + "250 2.0.0 Ok\r\n")
        self.assertEqual([one["plugin"] for one in events if one.get("event") == "extension.failed"], 2 * ["mine"])
        self.assertEqual(len(self.flushLoggedErrors(_BrokenError)), 2)

    def test_one_that_hangs_is_ended_and_so_is_what_it_does_when_the_client_leaves(self) -> None:
        cancelled: list[object] = []
        hanging = Command("XHANG", lambda context, argument: AwaitReply(Deferred(cancelled.append)))
        conversation = self.start(SmtpExtension("mine", commands=(hanging,)))
        self.assertEqual(conversation.say("XHANG", "NOOP"), "")
        self.server.clock.advance(6)
        self.assertEqual(conversation.output(), b"451 4.3.0 Internal error, try again later\r\n250 2.0.0 Ok\r\n")
        conversation.say("XHANG")
        conversation.lose()
        self.assertEqual(len(cancelled), 2)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_help_tells_of_it(self) -> None:
        greeting = Command("XHELLO", _broken, help=("XHELLO", "Says good day"))
        conversation = self.start(SmtpExtension("greeting", commands=(greeting,)))
        self.assertIn("XHELLO", conversation.say("HELP"))
        self.assertEqual(conversation.say("HELP XHELLO"), "214-2.0.0 XHELLO\r\n214 2.0.0 Says good day\r\n")


class ParameterTests(ExtensionCase):
    numbers = SmtpExtension(
        "numbers",
        mail_parameters=(Parameter("XMAIL", _number),),
        recipient_parameters=(Parameter("XRCPT", _number),),
    )

    def test_what_was_taken_goes_with_the_envelope(self) -> None:
        conversation = self.start(self.numbers)
        recipients = ("RCPT TO:<alice@mail.example> XRCPT=7", "RCPT TO:<bob@mail.example>")
        said = conversation.say("MAIL FROM:<a@b.example> XMAIL=3", *recipients, "DATA", "text", ".")
        self.assertEqual([line[:3] for line in said.splitlines()], ["250", "250", "250", "354", "250"])
        envelope = self.server.intake.committed[0].envelope
        self.assertEqual(envelope.parameters, {"XMAIL": 3})
        self.assertEqual(envelope.recipient_parameters, {Address("alice", "mail.example"): {"XRCPT": 7}})

    def test_the_next_transaction_knows_nothing_of_it(self) -> None:
        conversation = self.start(self.numbers)
        conversation.say("MAIL FROM:<a@b.example> XMAIL=3", "RCPT TO:<alice@mail.example> XRCPT=7", "RSET")
        conversation.say("MAIL FROM:<a@b.example>", "RCPT TO:<alice@mail.example>", "DATA", "text", ".")
        envelope = self.server.intake.committed[0].envelope
        self.assertEqual((envelope.parameters, envelope.recipient_parameters), ({}, {}))

    def test_a_recipient_that_is_refused_leaves_nothing(self) -> None:
        conversation = self.start(self.numbers)
        unknown = ("RCPT TO:<nobody@mail.example> XRCPT=7", "RCPT TO:<alice@mail.example>")
        conversation.say("MAIL FROM:<a@b.example>", *unknown, "DATA", "text", ".")
        self.assertEqual(self.server.intake.committed[0].envelope.recipient_parameters, {})

    def test_values_that_are_none_and_words_that_nobody_knows(self) -> None:
        conversation = self.start(self.numbers)
        said = conversation.say(
            "MAIL FROM:<a@b.example> XMAIL=x",
            "MAIL FROM:<a@b.example> XMAIL=10",
            "MAIL FROM:<a@b.example> XRCPT=1",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<alice@mail.example> XMAIL=1",
            "RCPT TO:<alice@mail.example> XRCPT=x",
        )
        self.assertEqual(
            said.splitlines(),
            [
                "501 5.5.4 Not a number",
                "550 5.7.1 No such number",
                "555 5.5.4 Parameter not recognized or not implemented",
                "250 2.1.0 Sender ok",
                "555 5.5.4 Parameter not recognized or not implemented",
                "501 5.5.4 Not a number",
            ],
        )

    def test_after_helo_there_are_none(self) -> None:
        conversation = self.start(self.numbers, hello="HELO client.example")
        self.assertNotIn("HELP", self.offered)
        said = conversation.say("MAIL FROM:<a@b.example> XMAIL=1")
        self.assertEqual(said, "555 5.5.4 Parameters need EHLO, not HELO\r\n")

    def test_one_that_breaks_costs_its_command_alone(self) -> None:
        broken = SmtpExtension("mine", recipient_parameters=(Parameter("XRCPT", _broken),))
        conversation = self.start(broken)
        said = conversation.say(
            "MAIL FROM:<a@b.example>", "RCPT TO:<alice@mail.example> XRCPT=1", "RCPT TO:<alice@mail.example>"
        )
        self.assertEqual([line[:3] for line in said.splitlines()], ["250", "451", "250"])
        self.assertEqual(len(self.flushLoggedErrors(_BrokenError)), 1)
