"""Who a message is from, what the past of its sender comes to, and what is noted."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Decision,
    Effect,
    IPolicy,
    IVerdictRecord,
    MailTransaction,
    MethodResult,
    PolicyReply,
    Stage,
    Verdict,
)
from pymailsuite.interfaces.reputation import Event, Identity, IReputation, Reputation
from pymailsuite.policy.reputation.event_buffer import EventBuffer, EventFlush
from pymailsuite.policy.reputation.identities import identities_in
from pymailsuite.policy.reputation.policy import ReputationPolicy
from pymailsuite.policy.reputation.scoring import standing_of
from tests.acceptance import acceptance
from tests.support.policies import STRANGER, at
from tests.support.stores import make_store

NOW = 1_770_000_000.0
ADDRESS, DOMAIN = Identity("address", "news@mail.client.example"), Identity("domain", "client.example")
NETWORK = Identity("network", "192.0.2.0/24")
SPF = MethodResult("spf", "pass", properties=(("smtp.mailfrom", "News@mail.client.example"),))
REFUSED = PolicyReply(550, "5.7.1", "no")


def ruled(policy: str, *results: MethodResult, stage: Stage = Stage.MAIL) -> AppliedVerdict:
    """One with results and without an objection."""
    return AppliedVerdict(policy, stage, Verdict(results=results), Effect.NONE)


class IdentityTests(SynchronousTestCase):
    @acceptance("S162")
    def test_only_what_was_verified_counts_the_most_telling_first(self) -> None:
        results = [
            MethodResult("spf", "pass", properties=(("smtp.helo", "mx.host.example"),)),
            SPF,
            MethodResult("dkim", "fail", properties=(("header.d", "bank.example"),)),
            MethodResult("dkim", "pass", properties=(("header.d", "esp.example"),)),
            MethodResult("dmarc", "pass", properties=(("header.from", "author.example"),)),
        ]
        names = [(one.kind, one.name) for one in identities_in(results, "192.0.2.7", ReputationSettings())]
        self.assertEqual(
            names,
            [
                ("address", "news@mail.client.example"),
                ("domain", "author.example"),
                ("domain", "esp.example"),
                ("domain", "client.example"),
                ("domain", "host.example"),
                ("network", "192.0.2.0/24"),
            ],
        )

    def test_nobody_makes_us_look_at_any_number_of_domains(self) -> None:
        results = [
            MethodResult("dkim", "pass", properties=(("header.d", f"d{number}.example"),)) for number in range(50)
        ]
        self.assertEqual(len(identities_in(results, "", ReputationSettings())), 5)


class StandingTests(SynchronousTestCase):
    def score(self, *numbers: float, **options: Any) -> float | None:
        standing = standing_of(Reputation(DOMAIN, *numbers), ReputationSettings(**options))
        return None if standing is None else standing.score

    def test_too_few_events_say_nothing(self) -> None:
        self.assertIsNone(self.score(9.9))
        self.assertIsNone(self.score(9.9, minimum_events=10, junk_weight=0))
        self.assertIsNone(self.score(0, 0, 20, junk_weight=0))

    def test_the_score_is_bounded(self) -> None:
        self.assertEqual(self.score(1e9), -2.0)
        self.assertEqual(self.score(0, 1e9), 4.0)
        self.assertEqual(self.score(10, 10), 0.0)

    def test_the_word_of_users_weighs_more(self) -> None:
        self.assertEqual(self.score(10, 0, 2), 0.0)
        self.assertEqual(self.score(0, 10, 0, 2), 0.0)


class ReputationPolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.addCleanup(self.store.close)

    def policy(self, **options: Any) -> ReputationPolicy:
        settings = ReputationSettings(**{"action": "reject", **options})
        events = EventBuffer(settings, self.store.reputations, self.clock)
        policy = ReputationPolicy(settings, self.store.reputations, events, self.clock, 10.0)
        verifyObject(IPolicy, policy)
        verifyObject(IVerdictRecord, policy)
        verifyObject(IReputation, events)
        return policy

    def test_what_is_gathered_is_written_when_the_server_stops(self) -> None:
        events = EventBuffer(ReputationSettings(), self.store.reputations, self.clock)
        last = EventFlush(events)
        last.startService()
        events.note([DOMAIN], Event.ACCEPTED)
        self.assertIsNone(self.known())
        self.successResultOf(last.stopService())
        self.assertIsNotNone(self.known())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def transaction(self, stage: Stage = Stage.MESSAGE, **known: Any) -> MailTransaction:
        return at(stage, **{"applied_verdicts": (ruled("spf", SPF),), **known})

    def known(self, identity: Identity = DOMAIN) -> Reputation | None:
        return self.successResultOf(self.store.reputations.look_up([identity], 30 * 86400.0)).get(identity)

    def note(self, identity: Identity, event: Event, number: float) -> None:
        self.successResultOf(self.store.reputations.add({(identity, event): number}, 30 * 86400.0))

    @acceptance("S162")
    def test_what_the_chain_decides_is_noted_for_all_who_are_verified(self) -> None:
        policy = self.policy()
        transaction = self.transaction()
        for _ in range(3):
            policy.note(transaction, Decision())
        policy.note(self.transaction(Stage.RCPT), Decision())
        policy.note(self.transaction(Stage.RCPT), Decision(REFUSED, decided_by="dnsbl"))
        self.assertIsNone(self.known(), "nothing is written at once")
        self.clock.advance(10)
        for identity in (ADDRESS, DOMAIN, NETWORK):
            found = self.known(identity)
            assert found is not None
            self.assertEqual((found.accepted, found.refused), (3.0, 1.0))

    def test_refusals_for_now_and_by_reputation_itself_are_not_held_against_anybody(self) -> None:
        policy = self.policy()
        policy.note(self.transaction(), Decision(PolicyReply(451, "4.7.1", "later"), decided_by="spf"))
        for decided_by in ("reputation", "greylist", "score"):
            policy.note(self.transaction(), Decision(REFUSED, decided_by=decided_by))
        for peer in (evolve(STRANGER, login="ann@example.test"), evolve(STRANGER, trusted=True)):
            policy.note(self.transaction(peer=peer), Decision())
        policy.note(self.transaction(submission=True), Decision())
        self.clock.advance(10)
        self.assertIsNone(self.known())

    def test_many_events_are_written_without_waiting(self) -> None:
        policy = self.policy(write_after=3)
        policy.note(self.transaction(), Decision())
        self.assertIsNotNone(self.known())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @acceptance("S162")
    def test_the_past_adds_to_the_score_or_takes_from_it(self) -> None:
        policy = self.policy()
        self.assertEqual(self.successResultOf(policy.message(self.transaction())), Verdict())
        self.note(NETWORK, Event.REFUSED, 30)
        verdict = self.successResultOf(policy.message(self.transaction()))
        self.assertEqual((verdict.action, verdict.score, verdict.evidence["kind"]), (Action.SCORE, 4.0, "network"))
        self.note(DOMAIN, Event.ACCEPTED, 30)
        verdict = self.successResultOf(policy.message(self.transaction()))
        self.assertEqual((verdict.action, verdict.score), (Action.SCORE, -2.0))
        self.assertEqual(verdict.evidence["name"], "client.example")

    def test_who_is_not_verified_has_only_its_network(self) -> None:
        self.note(DOMAIN, Event.REFUSED, 30)
        self.assertEqual(self.successResultOf(self.policy().message(self.transaction(applied_verdicts=()))), Verdict())

    @acceptance("S162")
    def test_a_first_time_sender_is_asked_back_once(self) -> None:
        policy = self.policy(first_time="tempfail")
        asked = self.transaction(Stage.RCPT)
        verdict = self.successResultOf(policy.rcpt(asked))
        assert verdict.reply is not None
        self.assertEqual((verdict.action, verdict.reply.code), (Action.TEMPFAIL, 451))
        self.assertTrue(verdict.reply.text.endswith("try again in 60 s"))
        self.clock.advance(59.5)
        self.assertEqual(self.successResultOf(policy.rcpt(asked)).evidence["seconds"], 1)
        self.clock.advance(0.5)
        self.assertEqual(self.successResultOf(policy.rcpt(asked)), Verdict())
        bounce = self.transaction(Stage.RCPT, reverse_path=None, applied_verdicts=())
        self.assertEqual(self.successResultOf(policy.rcpt(bounce)), Verdict())

    def test_a_first_time_sender_is_kept_waiting_within_the_budget(self) -> None:
        policy = self.policy(first_time="tarpit")
        waiting = policy.rcpt(self.transaction(Stage.RCPT))
        self.assertNoResult(waiting)
        self.clock.advance(9)
        self.assertEqual(self.successResultOf(waiting), Verdict())
        self.assertEqual(self.successResultOf(policy.rcpt(self.transaction(Stage.RCPT))), Verdict())

    def test_nobody_is_slowed_unless_that_is_wanted(self) -> None:
        self.assertEqual(self.successResultOf(self.policy().rcpt(self.transaction(Stage.RCPT))), Verdict())
        self.assertEqual(ReputationSettings().action, "off")
