"""Senders whose own hosts are asked about them."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.config.sections.sender_callout import SenderCalloutSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Effect,
    IPolicy,
    IRecipientProbe,
    ProbeAnswer,
    ProbeResult,
    Stage,
    Verdict,
)
from pymailsuite.policy.sender_callout import SenderCalloutPolicy
from pymailsuite.relay.probing import RecipientProbe
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.support.policies import at, rejecting
from tests.support.smtp_sink import CLOSE, SILENCE, MemoryInternet, Script, SmtpSink

SAM, SUE = Address("sam", "peer.example"), Address("sue", "peer.example")


@implementer(IRecipientProbe)
class FakeProbe:
    def __init__(self) -> None:
        self.asked: list[Address] = []
        self.answers: list[ProbeAnswer | Deferred[ProbeAnswer]] = []

    def probe(self, address: Address, hosts: int) -> Deferred[ProbeAnswer]:
        """The next answer."""
        self.asked.append(address)
        answer = self.answers.pop(0) if self.answers else ProbeAnswer(ProbeResult.ACCEPTED, "250 ok", "mx")
        return answer if isinstance(answer, Deferred) else succeed(answer)


REFUSED = ProbeAnswer(ProbeResult.REFUSED, "550 no such user", "mx.peer.example")


class SenderCalloutPolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.probe = FakeProbe()
        self.policy = self.make()

    def make(self, **options: object) -> SenderCalloutPolicy:
        return SenderCalloutPolicy(SenderCalloutSettings(**options), self.probe, ["example.org"], self.clock)

    def asked(self, sender: Address | None = SAM, **more: object) -> Deferred[Verdict]:
        return self.policy.data(at(Stage.DATA, reverse_path=sender, **more))

    def verdict(self, sender: Address | None = SAM, **more: object) -> Verdict:
        return self.successResultOf(self.asked(sender, **more))

    @acceptance("S035")
    def test_a_sender_refused_by_its_own_host_is_objected_to_and_told_why(self) -> None:
        verifyObject(IPolicy, self.policy)
        self.probe.answers.append(REFUSED)
        verdict = self.verdict()
        assert verdict.reply is not None
        self.assertEqual((verdict.action, verdict.reply.enhanced_code), (Action.REJECT, "5.1.8"))
        self.assertEqual(verdict.reply.text, "Sender is refused by its own host mx.peer.example: 550 no such user")

    @acceptance("S035")
    def test_it_is_off_unless_asked_for(self) -> None:
        self.assertEqual(SenderCalloutSettings().action, "off")

    @acceptance("S035")
    def test_answers_are_remembered_for_their_time(self) -> None:
        self.probe.answers += [REFUSED, ProbeAnswer(ProbeResult.UNKNOWN, "451")]
        for seconds, actions in ((0, Action.REJECT), (7199, Action.REJECT), (2, Action.PASS), (899, Action.PASS)):
            self.clock.advance(seconds)
            self.assertEqual(self.verdict().action, actions)
        self.assertEqual(len(self.probe.asked), 2)
        self.clock.advance(2)
        self.verdict()
        self.clock.advance(86_000)
        self.verdict()
        self.assertEqual(len(self.probe.asked), 3)

    def test_what_is_remembered_is_bounded(self) -> None:
        self.policy = self.make(cache_entries=1)
        for sender in (SAM, SUE, SAM):
            self.verdict(sender)
        self.assertEqual(len(self.probe.asked), 3)

    def test_made_up_senders_of_one_domain_make_nobody_else_be_forgotten_or_passed_over(self) -> None:
        self.policy = self.make(cache_entries=3, domain_entries=2, concurrency=3, domain_concurrency=1)
        self.verdict(SAM)
        for number in range(5):
            self.verdict(Address(f"{number}", "flood.example"))
        self.assertEqual(self.verdict(SAM).action, Action.PASS)
        self.assertEqual(self.probe.asked.count(SAM), 1)
        self.probe.answers += [Deferred(), REFUSED]
        waiting = self.asked(Address("slow", "flood.example"))
        self.assertIn("too many questions", self.verdict(Address("other", "flood.example")).reason)
        self.assertEqual(self.verdict(SUE).action, Action.REJECT)
        self.assertNoResult(waiting)

    def test_one_domain_in_two_forms_is_asked_about_once(self) -> None:
        for domain in ("bücher.example", "xn--bcher-kva.example", "BÜCHER.example"):
            self.verdict(Address("sam", domain))
        self.assertEqual(len(self.probe.asked), 1)

    @acceptance("S035")
    def test_nobody_is_asked_who_need_not_be(self) -> None:
        for sender in (None, Address("ann", "example.org"), Address("sam", "[192.0.2.1]")):
            self.assertEqual(self.verdict(sender).action, Action.PASS)
        for effect in (Effect.REJECT, Effect.TEMPFAIL, Effect.ACCEPT):
            applied = AppliedVerdict("other", Stage.RCPT, Verdict(), effect)
            self.verdict(applied_verdicts=(applied,))
        self.verdict(verdicts={"greylist": rejecting()})
        self.policy = SenderCalloutPolicy(SenderCalloutSettings(), None, [], self.clock)
        self.verdict()
        self.assertEqual(self.probe.asked, [])

    def test_those_who_ask_the_same_share_the_answer(self) -> None:
        answer: Deferred[ProbeAnswer] = Deferred()
        self.probe.answers.append(answer)
        first, second = self.asked(), self.asked()
        first.addErrback(lambda failure: None).cancel()
        answer.callback(REFUSED)
        self.assertEqual(self.successResultOf(second).action, Action.REJECT)
        self.assertEqual(self.probe.asked, [SAM])

    def test_what_breaks_when_nobody_waits_any_more_is_in_the_log(self) -> None:
        answer: Deferred[ProbeAnswer] = Deferred()
        self.probe.answers.append(answer)
        self.asked().addErrback(lambda failure: None).cancel()
        answer.errback(KeyError("x"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_there_is_a_limit_to_questions_and_to_time(self) -> None:
        self.policy = self.make(concurrency=1)
        self.probe.answers.append(Deferred())
        first = self.asked()
        self.assertEqual(self.verdict(SUE).action, Action.PASS)
        self.clock.advance(8.1)
        self.assertEqual(self.successResultOf(first).action, Action.PASS)
        self.verdict(SUE)
        self.assertEqual(self.probe.asked, [SAM, SUE])


class RecipientProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.internet = MemoryInternet()
        resolver = FakeResolver(
            mx={"peer.example": [(10, "mx1.peer.example"), (20, "mx2.peer.example")], "null.example": [(0, "")]},
            a={"mx1.peer.example": ["192.0.2.1"], "mx2.peer.example": ["192.0.2.2"]},
        )
        settings = RelaySettings(relayhost="smart.example")
        self.probe = RecipientProbe(settings, "mx.example.org", resolver, self.internet, random.Random(1))

    def host(self, ip: str = "192.0.2.1", script: Script | None = None) -> SmtpSink:
        sink = SmtpSink(self.internet, script)
        self.internet.listen(ip, 25, sink)
        return sink

    def asked(self, address: Address = SAM) -> Deferred[ProbeAnswer]:
        answer = self.probe.probe(address, 2)
        self.internet.pass_time(1)
        return answer

    @acceptance("S035")
    def test_it_asks_as_a_bounce_would_and_sends_nothing(self) -> None:
        verifyObject(IRecipientProbe, self.probe)
        sink = self.host()
        answer = self.successResultOf(self.asked())
        self.assertEqual((answer.result, answer.host), (ProbeResult.ACCEPTED, "mx1.peer.example"))
        self.assertEqual(sink.commands, ["EHLO mx.example.org", "MAIL FROM:<>", "RCPT TO:<sam@peer.example>", "QUIT"])
        self.assertEqual(sink.messages, [])

    @acceptance("S035")
    def test_nobody_is_asked_at_an_address_that_mail_is_not_sent_to(self) -> None:
        resolver = FakeResolver(mx={"loop.example": [(10, "lo.example")]}, a={"lo.example": ["127.0.0.1"]})
        self.probe = RecipientProbe(RelaySettings(), "mx.example.org", resolver, self.internet, random.Random(1))
        for domain in ("loop.example", "lo.example"):
            self.assertEqual(self.successResultOf(self.asked(Address("sam", domain))).result, ProbeResult.UNKNOWN)
        self.assertEqual(self.internet.attempts, [])

    def test_a_host_that_answers_to_nothing_costs_no_more_than_the_time_there_is(self) -> None:
        self.internet.drop_packets_to("192.0.2.1")
        policy = SenderCalloutPolicy(SenderCalloutSettings(), self.probe, ["example.org"], self.internet)
        asked = policy.data(at(Stage.DATA, reverse_path=SAM))
        self.internet.pass_time(9)
        self.assertEqual(self.successResultOf(asked).action, Action.PASS)

    def test_only_a_refusal_of_the_recipient_is_one(self) -> None:
        for script, result in (
            ({"RCPT": "550 5.1.1 no such user"}, ProbeResult.REFUSED),
            ({"RCPT": "451 4.7.1 greylisted"}, ProbeResult.UNKNOWN),
            ({"RCPT": "550 5.7.1 you are on a list"}, ProbeResult.UNKNOWN),
            ({"MAIL": "550 5.7.1 no bounces here"}, ProbeResult.UNKNOWN),
            ({"MAIL": "530 5.7.0 TLS first"}, ProbeResult.UNKNOWN),
            ({"GREETING": "554 5.7.1 no"}, ProbeResult.UNKNOWN),
            ({"GREETING": "nonsense"}, ProbeResult.UNKNOWN),
            ({"EHLO": CLOSE}, ProbeResult.UNKNOWN),
        ):
            self.setUp()
            self.host(script=script)
            self.assertEqual(self.successResultOf(self.asked()).result, result, script)

    def test_the_next_host_is_asked_if_one_has_nothing_to_say(self) -> None:
        self.host("192.0.2.2", {"RCPT": "550 5.1.1 no"})
        self.assertEqual(self.successResultOf(self.asked()).result, ProbeResult.REFUSED)
        self.assertEqual([ip for ip, _ in self.internet.attempts], ["192.0.2.1", "192.0.2.2"])

    def test_a_domain_without_hosts_has_nothing_to_say(self) -> None:
        for domain in ("null.example", "nowhere.example", "x" * 70):
            self.assertEqual(self.successResultOf(self.asked(Address("sam", domain))).result, ProbeResult.UNKNOWN)

    def test_a_host_that_says_nothing_is_left_when_the_question_is_called_off(self) -> None:
        sink = self.host(script={"EHLO": SILENCE})
        answer = self.asked()
        self.assertNoResult(answer)
        answer.addErrback(lambda failure: None).cancel()
        self.internet.pass_time(1)
        self.assertEqual(sink.open, [])
