"""Policies within an SMTP conversation: where they are asked, and what is forgotten when."""

from __future__ import annotations

import struct
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.policy import PolicySection
from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from pymailsuite.interfaces.history import Refused
from pymailsuite.interfaces.overrides import RecipientOverrides
from pymailsuite.interfaces.policy import Action, Effect, MailTransaction, PolicyReply, Stage, Verdict
from tests.acceptance import acceptance
from tests.smtp.conversations import Server, WireConversation
from tests.support.logs import captured_logs
from tests.support.policies import ListeningPolicy, chain_of, rejecting, says

MAIL, RCPT = "MAIL FROM:<a@client.example>", "RCPT TO:<alice@mail.example>"
HELD = PolicySection()


class PolicyTestCase(SynchronousTestCase):
    """A server with policies."""

    def start(self, *policies: Any, settings: Any = None, ip: str = "192.0.2.7", **options: Any) -> WireConversation:
        self.policies = policies
        self.server = Server(settings, policies=None)
        chain = chain_of(*policies, clock=self.server.clock, **options)
        self.server = Server(settings, policies=chain)
        chain._clock = self.server.clock
        self.conversation = self.server.connect(ip)
        return self.conversation


class StageTests(PolicyTestCase):
    """Each stage is answered by its own reply."""

    @acceptance("S007")
    def test_a_client_is_refused_at_once(self) -> None:
        later = Verdict(Action.TEMPFAIL, reply=PolicyReply(421, "4.7.1", "Service unavailable"))
        conversation = self.start(says("acl", connect=later))
        self.assertEqual(conversation.output(), b"421 4.7.1 mail.example Service unavailable\r\n")
        self.assertTrue(conversation.ended())
        conversation = self.start(says("acl", connect=rejecting()))
        self.assertEqual(conversation.output(), b"554 5.7.1 mail.example go away\r\n")
        self.assertEqual(conversation.say("EHLO a.example")[:4], "503 ")
        self.assertEqual(conversation.say("QUIT")[:4], "221 ")

    def test_the_greeting_waits_for_the_answer_and_who_does_not_is_found_out(self) -> None:
        answer: Deferred[Verdict] = Deferred()
        helo = says("early", connect=answer, helo=lambda t: rejecting("early") if t.early_talker else Verdict())
        conversation = self.start(helo)
        self.assertEqual(conversation.say("EHLO client.example"), "")
        answer.callback(Verdict())
        self.assertEqual(
            conversation.output().split(b"\r\n")[:2], [b"220 mail.example ESMTP ready", b"550 5.7.1 early"]
        )

    def test_a_refused_name_must_be_given_anew(self) -> None:
        conversation = self.start(says("helo", helo=lambda t: rejecting("no") if t.peer.helo == "bad" else Verdict()))
        conversation.output()
        self.assertEqual(conversation.say("EHLO bad"), "550 5.7.1 no\r\n")
        self.assertEqual(conversation.say(MAIL)[:4], "503 ")
        self.assertEqual(conversation.say("HELO good.example")[:4], "250 ")
        self.assertEqual(conversation.say(MAIL)[:4], "250 ")

    @acceptance("S172")
    def test_a_refused_sender_gets_no_further_and_pipelined_commands_fall_in_line(self) -> None:
        conversation = self.start(says("mail", mail=lambda t: rejecting("no") if t.reverse_path else Verdict()))
        conversation.say("EHLO client.example")
        replies = conversation.say(MAIL, RCPT, "DATA", "MAIL FROM:<>", RCPT).splitlines()
        self.assertEqual(
            [line[:9] for line in replies], ["550 5.7.1", "503 5.5.1", "503 5.5.1", "250 2.1.0", "250 2.1.5"]
        )

    def test_a_recipient_is_refused_and_others_are_not(self) -> None:
        conversation = self.start(
            says("rcpt", rcpt=lambda t: rejecting("no") if t.recipient.local_part == "bob" else Verdict())
        )
        conversation.say("EHLO client.example")
        with captured_logs() as events:
            replies = conversation.say(MAIL, "RCPT TO:<bob@mail.example>", RCPT).splitlines()
        self.assertEqual([line[:3] for line in replies], ["250", "550", "250"])
        [refused] = [event for event in events if event.get("event") == "smtp.recipient_refused"]
        self.assertEqual((refused["policy"], refused["recipient"]), ("rcpt", "bob@mail.example"))

    def test_what_is_held_back_is_told_at_rcpt(self) -> None:
        conversation = self.start(says("helo", helo=rejecting("held")), sections={"helo": HELD})
        conversation.say("EHLO client.example")
        self.assertEqual([line[:3] for line in conversation.say(MAIL, RCPT).splitlines()], ["250", "550"])

    def test_data_is_refused_in_place_of_354(self) -> None:
        conversation = self.start(says("data", data=rejecting()))
        conversation.say("EHLO client.example")
        self.assertEqual(
            conversation.say(MAIL, RCPT, "DATA", MAIL).splitlines()[2:], ["550 5.7.1 go away", "250 2.1.0 Sender ok"]
        )
        self.assertEqual(self.server.intake.messages, [])

    def test_a_message_is_heard_and_refused_or_taken_with_its_prefix(self) -> None:
        tag = Verdict(Action.TAG, fields=(b"X-Tag: yes\r\n",))
        conversation = self.start(ListeningPolicy(), says("tagger", message=tag))
        conversation.say("EHLO client.example")
        self.assertIn("550 5.7.1 no spam", conversation.say(MAIL, RCPT, "DATA", "Subject: x", "", "spam", "."))
        self.assertIn("250 2.0.0", conversation.say(MAIL, RCPT, "DATA", "Subject: x", "", "ham", ".").splitlines()[-1])
        first, second = self.server.intake.messages
        self.assertEqual((first.aborted, first.committed), (True, False))
        self.assertEqual((second.committed, second.prefix), (True, b"X-Tag: yes\r\n"))

    def test_replies_wait_for_slow_policies_and_stay_in_order(self) -> None:
        answer: Deferred[Verdict] = Deferred()
        conversation = self.start(says("mail", mail=answer))
        conversation.say("EHLO client.example")
        self.assertEqual(conversation.say(MAIL, "NOOP"), "")
        answer.callback(rejecting())
        self.assertEqual(conversation.output(), b"550 5.7.1 go away\r\n250 2.0.0 Ok\r\n")

    def test_a_policy_that_never_answers_costs_its_budget(self) -> None:
        conversation = self.start(says("mail", mail=Deferred()), budget=5)
        conversation.say("EHLO client.example")
        self.assertEqual(conversation.say(MAIL), "")
        self.server.clock.advance(5)
        self.assertEqual(conversation.output(), b"250 2.1.0 Sender ok\r\n")

    def test_a_hint_is_told_with_250(self) -> None:
        verdict = Verdict(Action.REJECT, hint="better not")
        conversation = self.start(
            says("one", helo=verdict, mail=verdict, rcpt=verdict), sections={"one": PolicySection(action="log")}
        )
        conversation.output()
        self.assertIn("pleased to meet you; better not\r\n", conversation.say("HELO client.example"))
        self.assertEqual(conversation.say(MAIL), "250 2.1.0 Sender ok; better not\r\n")
        self.assertEqual(conversation.say(RCPT), "250 2.1.5 Recipient ok; better not\r\n")


