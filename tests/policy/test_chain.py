"""The chain: who is asked, for how long, and what their verdicts come to."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.policy import PolicySection
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Decision,
    Effect,
    IPolicy,
    IPolicyChain,
    MailTransaction,
    MethodResult,
    PolicyReply,
    ReceivedMessage,
    Stage,
    Verdict,
)
from pymailsuite.policy.base import Policy
from pymailsuite.policy.chain import PolicyChain
from pymailsuite.values import Address, Peer, QueueId
from tests.support.policies import STRANGER, at, chain_of, rejecting, says

ANN, BOB = Address("ann", "example.org"), Address("bob", "example.net")
HELD = PolicySection()
SCORED = PolicySection(action="score", score=4)


class ChainTestCase(SynchronousTestCase):
    """With a clock."""

    def setUp(self) -> None:
        self.clock = Clock()

    def decide(self, chain: PolicyChain, transaction: MailTransaction) -> Decision:
        return self.successResultOf(chain.check(transaction))


class AskingTests(ChainTestCase):
    """Who is asked."""

    def test_they_are_what_they_say(self) -> None:
        verifyObject(IPolicyChain, chain_of(says("one")))
        verifyObject(IPolicy, says("one"))

    def test_the_log_says_once_whom_a_policy_is_not_asked_about(self) -> None:
        chain = chain_of(says("one", mail=Verdict()), says("two", mail=Verdict()))
        friend = evolve(STRANGER, ip="127.0.0.1", trusted=True)
        with capturedLogs() as logs:
            for peer in (STRANGER, friend, friend):
                chain.stages_for(peer, False)
        (said,) = [event for event in logs if event.get("event") == "policy.exempt"]
        self.assertEqual((said["standing"], said["policies"]), ("trusted", "one, two"))

    def test_only_stages_that_somebody_speaks_at_are_asked(self) -> None:
        chain = chain_of(says("one", mail=Verdict()), says("two", mail=Verdict(), message=Verdict()))
        self.assertEqual(chain.stages_for(STRANGER, False), {Stage.MAIL, Stage.MESSAGE})
        self.assertEqual(self.decide(chain, at(Stage.HELO)), Decision())

    def test_users_and_trusted_clients_are_not_asked_about_unless_the_section_says_so(self) -> None:
        both = {"two": PolicySection(exempt=())}
        chain = chain_of(says("one", mail=rejecting()), says("two", message=Verdict()), sections=both)
        for peer, submission in (
            (evolve(STRANGER, login="ann"), False),
            (evolve(STRANGER, trusted=True), False),
            (STRANGER, True),
        ):
            self.assertEqual(chain.stages_for(peer, submission), {Stage.MESSAGE})
            self.assertIsNone(self.decide(chain, at(Stage.MAIL, peer=peer, submission=submission)).refusal)

    def test_a_policy_that_is_off_is_not_asked(self) -> None:
        chain = chain_of(says("one", mail=rejecting()), sections={"one": PolicySection(action="off")})
        self.assertEqual(chain.stages_for(STRANGER, False), frozenset())

    def test_policies_are_asked_side_by_side_but_for_those_that_come_after_others(self) -> None:
        slow: Deferred[Verdict] = Deferred()
        first, second = says("first", mail=slow), says("second", mail=Verdict(reason="two"))
        third = says("third", after=("first", "nobody"), mail=lambda t: Verdict(reason=t.verdicts["first"].reason))
        chain = chain_of(third, first, second, clock=self.clock)
        decided = chain.check(at(Stage.MAIL))
        self.assertEqual([len(one.asked) for one in (first, second, third)], [1, 1, 0])
        self.clock.advance(2)
        slow.callback(Verdict(reason="one"))
        applied_verdicts = self.successResultOf(decided).applied_verdicts
        self.assertEqual(
            [(one.policy, one.verdict.reason) for one in applied_verdicts],
            [("third", "one"), ("first", "one"), ("second", "two")],
        )
        self.assertEqual(applied_verdicts[1].seconds, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_those_that_wait_for_each_other_have_no_opinion(self) -> None:
        chain = chain_of(says("one", after=("two",), mail=rejecting()), says("two", after=("one",), mail=rejecting()))
        decision = self.decide(chain, at(Stage.MAIL))
        self.assertIsNone(decision.refusal)
        self.assertTrue(all(applied.failure for applied in decision.applied_verdicts))

    def test_an_answer_that_comes_while_others_are_asked_is_not_missed(self) -> None:
        slow: Deferred[Verdict] = Deferred()

        def wake(transaction: MailTransaction) -> Verdict:
            slow.callback(Verdict(reason="one"))
            return Verdict()

        first, third = says("first", mail=slow), says("third", mail=wake)
        second = says("second", after=("first",), mail=lambda t: Verdict(reason=t.verdicts["first"].reason))
        decision = self.decide(chain_of(first, second, third, clock=self.clock), at(Stage.MAIL))
        self.assertEqual([applied.verdict.reason for applied in decision.applied_verdicts], ["one", "one", ""])
        self.assertEqual(len(second.asked), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_answer_that_comes_later_lets_all_those_be_asked_who_waited_for_it(self) -> None:
        slow, slower = Deferred[Verdict](), Deferred[Verdict]()

        def wake(transaction: MailTransaction) -> Verdict:
            slower.callback(Verdict(reason="two"))
            return Verdict()

        said = says("said", after=("second",), mail=lambda t: Verdict(reason=t.verdicts["second"].reason))
        waker = says("waker", after=("first",), mail=wake)
        chain = chain_of(said, waker, says("first", mail=slow), says("second", mail=slower), clock=self.clock)
        decided = chain.check(at(Stage.MAIL))
        slow.callback(Verdict())
        self.assertEqual(self.successResultOf(decided).applied_verdicts[0].verdict.reason, "two")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_verdicts_of_earlier_stages_are_at_hand(self) -> None:
        later = says("later", message=Verdict())
        chain = chain_of(says("early", helo=Verdict(reason="seen")), later)
        helo = self.decide(chain, at(Stage.HELO))
        self.decide(chain, at(Stage.MESSAGE, applied_verdicts=helo.applied_verdicts))
        self.assertEqual(later.asked[0].verdicts["early"].reason, "seen")


class TimeTests(ChainTestCase):
    """Nobody stalls the chain."""

    def test_a_stage_lasts_as_long_as_its_budget_and_no_longer(self) -> None:
        cancelled: list[Any] = []
        slow: Deferred[Verdict] = Deferred(cancelled.append)
        chain = chain_of(says("slow", mail=slow), says("quick", mail=rejecting()), clock=self.clock, budget=7)
        decided = chain.check(at(Stage.MAIL))
        self.clock.advance(6.9)
        self.assertNoResult(decided)
        self.clock.advance(0.2)
        decision = self.successResultOf(decided)
        self.assertEqual(decision.decided_by, "quick")
        self.assertEqual(
            (decision.applied_verdicts[0].failure, decision.applied_verdicts[0].effect),
            ("no answer within 7 s", Effect.NONE),
        )
        self.assertEqual(len(cancelled), 1)

    def test_what_a_stage_has_used_the_next_has_not(self) -> None:
        chain = chain_of(
            says("slow", connect=Deferred(), mail=lambda _: Deferred(), helo=lambda _: Deferred()),
            clock=self.clock,
            budget=7,
        )
        applied_verdicts: tuple[AppliedVerdict, ...] = ()
        for stage, patience_s in ((Stage.CONNECT, 7), (Stage.HELO, 1), (Stage.MAIL, 1)):
            decided = chain.check(at(stage, applied_verdicts=applied_verdicts))
            self.clock.advance(patience_s - 0.1)
            self.assertNoResult(decided)
            self.clock.advance(0.1)
            applied_verdicts += self.successResultOf(decided).applied_verdicts

    def test_a_policy_that_is_called_off_may_say_what_that_means(self) -> None:
        slow: Deferred[Verdict] = Deferred()
        slow.addErrback(lambda failure: failure.trap(CancelledError) and rejecting("not known in time", 451))
        chain = chain_of(says("slow", rcpt=slow), clock=self.clock, budget=7)
        decided = chain.check(at(Stage.RCPT))
        self.clock.advance(7)
        decision = self.successResultOf(decided)
        self.assertEqual((decision.decided_by, decision.refusal.text), ("slow", "not known in time"))

    def test_the_message_has_a_budget_of_its_own(self) -> None:
        chain = chain_of(says("slow", message=Deferred()), clock=self.clock, budget=7, message_budget=20)
        decided = chain.check(at(Stage.MESSAGE))
        self.clock.advance(19)
        self.assertNoResult(decided)
        self.clock.advance(1)
        self.assertIsNone(self.successResultOf(decided).refusal)

    def test_on_failure_says_what_no_answer_counts_as(self) -> None:
        section = PolicySection(on_failure="tempfail", at_once=True)
        for answer in (Deferred(), DnsFailure(), ZeroDivisionError(), "nonsense"):
            chain = chain_of(says("one", mail=answer), clock=self.clock, sections={"one": section})
            decided = chain.check(at(Stage.MAIL))
            self.clock.advance(60)
            refusal = self.successResultOf(decided).refusal
            self.assertEqual((refusal.code, refusal.enhanced_code), (451, "4.7.0"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, TypeError)), 2)

    def test_a_policy_that_fails_is_logged_and_has_no_opinion(self) -> None:
        def breaks(transaction: MailTransaction) -> Any:
            raise ZeroDivisionError

        chain = chain_of(says("one", mail=breaks), says("two", mail=DnsFailure()))
        self.assertIsNone(self.decide(chain, at(Stage.MAIL)).refusal)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class DecidingTests(ChainTestCase):
    """What verdicts come to."""

    def test_the_action_of_the_section_says_what_an_objection_counts_as(self) -> None:
        for action, refusal, score in (
            ("reject", PolicyReply(550, "5.7.1", "go away"), 0.0),
            ("tempfail", PolicyReply(451, "4.7.1", "go away"), 0.0),
            ("score", None, 3.0),
            ("log", None, 0.0),
        ):
            section = PolicySection(action=action, at_once=True)
            decision = self.decide(chain_of(says("one", mail=rejecting()), sections={"one": section}), at(Stage.MAIL))
            self.assertEqual((decision.refusal, decision.score), (refusal, score), action)

    def test_an_objection_is_held_back_until_rcpt(self) -> None:
        chain = chain_of(says("one", mail=rejecting()), sections={"one": HELD})
        mail = self.decide(chain, at(Stage.MAIL))
        self.assertIsNone(mail.refusal)
        rcpt = self.decide(chain, at(Stage.RCPT, recipient=ANN, applied_verdicts=mail.applied_verdicts))
        self.assertEqual((rcpt.refusal.text, rcpt.decided_by, rcpt.applied_verdicts), ("go away", "one", ()))

    def test_a_final_objection_is_told_before_one_for_now_and_the_first_before_others(self) -> None:
        chain = chain_of(
            says("a", mail=Verdict(Action.TEMPFAIL)), says("b", mail=rejecting("b")), says("c", mail=rejecting("c"))
        )
        self.assertEqual(self.decide(chain, at(Stage.MAIL)).decided_by, "b")

    def test_who_is_known_to_be_good_is_not_objected_to_but_by_those_excepted(self) -> None:
        policies = says("good", connect=Verdict(Action.ACCEPT)), says("bad", mail=rejecting())
        for options, refused in (({}, False), ({"accept_except": ("bad",)}, True)):
            chain = chain_of(*policies, **options)
            connect = self.decide(chain, at(Stage.CONNECT))
            mail = self.decide(chain, at(Stage.MAIL, applied_verdicts=connect.applied_verdicts))
            self.assertEqual(mail.refusal is not None, refused)

    def test_a_recipient_vouches_for_itself_alone(self) -> None:
        def vouch(transaction: MailTransaction) -> Verdict:
            return Verdict(Action.ACCEPT) if transaction.recipient == ANN else Verdict()

        chain = chain_of(
            says("list", rcpt=vouch), says("bad", message=rejecting(), helo=rejecting()), sections={"bad": HELD}
        )
        helo = self.decide(chain, at(Stage.HELO))
        ann = self.decide(chain, at(Stage.RCPT, recipient=ANN, applied_verdicts=helo.applied_verdicts))
        bob = self.decide(chain, at(Stage.RCPT, recipient=BOB, applied_verdicts=helo.applied_verdicts))
        self.assertEqual((ann.refusal is None, bob.refusal is None), (True, False))
        one = at(Stage.MESSAGE, recipients=(ANN,), applied_verdicts=ann.applied_verdicts)
        self.assertIsNone(self.decide(chain, one).refusal)
        two = at(Stage.MESSAGE, recipients=(ANN, BOB), applied_verdicts=ann.applied_verdicts + bob.applied_verdicts)
        self.assertIsNotNone(self.decide(chain, two).refusal)

    def test_scores_add_up_to_a_field_and_to_a_refusal(self) -> None:
        sections = dict.fromkeys("abc", SCORED)
        policies = says("a", connect=rejecting()), says("b", mail=rejecting()), says("c", message=rejecting())
        message = ReceivedMessage(QueueId("1"), 1, b"")
        for limit, refused in ((12.5, False), (12, True)):
            chain = chain_of(*policies, sections=sections, tag_score=12, reject_score=limit)
            applied_verdicts: Any = ()
            for stage in (Stage.CONNECT, Stage.MAIL):
                applied_verdicts += self.decide(chain, at(stage, applied_verdicts=applied_verdicts)).applied_verdicts
            ending = at(Stage.MESSAGE, applied_verdicts=applied_verdicts, recipients=(ANN,), message=message)
            decision = self.decide(chain, ending)
            self.assertEqual((decision.score, decision.refusal is not None), (12, refused))
            if not refused:
                self.assertEqual(decision.prefix, b"X-Policy-Score: 12 (a, b, c)\r\n")

    def test_what_was_found_is_written_in_front_of_the_message(self) -> None:
        seen = Verdict(
            results=(MethodResult("iprev", "pass", properties=(("policy.iprev", "192.0.2.7"),)),),
            fields=(b"Received-SPF: pass\r\n",),
        )
        chain = chain_of(says("a", connect=seen), says("b", message=Verdict(Action.TAG, fields=(b"X-Tag: b\r\n",))))
        connect = self.decide(chain, at(Stage.CONNECT))
        decision = self.decide(chain, at(Stage.MESSAGE, applied_verdicts=connect.applied_verdicts))
        self.assertEqual(
            decision.prefix,
            b"Received-SPF: pass\r\nX-Tag: b\r\n"
            b"Authentication-Results: mail.example;\r\n\tiprev=pass policy.iprev=192.0.2.7\r\n",
        )

    def test_listed_clients_senders_and_recipients_are_asked_about_but_not_objected_to(self) -> None:
        for exempt in (
            {"exempt_networks": ["192.0.2.0/28"]},
            {"exempt_senders": [".EXAMPLE"]},
            {"exempt_senders": ["a@client.example"]},
            {"exempt_recipients": ["example.org"]},
        ):
            for chain in (
                chain_of(says("one", rcpt=rejecting()), **exempt),
                chain_of(says("one", rcpt=rejecting()), sections={"one": PolicySection(**exempt)}),
            ):
                decision = self.decide(chain, at(Stage.RCPT, recipient=ANN))
                self.assertIsNone(decision.refusal, exempt)
                self.assertEqual(decision.applied_verdicts[0].verdict.action, Action.REJECT)

    def test_recipients_with_other_rules_get_messages_of_their_own(self) -> None:
        lax = Address("lax", "example.org")
        for options in (
            {"recipients": {"lax@example.org": RecipientOverrides(actions={"one": "off"})}},
            {"recipients": {"lax@example.org": RecipientOverrides(reject_score=100)}},
            {"exempt_recipients": ["lax@example.org"]},
        ):
            chain = chain_of(says("one", message=rejecting()), **options)
            self.assertEqual(chain.stages_for(STRANGER, False), {Stage.RCPT, Stage.MESSAGE})
            for first, second, others in ((ANN, BOB, False), (ANN, lax, True), (lax, ANN, True), (lax, lax, False)):
                self.assertIsNone(self.decide(chain, at(Stage.RCPT, recipient=first)).refusal)
                decision = self.decide(chain, at(Stage.RCPT, recipient=second, recipients=(first,)))
                self.assertEqual(decision.refusal is not None and decision.refusal.code == 452, others)
            user = evolve(STRANGER, login="ann")
            for peer in (user, evolve(STRANGER, trusted=True)):
                self.assertEqual(chain.stages_for(peer, False), frozenset())
                decision = self.decide(chain, at(Stage.RCPT, peer=peer, recipient=lax, recipients=(ANN,)))
                self.assertIsNone(decision.refusal)

    def test_what_the_directory_says_of_a_recipient_goes_before_the_configuration(self) -> None:
        general = {"example.org": RecipientOverrides(actions={"one": "off"}), "ann@example.org": NO_OVERRIDES}
        chain = chain_of(says("one", mail=rejecting()), recipients=general)
        mail = self.decide(chain, at(Stage.MAIL))
        for stored, refused in (({}, False), ({ANN: RecipientOverrides(actions={"one": "reject"})}, True)):
            asked = at(Stage.RCPT, recipient=ANN, applied_verdicts=mail.applied_verdicts, overrides=stored)
            self.assertEqual(self.decide(chain, asked).refusal is not None, refused)

    def test_recipients_with_other_rules_in_the_directory_get_messages_of_their_own(self) -> None:
        chain = chain_of(says("one", message=rejecting()))
        stored = {ANN: RecipientOverrides(actions={"one": "off"})}
        for first, second, apart in ((ANN, BOB, True), (BOB, ANN, True), (ANN, ANN, False), (BOB, BOB, False)):
            asked = at(Stage.RCPT, recipient=second, recipients=(first,), overrides=stored)
            decision = self.decide(chain, asked)
            self.assertEqual(decision.refusal is not None and decision.refusal.code == 452, apart)
        for recipient, refused in ((ANN, False), (BOB, True)):
            message = self.decide(chain, at(Stage.MESSAGE, recipients=(recipient,), overrides=stored))
            self.assertEqual(message.refusal is not None, refused)

    def test_rules_for_what_is_decided_for_each_recipient_are_no_reason_to_send_twice(self) -> None:
        counted = evolve(rejecting(), action=Action.SCORE, score=3.0)
        for answers, actions, apart in (
            ({"rcpt": rejecting()}, {"one": "off"}, False),
            ({"rcpt": rejecting()}, {"one": "score"}, True),
            ({"mail": counted}, {"one": "off"}, True),
            ({"message": rejecting()}, {"one": "reject"}, False),
            ({"message": rejecting()}, {"nobody": "off"}, False),
        ):
            chain = chain_of(says("one", **answers))
            applied_verdicts = self.decide(chain, at(Stage.MAIL)).applied_verdicts
            asked = at(
                Stage.RCPT,
                recipient=ANN,
                recipients=(BOB,),
                applied_verdicts=applied_verdicts,
                overrides={ANN: RecipientOverrides(actions=actions)},
            )
            refusal = self.decide(chain, asked).refusal
            self.assertEqual(refusal is not None and refusal.code == 452, apart, (answers, actions))

    def test_of_several_recipients_the_one_that_weighs_most_counts_even_if_that_is_nothing(self) -> None:
        good, bad = Verdict(Action.SCORE, score=-2.0), Verdict(Action.SCORE, score=3.0)
        known = says("known", rcpt=lambda t: good if t.recipient == ANN else Verdict())
        chain = chain_of(known, says("late", message=bad), reject_score=2.0)
        unrelated = RecipientOverrides(actions={"other": "off"})
        for overrides in ({}, {ANN: unrelated, BOB: unrelated}):
            for recipients, score in (((ANN,), 1.0), ((ANN, BOB), 3.0), ((BOB, ANN), 3.0)):
                applied_verdicts: tuple[AppliedVerdict, ...] = ()
                for recipient in recipients:
                    applied_verdicts += self.decide(
                        chain, at(Stage.RCPT, recipient=recipient, applied_verdicts=applied_verdicts)
                    ).applied_verdicts
                message = at(
                    Stage.MESSAGE, recipients=recipients, applied_verdicts=applied_verdicts, overrides=overrides
                )
                decision = self.decide(chain, message)
                self.assertEqual((decision.score, decision.refusal is not None), (score, score > 2), recipients)

    def test_an_objection_that_did_not_count_says_whose_wish_or_word_that_was(self) -> None:
        objecting = says("one", mail=rejecting(), message=Verdict())
        stored = {ANN: RecipientOverrides(actions={"one": "off"})}
        for chain, overrides, words in (
            (chain_of(objecting), stored, "ann@example.org wants one=off"),
            (chain_of(objecting, says("two", helo=Verdict(Action.ACCEPT))), {}, "two vouches"),
        ):
            applied_verdicts = (
                *self.decide(chain, at(Stage.HELO)).applied_verdicts,
                *self.decide(chain, at(Stage.MAIL)).applied_verdicts,
            )
            message = at(Stage.MESSAGE, recipients=(ANN,), applied_verdicts=applied_verdicts, overrides=overrides)
            decision = self.decide(chain, message)
            self.assertIsNone(decision.refusal)
            (one,) = [applied for applied in decision.final_verdicts if applied.effect is Effect.OVERRULED]
            self.assertEqual((one.policy, one.stage, one.overruled_by), ("one", Stage.MAIL, words))
        chain = chain_of(says("one", message=Verdict()))
        self.assertEqual(self.decide(chain, at(Stage.MESSAGE, recipients=(ANN,))).final_verdicts, ())

    def test_nobody_is_asked_about_recipients_where_all_have_the_same_rules(self) -> None:
        chain = chain_of(says("one", message=rejecting()))
        self.assertEqual(chain.stages_for(STRANGER, False), {Stage.MESSAGE})

    def test_a_recipient_may_have_it_otherwise(self) -> None:
        overrides = {
            "example.org": RecipientOverrides(actions={"one": "off"}),
            "strict@example.org": RecipientOverrides(actions={"one": "reject"}),
        }
        chain = chain_of(
            says("one", mail=rejecting(), message=rejecting()), sections={"one": HELD}, recipients=overrides
        )
        mail = self.decide(chain, at(Stage.MAIL))
        for name, refused in (("ann@example.org", False), ("strict@example.org", True), ("x@example.net", True)):
            recipient = Address(*name.split("@"))
            rcpt = self.decide(chain, at(Stage.RCPT, recipient=recipient, applied_verdicts=mail.applied_verdicts))
            self.assertEqual(rcpt.refusal is not None, refused, name)
            message = self.decide(
                chain, at(Stage.MESSAGE, recipients=(recipient,), applied_verdicts=mail.applied_verdicts)
            )
            self.assertEqual(message.refusal is not None, refused, name)
        mixed = at(Stage.MESSAGE, recipients=(BOB, ANN), applied_verdicts=mail.applied_verdicts)
        self.assertIsNone(self.decide(chain, mixed).refusal)

    def test_refusals_lead_to_the_page_that_explains_them(self) -> None:
        chain = chain_of(says("one", mail=rejecting()), help_url="https://example.org/help")
        self.assertEqual(self.decide(chain, at(Stage.MAIL)).refusal.text, "go away; see https://example.org/help")

    def test_a_softened_objection_gives_its_hint(self) -> None:
        verdict = evolve(rejecting(), hint="better not")
        for section, hints in ((SCORED, ("better not",)), (HELD, ())):
            chain = chain_of(says("one", helo=verdict), sections={"one": section})
            self.assertEqual(self.decide(chain, at(Stage.HELO)).hints, hints)

    def test_every_decision_is_told_to_the_record(self) -> None:
        class Record:
            def __init__(self) -> None:
                self.noted: list[Any] = []

            def note(self, transaction: MailTransaction, decision: Decision) -> None:
                self.noted.append((transaction.stage, decision.decided_by))

        record: Any = Record()
        chain = chain_of(says("one", mail=rejecting()), record=record)
        self.decide(chain, at(Stage.MAIL))
        self.assertEqual(record.noted, [(Stage.MAIL, "one")])

    def test_a_tap_that_cannot_be_had_is_logged(self) -> None:
        class Broken(Policy):
            name = "broken"

            def tap(self, transaction: MailTransaction) -> Any:
                raise ZeroDivisionError

            def message(self, transaction: MailTransaction) -> Any:
                return succeed(Verdict())

        self.assertEqual(chain_of(Broken()).taps(at(Stage.DATA)), {})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(chain_of(Broken()).taps(at(Stage.DATA, peer=Peer("::1", trusted=True))), {})
