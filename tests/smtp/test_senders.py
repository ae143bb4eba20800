"""Who may send as whom, on the wire."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pymailsuite.config.sections.smtp import SmtpMxSettings, SmtpSettings, SubmissionSettings
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.send_as import ISenderRights
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.smtp.conversations import PASSWORD, Server, WireConversation

ALICE = "alice@mail.example"
LOGIN = "AUTH PLAIN " + base64.b64encode("\0".join(("", ALICE, PASSWORD)).encode()).decode()
TO = "RCPT TO:<bob@mail.example>"
REFUSED = "Not authorized to send as <{}>\r\n"


@implementer(ISenderRights)
class TableRights:
    """Alice may send as ``allowed``. ``asked`` are the addresses of each question; while ``held`` is a list, answers
    wait in it."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = {ALICE, *allowed}
        self.asked: list[list[str]] = []
        self.failure: Exception | None = None
        self.held: list[tuple[Deferred[Any], Sequence[Address]]] | None = None

    def not_allowed(self, login_name: str, addresses: Sequence[Address]) -> Deferred[Any]:
        assert login_name == ALICE, login_name
        self.asked.append([str(address) for address in addresses])
        if self.held is not None:
            waiting: Deferred[Any] = Deferred()
            self.held.append((waiting, addresses))
            return waiting
        return self._answer(addresses)

    def release(self) -> None:
        """Give all held answers, and later ones at once."""
        held, self.held = self.held or [], None
        for waiting, addresses in held:
            self._answer(addresses).chainDeferred(waiting)

    def _answer(self, addresses: Sequence[Address]) -> Deferred[Any]:
        if self.failure is not None:
            return fail(self.failure)
        return succeed(next((each for each in addresses if str(each) not in self.allowed), None))


class SenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rights = TableRights("sales@mail.example", "zo\xeb@mail.example")

    def start(self, settings: SmtpSettings | None = None, ip: str = "192.0.2.7", login: bool = True) -> None:
        """A new connection to a new server."""
        self.server = Server(settings or SubmissionSettings(), rights=self.rights)
        self.conversation: WireConversation = self.server.connect(ip, secure=True)
        self.conversation.output()
        self.conversation.say("EHLO client.example")
        if login:
            self.assertEqual(self.conversation.say(LOGIN)[:4], "235 ")

    def mail(self, reverse_path: str) -> str:
        """The reply to MAIL; whatever it is, nothing is under way after it."""
        reply = self.conversation.say(f"MAIL FROM:<{reverse_path}>")
        self.conversation.say("RSET")
        return reply

    def message(self, *header: str, reverse_path: str = ALICE) -> str:
        """The reply to a message."""
        replies = self.conversation.say(f"MAIL FROM:<{reverse_path}>", TO, "DATA")
        self.assertEqual([line[:3] for line in replies.splitlines()], ["250", "250", "354"], replies)
        return self.conversation.say(*header, "", "text", ".")

    @acceptance("S199")
    def test_the_reverse_path_must_be_the_users_on_every_port(self) -> None:
        for settings in (SubmissionSettings(), SmtpMxSettings(offer_login=True)):
            for ip in ("192.0.2.7", "127.0.0.1"):
                self.start(settings, ip)
                for own in (ALICE, "sales@mail.example", ""):
                    self.assertEqual(self.mail(own)[:4], "250 ", own)
                for other in ("bob@mail.example", "a@far.example", "postmaster@mail.example"):
                    self.assertEqual(self.mail(other), "553 5.7.1 " + REFUSED.format(other))

    def test_a_name_alone_is_judged_with_the_domain_it_is_given(self) -> None:
        self.start()
        self.assertEqual(self.mail("alice")[:4], "250 ")
        self.assertEqual(self.mail("bob"), "553 5.7.1 " + REFUSED.format("bob@mail.example"))
        self.assertEqual(self.rights.asked, [[ALICE], ["bob@mail.example"]])

    @acceptance("S199", "S045")
    def test_every_author_and_sender_must_be_the_users(self) -> None:
        self.start()
        bob = "550 5.7.1 " + REFUSED.format("bob@mail.example")
        for header, reply in (
            ((f"From: {ALICE}",), "250 "),
            (("From: Sales <sales@mail.example>", f"Sender: {ALICE}"), "250 "),
            (("From: bob@mail.example",), bob),
            ((f"From: {ALICE}, Bob <bob@mail.example>",), bob),
            ((f"From: {ALICE}", "Sender: bob@mail.example"), bob),
            ((f"From: {ALICE}", "Resent-From: bob@mail.example"), bob),
            ((f"From: {ALICE}", "Resent-Sender: bob@mail.example"), bob),
            (("From: bob@mail.example", f"Resent-From: {ALICE}"), bob),
            (("Subject: nobody",), "550 5.7.1 The message has no From field\r\n"),
            ((f"From: {ALICE}", f"From: {ALICE}"), "550 5.7.1 The message has 2 From fields\r\n"),
            ((f"From: {ALICE}", "from : bob@mail.example"), "550 5.7.1 The message has 2 From fields\r\n"),
            (("From: The boss",), "550 5.7.1 The message has a From field with an address without a domain\r\n"),
        ):
            for reverse_path in (ALICE, ""):
                self.assertTrue(self.message(*header, reverse_path=reverse_path).startswith(reply), header)
        self.assertEqual(len(self.server.intake.committed), 4)
        for message in self.server.intake.messages:
            self.assertTrue(message.committed or message.aborted)

    def test_what_is_sent_to_others_at_once_is_bounded(self) -> None:
        self.start(SubmissionSettings(max_originators=3))
        many = ", ".join(f"a{number}@mail.example" for number in range(100))
        self.assertEqual(
            self.message(f"From: {ALICE},", f" {many}"), "550 5.7.1 The message is from more than 3 addresses\r\n"
        )
        self.assertEqual([len(asked) for asked in self.rights.asked], [1])

    @acceptance("S199")
    def test_each_message_of_a_connection_is_asked_about_anew(self) -> None:
        self.start()
        own, other = f"From: {ALICE}", "From: sales@mail.example"
        self.assertEqual(self.message(other, reverse_path="sales@mail.example")[:4], "250 ")
        self.rights.allowed.discard("sales@mail.example")
        self.assertEqual(self.mail("sales@mail.example")[:4], "553 ")
        self.assertEqual(self.message(other)[:4], "550 ")
        self.assertEqual(self.message(own)[:4], "250 ")
        self.rights.allowed.add("sales@mail.example")
        self.assertEqual(self.message(other)[:4], "250 ")
        first = [
            ["sales@mail.example"],
            ["sales@mail.example"],
            ["sales@mail.example"],
            [ALICE],
            ["sales@mail.example"],
        ]
        self.assertEqual(self.rights.asked[:5], first)

    @acceptance("S045")
    def test_strangers_may_say_what_they_like(self) -> None:
        self.start(SmtpMxSettings(), login=False)
        self.assertEqual(
            self.message("From: x@far.example", "From: y@far.example", reverse_path="z@far.example")[:4], "250 "
        )
        self.assertEqual(self.rights.asked, [])

    def test_the_check_may_be_turned_off(self) -> None:
        self.start(SubmissionSettings(check_senders=False))
        self.assertEqual(self.message("From: x@far.example", reverse_path="z@far.example")[:4], "250 ")
        self.assertEqual(self.rights.asked, [])

    def test_trusted_hosts_send_as_anybody_or_as_the_setting_says(self) -> None:
        self.start(SmtpMxSettings(), "127.0.0.1", login=False)
        self.assertEqual(self.message("From: x@far.example", reverse_path="z@far.example")[:4], "250 ")
        self.start(SmtpMxSettings(trusted_senders=("mail.example", "x@far.example")), "127.0.0.1", login=False)
        self.assertEqual(self.mail("z@far.example"), "553 5.7.1 " + REFUSED.format("z@far.example"))
        for reverse_path in ("any@mail.example", "x@far.example", ""):
            self.assertEqual(self.message("From: bob@mail.example", reverse_path=reverse_path)[:4], "250 ")
        self.assertEqual(self.message("From: z@far.example"), "550 5.7.1 " + REFUSED.format("z@far.example"))
        self.assertEqual(self.message("Subject: x"), "550 5.7.1 The message has no From field\r\n")
        self.assertEqual(self.rights.asked, [])

    def test_what_cannot_be_looked_up_is_for_later(self) -> None:
        self.start()
        self.rights.failure = StoreUnavailable()
        self.assertEqual(self.mail(ALICE), "451 4.3.0 Mail store unavailable\r\n")
        self.assertEqual(self.message(f"From: {ALICE}", reverse_path="")[:4], "451 ")
        self.rights.failure = ValueError("a defect")
        self.assertEqual(self.mail(ALICE)[:4], "451 ")
        self.assertEqual(self.message(f"From: {ALICE}", reverse_path="")[:4], "451 ")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        self.rights.failure = None
        self.assertEqual(self.message(f"From: {ALICE}")[:4], "250 ")

    def test_commands_behind_it_wait_for_the_answer(self) -> None:
        self.start()
        self.rights.held = []
        self.assertEqual(self.conversation.say("MAIL FROM:<bob@mail.example>", TO, "DATA", "NOOP"), "")
        self.rights.release()
        replies = self.conversation.output().decode().splitlines()
        self.assertEqual([line[:3] for line in replies], ["553", "503", "503", "250"])
        self.rights.held = []
        self.assertEqual(self.conversation.say(f"MAIL FROM:<{ALICE}>", TO, "DATA"), "")
        self.rights.release()
        self.conversation.output()
        self.rights.held = []
        self.assertEqual(self.conversation.say("From: bob@mail.example", "", "text", ".", "NOOP"), "")
        self.rights.release()
        self.assertEqual([line[:3] for line in self.conversation.output().decode().splitlines()], ["550", "250"])
        self.assertEqual(self.server.intake.committed, [])

    def test_a_peer_that_leaves_meanwhile_leaves_nothing_behind(self) -> None:
        for command in (("MAIL FROM:<bob@mail.example>",), (f"MAIL FROM:<{ALICE}>", TO, "DATA")):
            self.start()
            self.rights.held = [] if len(command) == 1 else None
            self.conversation.say(*command)
            if self.rights.held is None:
                self.rights.held = []
                self.conversation.say("From: bob@mail.example", "", "text", ".")
            self.conversation.protocol.connectionLost(Failure(ConnectionDone()))
            self.rights.release()
            self.assertTrue(all(message.aborted for message in self.server.intake.messages))

    def test_guessing_whom_one_may_send_as_ends_the_connection(self) -> None:
        self.start()
        replies = self.conversation.say(*[f"MAIL FROM:<a{number}@mail.example>" for number in range(50)]).splitlines()
        self.assertEqual({line[:3] for line in replies[:-1]}, {"553"})
        self.assertEqual(replies[-1][:4], "421 ")
        self.assertLess(len(replies), 30)

    def test_an_internationalized_address(self) -> None:
        self.start()
        self.assertEqual(self.conversation.say("MAIL FROM:<zo\xeb@mail.example> SMTPUTF8")[:4], "250 ")
        self.assertEqual(self.conversation.say(TO, "DATA")[-50:-2].count("354"), 1)
        self.assertEqual(self.conversation.say("From: zo\xeb@mail.example", "", ".")[:4], "250 ")