class MemoryTests(PolicyTestCase):
    """What is forgotten, and what stays."""

    def test_rset_forgets_the_transaction_and_keeps_the_connection(self) -> None:
        last = says("last", rcpt=Verdict())
        conversation = self.start(says("a", connect=Verdict(), helo=Verdict(), mail=Verdict()), last)
        conversation.say("EHLO client.example")
        for commands in ((MAIL, RCPT), ("RSET", MAIL, RCPT), ("EHLO b.example", MAIL, RCPT)):
            conversation.say(*commands)
            stages = [applied.stage for applied in last.asked[-1].applied_verdicts]
            self.assertEqual(stages, [Stage.CONNECT, Stage.HELO, Stage.MAIL])

    def test_starttls_forgets_what_was_ruled_of_the_name(self) -> None:
        helo = says("helo", connect=Verdict(), helo=Verdict())
        conversation = self.start(helo)
        conversation.say("EHLO client.example", "STARTTLS")
        conversation.act("tls", "")
        conversation.say("EHLO client.example")
        self.assertEqual([applied.stage for applied in helo.asked[-1].applied_verdicts], [Stage.CONNECT])

    def test_who_logs_in_is_no_stranger_any_more(self) -> None:
        policy = says("one", connect=rejecting(), helo=rejecting(), mail=rejecting())
        settings = SmtpMxSettings(offer_login=True, plaintext_login=True)
        conversation = self.start(
            policy, settings=settings, ip="127.0.0.1", sections={"one": PolicySection(exempt=("authenticated",))}
        )
        conversation.say("EHLO client.example")
        self.assertEqual(conversation.say("AUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQBzZWNyZXQ=")[:3], "235")
        self.assertEqual([line[:3] for line in conversation.say(MAIL, RCPT).splitlines()], ["250", "250"])
        self.assertEqual([one.stage for one in policy.asked], [Stage.CONNECT, Stage.HELO])

    def test_on_the_submission_port_nobody_is_asked(self) -> None:
        policy = says("one", connect=rejecting())
        self.assertEqual(self.start(policy, settings=SubmissionSettings()).output()[:4], b"220 ")
        self.assertEqual(policy.asked, [])


