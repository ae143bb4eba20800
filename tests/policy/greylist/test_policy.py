"""The policy ``greylist`` on a store, with a clock of the test's own."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.greylist import CorrespondentSettings, GreylistSettings
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Effect,
    IPolicy,
    MailTransaction,
    MethodResult,
    Stage,
    Verdict,
)
from pymailsuite.policy.greylist.correspondents import CorrespondentsPolicy
from pymailsuite.policy.greylist.policy import GreylistPolicy
from pymailsuite.values import Address, Peer
from tests.acceptance import acceptance
from tests.support.policies import at
from tests.support.stores import make_store

NOW = 1_770_000_000.0
USER = Address("user", "example.test")
OTHER = Address("other", "example.test")
DELAY_S = 120


def applied(
    policy: str, stage: Stage, verdict: Verdict, effect: Effect = Effect.NONE, score: float = 0.0
) -> AppliedVerdict:
    """One as the chain would have made it."""
    return AppliedVerdict(policy, stage, verdict, effect, score)


def found(policy: str, **evidence: Any) -> Verdict:
    """A verdict that rests on something."""
    return Verdict(evidence=evidence)


class GreylistPolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.addCleanup(self.store.close)

    def policy(self, **options: Any) -> GreylistPolicy:
        settings = GreylistSettings(**{"action": "reject", "when": "always", **options})
        policy = GreylistPolicy(settings, self.store.greylist, self.store.correspondents)
        verifyObject(IPolicy, policy)
        return policy

    def ask(
        self, policy: GreylistPolicy | None = None, stage: Stage = Stage.RCPT, ip: str = "", **known: Any
    ) -> Verdict:
        facts = {"recipient": USER} if stage is Stage.RCPT else {"recipients": (USER, OTHER)}
        transaction = at(stage, **{**facts, **known})
        if ip:
            transaction = evolve(transaction, peer=evolve(transaction.peer, ip=ip))
        return self.successResultOf(getattr(policy or self.policy(), stage.value)(transaction))

    def assert_wait(self, verdict: Verdict, seconds: int) -> None:
        self.assertEqual(verdict.action, Action.TEMPFAIL, verdict)
        assert verdict.reply is not None
        self.assertEqual(
            (verdict.reply.code, verdict.reply.enhanced_code, verdict.reply.text),
            (451, "4.7.1", f"Greylisted, try again in {seconds} s"),
        )

    def count(self) -> int:
        return len(self.successResultOf(self.store.greylist.entries(None, 100)))

    @acceptance("S170")
    def test_a_new_triplet_waits_and_a_retry_after_the_delay_passes_and_is_remembered(self) -> None:
        self.assert_wait(self.ask(), DELAY_S)
        self.clock.advance(30.5)
        self.assert_wait(self.ask(), 90)
        self.clock.advance(DELAY_S - 30.5)
        self.assertEqual(self.ask().evidence["state"], "returned")
        self.clock.advance(30 * 86400)
        self.assertEqual(self.ask().evidence["state"], "known")
        self.clock.advance(30 * 86400)
        self.assertEqual(self.ask().evidence["state"], "known", "its time begins anew with each message")
        self.clock.advance(37 * 86400)
        self.assert_wait(self.ask(), DELAY_S)

    @acceptance("S170")
    def test_who_comes_back_too_late_is_new(self) -> None:
        self.ask()
        self.clock.advance(2 * 86400)
        self.assert_wait(self.ask(), DELAY_S)

    @acceptance("S171")
    def test_another_client_sender_or_recipient_is_a_new_triplet(self) -> None:
        self.ask(ip="192.0.2.7")
        self.clock.advance(DELAY_S)
        self.assert_wait(self.ask(ip="198.51.100.7"), DELAY_S)
        self.assert_wait(self.ask(ip="192.0.2.7", reverse_path=Address("b", "client.example")), DELAY_S)
        self.assert_wait(self.ask(ip="192.0.2.7", recipient=OTHER), DELAY_S)
        self.assertEqual(self.count(), 4)
        self.assertEqual(
            self.ask(ip="192.0.2.250").evidence["state"], "returned", "the same network is the same client"
        )

    @acceptance("S170")
    def test_a_client_that_has_come_back_often_is_asked_no_more(self) -> None:
        for number in range(5):
            sender = Address("x" * (number + 1), "client.example")
            self.assert_wait(self.ask(reverse_path=sender), DELAY_S)
            self.clock.advance(DELAY_S)
            self.ask(reverse_path=sender)
        self.assertEqual(self.ask(reverse_path=Address("new", "client.example")).evidence["state"], "allowed")
        self.assertEqual(self.count(), 5)
        never = self.policy(auto_allow_after=0)
        self.assert_wait(self.ask(never, reverse_path=Address("new", "client.example")), DELAY_S)

    @acceptance("S170")
    def test_a_provider_may_come_back_from_any_of_its_networks(self) -> None:
        spf = {"spf": found("spf", result="pass", domain="mail.big.example")}
        self.ask(ip="192.0.2.7", verdicts=spf)
        self.clock.advance(DELAY_S)
        verdict = self.ask(ip="198.51.100.7", verdicts=spf)
        self.assertEqual((verdict.evidence["state"], verdict.evidence["client"]), ("returned", "spf:big.example"))
        iprev = {"iprev": found("iprev", result="pass", names=["out1.big.example"])}
        self.ask(ip="192.0.2.7", verdicts=iprev, recipient=OTHER)
        self.clock.advance(DELAY_S)
        other = {"iprev": found("iprev", result="pass", names=["out2.big.example"])}
        self.assertEqual(
            self.ask(ip="203.0.113.7", verdicts=other, recipient=OTHER).evidence["client"], "rdns:big.example"
        )

    def test_names_that_look_dynamic_and_spf_that_does_not_pass_make_no_provider(self) -> None:
        verdicts = {
            "iprev": found("iprev", result="pass", names=["dyn-7.big.example"]),
            "dynamic_names": Verdict(Action.REJECT),
            "spf": found("spf", result="softfail", domain="big.example"),
        }
        self.assertEqual(self.ask(verdicts=verdicts).evidence["client"], "192.0.2.0/24")

    def test_a_client_whose_spf_could_not_be_looked_up_the_second_time_is_the_same(self) -> None:
        verdicts = {
            "spf": found("spf", result="pass", domain="big.example"),
            "iprev": found("iprev", result="pass", names=["out.big.example"]),
        }
        self.ask(self.policy(pools=("rdns",)), verdicts=verdicts)
        self.clock.advance(DELAY_S)
        self.assertEqual(self.ask(verdicts=verdicts).evidence["state"], "returned")

    @acceptance("S170", "S167")
    def test_who_is_vouched_for_is_neither_asked_nor_remembered(self) -> None:
        allowed = applied("lists", Stage.CONNECT, Verdict(Action.ACCEPT), Effect.ACCEPT)
        self.assertEqual(self.ask(applied_verdicts=(allowed,)), Verdict())
        self.assertEqual(self.ask(verdicts={"lists": Verdict(Action.ACCEPT)}), Verdict())
        good = Verdict(results=(MethodResult("dnswl", "pass"),))
        self.assertEqual(self.ask(applied_verdicts=(applied("dnsbl", Stage.CONNECT, good),)), Verdict())
        self.assertEqual(self.count(), 0)

    def test_what_is_refused_anyway_is_not_remembered(self) -> None:
        refused = applied("dnsbl", Stage.CONNECT, Verdict(Action.REJECT), Effect.REJECT)
        self.assertEqual(self.ask(applied_verdicts=(refused,)), Verdict())
        self.assertEqual(self.count(), 0)

    def test_only_suspicious_clients_are_asked_unless_all_are(self) -> None:
        policy = self.policy(when="suspicious")
        fine = {
            "iprev": found("iprev", result="pass", names=["mx.client.example"]),
            "dynamic_names": Verdict(),
            "spf": found("spf", result="pass", domain="client.example"),
        }
        self.assertEqual(self.ask(policy, verdicts=fine), Verdict())
        self.assertEqual(self.ask(policy), Verdict(), "checks that are off have no suspicion")
        for name, verdict, why in (
            ("iprev", found("iprev", result="permerror", names=[]), "no_name"),
            ("dynamic_names", Verdict(Action.REJECT), "dynamic_name"),
            ("spf", found("spf", result="none", domain="client.example"), "no_spf_pass"),
        ):
            self.assertEqual(self.ask(policy, verdicts={**fine, name: verdict}).evidence["why"], [why])
        listed = applied("dnsbl", Stage.CONNECT, Verdict(Action.SCORE), Effect.SCORE, 1.5)
        self.assertEqual(self.ask(policy, verdicts=fine, applied_verdicts=(listed,)).evidence["why"], ["score"])
        for name in ("iprev", "spf"):
            failed = {**fine, name: found(name, result="temperror")}
            self.assertEqual(self.ask(policy, verdicts=failed), Verdict(), "a failed look-up is no suspicion")

    @acceptance("S170")
    def test_the_null_sender_is_asked_at_data_so_that_call_outs_get_their_answer(self) -> None:
        self.assertEqual(self.ask(reverse_path=None), Verdict())
        self.assert_wait(self.ask(stage=Stage.DATA, reverse_path=None, recipients=(USER,)), DELAY_S)
        self.assertEqual(self.ask(stage=Stage.DATA), Verdict(), "others have been asked at RCPT")

    def test_at_data_all_recipients_must_be_known(self) -> None:
        policy = self.policy(at="data")
        self.assertEqual(self.ask(policy), Verdict())
        self.ask(policy, Stage.DATA, recipients=(USER,))
        self.clock.advance(DELAY_S)
        self.assert_wait(self.ask(policy, Stage.DATA), DELAY_S)
        self.clock.advance(DELAY_S)
        self.assertEqual(self.ask(policy, Stage.DATA).action, Action.PASS)

    @acceptance("S170")
    def test_somebody_whom_the_recipient_has_written_to_is_let_in(self) -> None:
        heard = CorrespondentsPolicy(CorrespondentSettings(), self.store.correspondents)
        verifyObject(IPolicy, heard)
        for login, other in (("user@example.test", "a+x@client.example"), ("", "b@client.example")):
            local_part, _, domain = other.partition("@")
            peer = Peer("192.0.2.9", login=login)
            said = MailTransaction(
                Stage.DATA, peer, "m", reverse_path=USER, recipients=(Address(local_part, domain),), submission=True
            )
            self.assertEqual(self.successResultOf(heard.data(said)), Verdict())
        self.assertEqual(self.ask().action, Action.PASS)
        self.assertEqual(self.count(), 0)
        self.assert_wait(self.ask(recipient=OTHER), DELAY_S)
        self.assert_wait(self.ask(reverse_path=Address("b", "client.example")), DELAY_S)
        self.assert_wait(self.ask(self.policy(known_correspondents=False)), DELAY_S)

    def test_an_operator_lets_a_client_in(self) -> None:
        self.successResultOf(self.store.greylist.allow("192.0.2.0/24", 0.0))
        self.assertEqual(self.ask().evidence["state"], "allowed")

    def test_a_flood_of_one_client_is_not_remembered(self) -> None:
        policy = self.policy(waiting_per_client=3)
        for number in range(5):
            verdict = self.ask(policy, reverse_path=Address("x" * (number + 1), "client.example"))
            self.assert_wait(verdict, DELAY_S)
            self.assertEqual(verdict.evidence["remembered"], number < 3)
        self.assertEqual(self.count(), 3)

    def test_a_peer_without_an_address_is_not_asked(self) -> None:
        transaction = at(Stage.RCPT, recipient=USER, peer=Peer(""))
        self.assertEqual(self.successResultOf(self.policy().rcpt(transaction)), Verdict())
