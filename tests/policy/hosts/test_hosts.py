"""The checks of client and sender, each on a resolver of made-up answers."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.hosts import (
    DynamicNamesSettings,
    EarlyTalkersSettings,
    HeloSettings,
    SenderDomainSettings,
)
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces.policy import Action, IPolicy, IPolicyFactory, Stage, Verdict
from pymailsuite.policy.hosts.dynamic_names import DynamicNamesPolicy, holds_address
from pymailsuite.policy.hosts.early_talkers import EarlyTalkersPolicy
from pymailsuite.policy.hosts.helo import HeloPolicy, form_of
from pymailsuite.policy.hosts.iprev import IprevPolicy
from pymailsuite.policy.hosts.sender_domain import SenderDomainPolicy
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.support.policies import STRANGER, at, chain_of

RESOLVER = FakeResolver(
    mx={
        "mx.example": [(10, "mail.mx.example")],
        "null.example": [(0, "")],
        "loop.example": [(10, "lo.example"), (20, "lo6.example")],
        "half-loop.example": [(10, "lo.example"), (20, "a.example")],
        "half-broken.example": [(10, "lo.example"), (20, "broken.example")],
        "two-faced.example": [(10, "two.example")],
        "named-loop.example": [(10, "localhost")],
        "written-loop.example": [(10, "127.0.0.1")],
        "written.example": [(10, "192.0.2.1")],
    },
    a={
        "a.example": ["192.0.2.1"],
        "lo.example": ["127.0.0.1", "0.0.0.0"],
        "two.example": ["127.0.0.1"],
        "good.example": ["192.0.2.7"],
        "other.example": ["192.0.2.99"],
        "both.example": ["192.0.2.9"],
    },
    aaaa={
        "six.example": ["2001:db8::1"],
        "empty.null.example": [],
        "lo6.example": ["::ffff:127.0.0.1"],
        "two.example": ["2001:db8::2"],
    },
    txt={"nothing.example": [b"here"]},
    ptr={
        "192.0.2.7": ["good.example"],
        "192.0.2.8": ["other.example"],
        "192.0.2.9": ["other.example", "both.example"],
        "2001:db8::1": ["six.example"],
        "192.0.2.10": ["broken.example"],
    },
    failing=["broken.example"],
)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST.localdomain.", "localhost"),
        ("hostnameonly", "unqualified"),
        ("192.168.1.1", "bare_address"),
        ("2001:db8::1", "bare_address"),
        ("[192.0.2.1", "bare_address"),
        ("[192.0.2.999]", "bare_address"),
        ("Mail.Example", "own_name"),
        ("[192.0.2.1]", None),
        ("[IPv6:2001:db8::1]", None),
        ("host.client.example", None),
        ("host_1.client.example", None),
    ],
)
def test_the_form_of_a_name(name: str, form: str | None) -> None:
    assert form_of(name, {"mail.example"}) == form


class HostsTestCase(SynchronousTestCase):
    """Asks one policy."""

    def ask(self, policy: Any, stage: Stage, **facts: Any) -> Verdict:
        return self.successResultOf(getattr(policy, stage.value)(at(stage, **facts)))


class HeloTests(HostsTestCase):
    """helo."""

    def test_our_policies_are_found_as_all_others_are(self) -> None:
        found = {factory.name: factory for factory in getPlugins(IPolicyFactory)}
        for name in ("helo", "sender_domain", "iprev", "dynamic_names", "early_talkers"):
            verifyObject(IPolicyFactory, found[name])

    @acceptance("S010", "S011", "S012")
    def test_bad_forms_are_refused_with_550(self) -> None:
        chain = chain_of(HeloPolicy(HeloSettings(), ()), sections={"helo": HeloSettings()})
        for name, text in (("localhost", "localhost"), ("alone", "fully qualified"), ("192.168.1.1", "brackets")):
            helo = at(Stage.HELO, peer=evolve(STRANGER, helo=name))
            refusal = self.successResultOf(chain.check(helo)).refusal
            self.assertEqual((refusal.code, refusal.enhanced_code), (550, "5.7.1"))
            self.assertIn(text, refusal.text)
        literal = at(Stage.HELO, peer=evolve(STRANGER, helo="[192.0.2.1]"))
        self.assertIsNone(self.successResultOf(chain.check(literal)).refusal)

    @acceptance("S014")
    def test_softened_it_is_a_hint_and_a_score(self) -> None:
        section = HeloSettings(action="score", score=1.5)
        chain = chain_of(HeloPolicy(section, ()), sections={"helo": section})
        decision = self.successResultOf(chain.check(at(Stage.HELO, peer=evolve(STRANGER, helo="alone"))))
        self.assertEqual(
            (decision.refusal, decision.hints, decision.score), (None, ("domain name should be qualified",), 1.5)
        )

    def test_forms_that_are_not_to_be_refused_are_not(self) -> None:
        policy = HeloPolicy(HeloSettings(refuse=("localhost",)), ("mail.example",))
        verifyObject(IPolicy, policy)
        verdict = self.ask(policy, Stage.HELO, peer=evolve(STRANGER, helo="mail.example"))
        self.assertEqual(verdict.action, Action.PASS)


class SenderDomainTests(HostsTestCase):
    """sender_domain."""

    def refusal(self, sender: str | None, clock: Any = None, resolver: Any = RESOLVER, **options: Any) -> str:
        policy = SenderDomainPolicy(SenderDomainSettings(**options), resolver, ("ours.example",), 9.0, clock or Clock())
        address = None if sender is None else Address("user", sender)
        reply = self.ask(policy, Stage.MAIL, reverse_path=address).reply
        return "" if reply is None else f"{reply.code} {reply.enhanced_code}"

    @acceptance("S032", "S033", "S034")
    def test_senders_that_cannot_be_answered_are_refused(self) -> None:
        for domain, refusal in (
            ("mx.example", ""),
            ("a.example", ""),
            ("six.example", ""),
            ("ours.example", ""),
            ("192.168.0.18", "550 5.1.8"),
            ("[192.0.2.1]", "550 5.1.8"),
            ("localhost", "550 5.1.8"),
            ("myfakedomain.not", "550 5.1.8"),
            ("nothing.example", "550 5.1.8"),
            ("null.example", "550 5.7.27"),
            ("broken.example", "451 4.1.8"),
            ("lo.example", "550 5.1.8"),
            ("loop.example", "550 5.1.8"),
            ("half-loop.example", ""),
            ("half-broken.example", ""),
            ("two-faced.example", ""),
            ("named-loop.example", "550 5.1.8"),
            ("written-loop.example", "550 5.1.8"),
            ("written.example", ""),
        ):
            self.assertEqual(self.refusal(domain), refusal, domain)

    @acceptance("S031")
    def test_the_null_sender_is_not_asked_about(self) -> None:
        self.assertEqual(self.refusal(None), "")

    @acceptance("S032")
    def test_literals_and_null_mx_have_settings_of_their_own(self) -> None:
        self.assertEqual(self.refusal("[192.0.2.1]", allow_address_literals=True), "")
        for literal in ("[127.0.0.1]", "[IPv6:::ffff:127.0.0.1]", "[0x7f.1]"):
            self.assertEqual(self.refusal(literal, allow_address_literals=True), "550 5.1.8", literal)
        self.assertEqual(self.refusal("null.example", allow_null_mx=True), "")

    @acceptance("S034")
    def test_a_name_server_that_does_not_answer_is_a_temporary_failure(self) -> None:
        class Silent:
            def mx(self, name: str) -> Any:
                return Deferred()

        clock = Clock()
        resolver: Any = Silent()
        policy = SenderDomainPolicy(SenderDomainSettings(), resolver, (), 9.0, clock)
        answer = policy.mail(at(Stage.MAIL))
        clock.advance(9)
        self.assertEqual(self.successResultOf(answer).reply.code, 451)


class IprevTests(HostsTestCase):
    """iprev and dynamic_names."""

    @acceptance("S152")
    def test_the_name_must_have_the_address(self) -> None:
        policy = IprevPolicy(RESOLVER, 9.0, Clock())
        for ip, result, action in (
            ("192.0.2.7", "pass", Action.PASS),
            ("2001:db8::1", "pass", Action.PASS),
            ("192.0.2.9", "pass", Action.PASS),
            ("192.0.2.8", "fail", Action.REJECT),
            ("192.0.2.10", "temperror", Action.PASS),
            ("192.0.2.200", "permerror", Action.REJECT),
        ):
            verdict = self.ask(policy, Stage.CONNECT, peer=evolve(STRANGER, ip=ip))
            [found] = verdict.results
            self.assertEqual((found.result, verdict.action), (result, action), ip)
            self.assertEqual(found.properties, (("policy.iprev", ip),))
            if verdict.reply is not None:
                self.assertEqual(verdict.reply.enhanced_code, "5.7.25")

    @acceptance("S151")
    def test_dynamic_names_are_told_from_those_of_servers(self) -> None:
        policy = DynamicNamesPolicy(DynamicNamesSettings(patterns=(r"\.line\.",)), RESOLVER)
        for name, dynamic in (
            ("dyn-192-0-2-7.provider.example", True),
            ("192.0.2.7.provider.example", True),
            ("7.2.0.192.adsl.provider.example", True),
            ("c0000207.provider.example", True),
            ("p192000002007.provider.example", True),
            ("x.line.provider.example", True),
            ("pool17.provider.example", True),
            ("static-192-0-2-7.provider.example", False),
            ("mail.dyndomain.example", False),
            ("mx1.dynamic.example", False),
            ("good.example", False),
        ):
            self.assertEqual(bool(policy.looks_dynamic(name, "192.0.2.7")), dynamic, name)
        self.assertFalse(holds_address("7.2.0.192.x.example", "2001:db8::1"))

    @acceptance("S151")
    def test_the_refusal_explains_itself_and_leads_to_the_page(self) -> None:
        resolver = FakeResolver(ptr={"192.0.2.7": ["dyn-192-0-2-7.provider.example"]})
        section = DynamicNamesSettings(action="reject", at_once=True)
        policies = IprevPolicy(resolver, 9.0, Clock()), DynamicNamesPolicy(section, resolver)
        for chain in (
            chain_of(*policies, sections={"dynamic_names": section}, help_url="https://help.example"),
            chain_of(policies[1], sections={"dynamic_names": section}, help_url="https://help.example"),
        ):
            decision = self.successResultOf(chain.check(at(Stage.CONNECT)))
            refused = next(r for r in decision.applied_verdicts if r.policy == "dynamic_names")
            self.assertEqual(refused.verdict.action, Action.REJECT)
            self.assertIn("see https://help.example", decision.refusal.text)


class EarlyTalkerTests(HostsTestCase):
    """early_talkers."""

    def test_the_greeting_waits_and_the_impatient_are_refused_at_helo(self) -> None:
        clock = Clock()
        policy = EarlyTalkersPolicy(EarlyTalkersSettings(greet_delay=3), clock)
        waiting = policy.connect(at(Stage.CONNECT))
        self.assertNoResult(waiting)
        clock.advance(3)
        self.successResultOf(waiting)
        self.assertEqual(self.ask(policy, Stage.HELO, early_talker=True).reply.code, 554)
        self.assertEqual(self.ask(policy, Stage.HELO).action, Action.PASS)
        off = EarlyTalkersPolicy(EarlyTalkersSettings(), clock)
        self.ask(off, Stage.CONNECT)
        self.assertEqual(self.ask(off, Stage.HELO, early_talker=True).action, Action.PASS)