class PatienceTests(PolicyTestCase):
    """Peers that err again and again."""

    @acceptance("S172")
    def test_errors_are_answered_slower_and_end_the_connection(self) -> None:
        conversation = self.start(settings=SmtpMxSettings(error_delay=2, error_delay_after=2, max_bad_commands=3))
        conversation.output()
        self.assertEqual(conversation.say("FOO", "FOO").count("500"), 2)
        self.assertEqual(conversation.say("FOO", "NOOP"), "")
        self.server.clock.advance(2)
        self.assertEqual([line[:3] for line in conversation.output().splitlines()], [b"500", b"250"])
        self.assertEqual([line[:3] for line in conversation.say("FOO").splitlines()], ["500", "421"])
        self.assertTrue(conversation.ended())

    @acceptance("S172")
    def test_an_address_may_not_connect_any_number_of_times_in_a_minute(self) -> None:
        self.start(settings=SmtpMxSettings(connections_per_minute=3))
        outputs = [self.server.connect("192.0.2.7").output()[:3] for _ in range(3)]
        self.assertEqual(outputs, [b"220", b"220", b"421"])
        self.assertEqual(self.server.connect("192.0.2.8").output()[:3], b"220")
        self.server.clock.advance(60)
        self.assertEqual(self.server.connect("192.0.2.7").output()[:3], b"220")

    @acceptance("S030")
    def test_a_sender_without_a_domain_is_completed_for_our_own_alone(self) -> None:
        conversation = self.start(settings=SmtpMxSettings(sender_domain="home.example"))
        conversation.say("EHLO client.example")
        self.assertEqual(conversation.say("MAIL FROM:<blog.example.org>"), "553 5.5.4 Domain name required\r\n")
        near = self.server.connect("127.0.0.1")
        near.say("EHLO client.example")
        near.say("MAIL FROM:blog.example.org", RCPT, "DATA", "x", ".")
        [message] = self.server.intake.committed
        self.assertEqual(str(message.envelope.reverse_path), "blog.example.org@home.example")


class Refusals:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Refused] = []

    def refused(self, refusal: Refused) -> None:
        """One more."""
        self.told.append(refusal)


class RefusalTests(PolicyTestCase):
    """What the record is told."""

    def begin(self, *policies: Any, settings: Any = None) -> WireConversation:
        record: Any = Refusals()
        self.record = record
        chain = chain_of(*policies, sections={one.name: HELD for one in policies})
        self.server = Server(settings, policies=chain, refusals=record)
        conversation = self.server.connect("192.0.2.7")
        conversation.say("EHLO client.example")
        return conversation

    def test_the_story_of_one_recipient_has_nothing_of_others(self) -> None:
        def ask(transaction: MailTransaction) -> Verdict:
            assert transaction.recipient is not None
            return rejecting("no") if transaction.recipient.local_part == "bob" else Verdict(reason="fine")

        conversation = self.begin(says("mail", mail=Verdict(reason="seen")), says("rcpt", rcpt=ask))
        conversation.say(MAIL, RCPT, "RCPT TO:<bob@mail.example>")
        (story,) = self.record.told
        self.assertEqual([str(one) for one in story.recipients], ["bob@mail.example"])
        self.assertEqual(
            [(one.policy, one.verdict.reason) for one in story.applied_verdicts], [("mail", "seen"), ("rcpt", "no")]
        )

    def test_whoever_passes_a_limit_is_told_of(self) -> None:
        for settings, lines, words in (
            (SmtpMxSettings(max_bad_commands=1), ["X", "Y"], "Too many errors"),
            (SmtpMxSettings(max_idle_commands=2), ["NOOP", "NOOP"], "Too many commands that do nothing"),
            (SmtpMxSettings(max_transactions=1), [MAIL, "RSET", MAIL], "Too many messages on one connection"),
        ):
            self.begin(settings=settings).say(*lines)
            story = self.record.told[-1]
            self.assertEqual((story.what, story.reply), ("cut_off", f"421 4.7.0 mail.example {words}"))

    def test_an_objection_set_aside_by_a_recipients_rule_is_told_with_the_message(self) -> None:
        conversation = self.begin(says("one", mail=rejecting("no")))
        self.server.resolver.overrides["alice@mail.example"] = RecipientOverrides(actions={"one": "off"})
        replies = conversation.say(MAIL, RCPT, "RCPT TO:<bob@mail.example>", "DATA", "Subject: x", "", "x", ".")
        self.assertEqual([line[:3] for line in replies.splitlines()], ["250", "250", "550", "354", "250"])
        (message,) = self.server.intake.committed
        self.assertEqual(
            [(one.policy, one.effect, one.overruled_by) for one in message.applied_verdicts],
            [("one", Effect.OVERRULED, "alice@mail.example wants one=off")],
        )


class ProxyTests(PolicyTestCase):
    """The PROXY protocol in front of the conversation."""

    NETWORKS = (ip_network("127.0.0.0/8"),)

    def behind(self, **options: Any) -> WireConversation:
        self.policy = says("one", connect=Verdict())
        settings = SmtpMxSettings(proxy_protocol=self.NETWORKS, **options)
        return self.start(self.policy, settings=settings, ip="127.0.0.1")

    def test_everything_is_about_the_address_the_proxy_tells(self) -> None:
        conversation = self.behind()
        self.assertEqual(conversation.output(), b"")
        conversation.receive(b"PROXY TCP4 203.0.113.9 192.0.2.1 47")
        conversation.receive(b"11 25\r\nEHLO client.example\r\n")
        output = conversation.output()
        self.assertEqual(output[:4], b"220 ")
        self.assertIn(b"[203.0.113.9]", output)
        peer = self.policy.asked[0].peer
        self.assertEqual((peer.ip, peer.port, peer.trusted), ("203.0.113.9", 4711, False))

    def test_a_proxy_that_speaks_for_itself_is_itself(self) -> None:
        conversation = self.behind()
        conversation.receive(b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x20, 0, 0))
        self.assertEqual(conversation.output()[:4], b"220 ")
        self.assertEqual(self.policy.asked, [])

    def test_from_elsewhere_a_header_is_no_header(self) -> None:
        self.behind()
        stranger = self.server.connect("192.0.2.7")
        self.assertEqual(stranger.output()[:4], b"220 ")
        self.assertEqual(stranger.say("PROXY TCP4 127.0.0.1 192.0.2.1 1 25")[:4], "500 ")
