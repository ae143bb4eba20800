"""What delivery steps make of a message: values in, a plan out."""

from __future__ import annotations

import unittest
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.delivery.steps.junk import JunkStep
from pymailsuite.delivery.steps.resolve import ResolveStep
from pymailsuite.errors import LimitReached, NoSuchUser, Refusal, StoreUnavailable, TemporaryFailure
from pymailsuite.interfaces import Delivery, IRecipientResolver, LocalRecipient, RemoteRecipient
from pymailsuite.interfaces.delivery import (
    AddMessage,
    DeliveryMessage,
    DeliveryPlan,
    Discard,
    IDeliveryStep,
    Place,
    Placement,
    Refuse,
    Resolve,
    SendOn,
    Transmission,
)
from pymailsuite.interfaces.intake import GivenRecipients, Recipients
from pymailsuite.interfaces.policy import Decision, Disposal
from pymailsuite.values import AccountId, Address, Envelope, Flags, Peer, QueueId, SpecialUse, SystemFlag
from tests.support.delivery import STEP_TIMEOUT_S, step
from tests.support.logs import captured_logs

NOW = 1_770_000_000.0
SAM, ANN, BEA = Address("sam", "peer.example"), Address("ann", "example.org"), Address("bea", "example.org")
TEAM, BOB, CARL = Address("team", "example.org"), Address("bob", "B.example"), Address("carl", "bücher.example")
AT_ANN, AT_BEA = LocalRecipient(AccountId(1), ANN), LocalRecipient(AccountId(2), BEA)
TO_BOB, TO_CARL = RemoteRecipient(BOB), RemoteRecipient(CARL)
PEER = Peer("192.0.2.1", helo="mx.peer.example")
FOUND = b"Authentication-Results: mx.example.org; spf=pass\r\n"
NOTHING_SAID = Decision(prefix=FOUND)


def message(**fields: Any) -> DeliveryMessage:
    told = DeliveryMessage(QueueId("1"), Envelope(SAM, (ANN,)), PEER, 100, b"Subject: x\r\n\r\n")
    return evolve(told, **fields)


def copy(of: Address, account: int, **fields: Any) -> Delivery:
    front = fields.pop("prefix", b"")
    prefix = f"Return-Path: <sam@peer.example>\r\nDelivered-To: {of}\r\n".encode() + front
    return Delivery(AccountId(account), prefix, **fields)


def sent(plan: DeliveryPlan) -> list[tuple[Address | None, bytes, list[Address]]]:
    return [(one.reverse_path, one.prefix, [each.address for each in one.recipients]) for one in plan.outgoing]


@implementer(IRecipientResolver)
@frozen
class Directory:
    """Where mail goes, by address, or what looking it up fails with."""

    known: Mapping[Address, Recipients | Exception]

    def resolve(self, address: Address) -> Deferred[Recipients]:
        found = self.known.get(address, NoSuchUser())
        return fail(found) if isinstance(found, Exception) else succeed(found)

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return succeed(True)


class PlanTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)

    def start(
        self, given: GivenRecipients, *steps: IDeliveryStep, decision: Decision = NOTHING_SAID, **fields: Any
    ) -> DeliveryPlan | Deferred[DeliveryPlan]:
        planner = DeliveryPlanner(steps, self.clock, STEP_TIMEOUT_S)
        return planner.plan(message(**fields), given, decision)

    def plan(self, given: GivenRecipients, *steps: IDeliveryStep, **more: Any) -> DeliveryPlan:
        planned = self.start(given, *steps, **more)
        assert isinstance(planned, DeliveryPlan), "somebody waits"
        return planned


class UsualTests(PlanTestCase):
    """What becomes of mail if no step wants anything."""

    def test_each_account_gets_a_copy_once_and_each_address_elsewhere_a_transmission_once(self) -> None:
        given = [(ANN, (AT_ANN,)), (TEAM, (AT_ANN, AT_BEA, TO_BOB)), (BOB, (TO_BOB,)), (CARL, (TO_CARL,))]
        plan = self.plan(given)
        self.assertEqual(plan.copies, (copy(ANN, 1), copy(TEAM, 2)))
        self.assertEqual(plan.fields, FOUND)
        (envelope,) = plan.outgoing
        self.assertEqual((envelope.reverse_path, envelope.prefix, envelope.origin), (SAM, FOUND, "192.0.2.1"))
        rows = [(one.position, one.address, one.route, one.original, one.next_attempt) for one in envelope.recipients]
        self.assertEqual(rows, [(0, BOB, "b.example", TEAM, NOW), (1, CARL, "xn--bcher-kva.example", None, NOW)])
        self.assertEqual((plan.refused, plan.added, plan.notes), ((), (), ()))

    def test_a_mailbox_of_the_address_is_that_of_the_copy(self) -> None:
        detailed = evolve(AT_ANN, mailbox="lists")
        plan = self.plan([(ANN, (AT_ANN,)), (TEAM, (detailed,))])
        self.assertEqual(plan.copies, (copy(ANN, 1), copy(TEAM, 1, mailbox="lists")))

    def test_fields_of_all_copies_are_nobodys_without_copies(self) -> None:
        self.assertEqual(self.plan([(BOB, (TO_BOB,))]).fields, b"")

    def test_where_mail_comes_from_is_the_login_before_the_address_and_the_origin_it_names_before_both(self) -> None:
        login = evolve(PEER, login="ann@example.org")
        for fields, origin in (({"peer": login}, "ann@example.org"), ({"peer": login, "origin": "x"}, "x")):
            self.assertEqual(self.plan([(BOB, (TO_BOB,))], **fields).outgoing[0].origin, origin)


class ActionTests(PlanTestCase):
    """What each action of a step does."""

    def test_what_a_step_answers_is_done_and_told(self) -> None:
        flagged = Placement("lists", Flags(SystemFlag.FLAGGED, frozenset({"$x"})), None, NOW - 5, b"X-List: a\r\n")
        quota = LimitReached()
        note = AddMessage(b"Subject: note\r\n\r\n", Envelope(None, (SAM,)), "away")
        table: Sequence[tuple[str, Any, dict[str, Any]]] = (
            (
                "placed",
                lambda one: Place(one, (flagged,), "a list"),
                {
                    "copies": (
                        copy(
                            ANN,
                            1,
                            mailbox="lists",
                            flags=flagged.flags,
                            internal_date=NOW - 5,
                            prefix=b"X-List: a\r\n",
                        ),
                    )
                },
            ),
            (
                "placed",
                lambda one: Place(one, (*one.placements, Placement("all"))),
                {"copies": (copy(ANN, 1), copy(ANN, 1, mailbox="all"))},
            ),
            ("refused", lambda one: Refuse(one, quota, "full"), {"copies": (), "fields": b""}),
            ("discarded", lambda one: Discard(one, "unwanted"), {"copies": (), "fields": b"", "refused": ()}),
            ("added", lambda one: note, {"copies": (copy(ANN, 1),), "added": (note,)}),
        )
        for did, action, wanted in table:
            with self.subTest(did):
                plan = self.plan(
                    [(ANN, (AT_ANN,))], step("sort", lambda told, recipients, _, do=action: [do(*recipients)])
                )
                self.assertEqual({name: getattr(plan, name) for name in wanted}, wanted)
                (told,) = plan.notes
                self.assertEqual((told.step, told.did, told.recipient), ("sort", did, None if did == "added" else ANN))

    def test_mail_is_sent_on_from_a_path_and_with_fields_of_its_own_beside_the_copy_or_without(self) -> None:
        own = Address("owner", "example.org")

        def redirect(_: Any, recipients: Any, __: Any) -> Any:
            (one,) = recipients
            return [SendOn(one, (Transmission(BOB, own, b"X: 1\r\n"), Transmission(CARL, SAM))), Place(one, ())]

        for keep in (False, True):
            answer = (lambda *told: redirect(*told)[:1]) if keep else redirect
            plan = self.plan([(ANN, (AT_ANN,))], step("redirect", answer))
            self.assertEqual(plan.copies, (copy(ANN, 1),) if keep else ())
            self.assertEqual(sent(plan), [(own, b"X: 1\r\n" + FOUND, [BOB]), (SAM, FOUND, [CARL])])
            self.assertEqual(plan.outgoing[0].recipients[0].original, ANN)

    def test_steps_are_asked_in_order_each_about_what_the_others_have_left(self) -> None:
        seen = []

        def first(_: Any, recipients: Any, __: Any) -> Any:
            ann, bea, *_ = recipients
            return [Place(ann, (Placement("one"),)), Discard(bea)]

        def second(_: Any, recipients: Any, __: Any) -> Any:
            seen.extend([(one.given, one.placements) for one in recipients])
            return ()

        plan = self.plan([(ANN, (AT_ANN,)), (BEA, (AT_BEA,)), (BOB, (TO_BOB,))], step("a", first), step("b", second))
        self.assertEqual(seen, [(ANN, (Placement("one"),)), (BOB, ())])
        self.assertEqual([one.given for one in plan.recipients], [ANN, BEA, BOB])
        self.assertTrue(plan.recipients[1].discarded)

    def test_one_recipient_may_become_others(self) -> None:
        def redirect(_: Any, recipients: Any, __: Any) -> Any:
            return [Resolve(one, (AT_BEA, TO_BOB), "on holiday") for one in recipients]

        plan = self.plan([(ANN, (AT_ANN,))], step("holiday", redirect))
        self.assertEqual((plan.copies, sent(plan)), ((copy(ANN, 2),), [(SAM, FOUND, [BOB])]))

    def test_a_step_may_be_a_coroutine(self) -> None:
        answer: Deferred[str] = Deferred()

        async def decide(_: Any, recipients: Any, __: Any) -> Any:
            mailbox = await answer
            return [Place(one, (Placement(mailbox),)) for one in recipients]

        planned = self.start([(ANN, (AT_ANN,))], step("slow", decide))
        self.assertNoResult(planned)
        answer.callback("lists")
        self.assertEqual(self.successResultOf(planned).copies, (copy(ANN, 1, mailbox="lists"),))

    def test_who_is_refused_is_told_apart_from_the_others(self) -> None:
        def refuse(_: Any, recipients: Any, __: Any) -> Any:
            return [Refuse(one, Refusal()) for one in recipients if one.given == ANN]

        plan = self.plan([(ANN, (AT_ANN,)), (BEA, (AT_BEA,))], step("quota", refuse))
        self.assertEqual([one.given for one in plan.refused], [ANN])
        self.assertEqual(plan.copies, (copy(BEA, 2),))

    def test_nothing_is_added_to_what_answers_by_itself(self) -> None:
        answer = AddMessage(b"Subject: away\r\n\r\n", Envelope(None, (SAM,)))
        for automatic in (False, True):
            plan = self.plan([(ANN, (AT_ANN,))], step("vacation", lambda *_: [answer]), automatic=automatic)
            self.assertEqual(plan.added, () if automatic else (answer,))

    def test_mail_is_lost_only_by_express_wish(self) -> None:
        def forget(_: Any, recipients: Any, __: Any) -> Any:
            return [Place(one, ()) if one.placements else SendOn(one, ()) for one in recipients]

        with captured_logs() as events:
            plan = self.plan([(ANN, (AT_ANN,)), (BOB, (TO_BOB,))], step("forgetful", forget))
        self.assertEqual((plan.copies, sent(plan)), ((copy(ANN, 1),), [(SAM, FOUND, [BOB])]))
        self.assertEqual([event["event"] for event in events], ["delivery.nothing_left"] * 2)


class OwnStepTests(PlanTestCase):
    """resolve and junk; forward has a module of its own."""

    def test_they_are_delivery_steps(self) -> None:
        for each in (DeliveryStep, JunkStep):
            verifyObject(IDeliveryStep, step("x", lambda *_: ()) if each is DeliveryStep else each())

    def test_what_nobody_has_looked_up_is_looked_up(self) -> None:
        directory = Directory({TEAM: (AT_BEA, TO_BOB), ANN: StoreUnavailable(), BEA: KeyError("defect")})
        given = [(each, None) for each in (TEAM, ANN, BEA, CARL)]
        plan = self.successResultOf(self.start(given, ResolveStep(directory)))
        self.assertEqual((plan.copies, sent(plan)), ((copy(TEAM, 2),), [(SAM, FOUND, [BOB])]))
        refused = {one.given: type(one.refusal) for one in plan.refused}
        self.assertEqual(refused, {ANN: StoreUnavailable, BEA: TemporaryFailure, CARL: NoSuchUser})
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_what_was_looked_up_is_not_looked_up_again(self) -> None:
        self.assertEqual(self.plan([(ANN, (AT_ANN,))], ResolveStep(Directory({}))).copies, (copy(ANN, 1),))

    def test_what_nobody_can_look_up_waits(self) -> None:
        plan = self.plan([(ANN, None), (BEA, (AT_BEA,))])
        self.assertEqual([(one.given, type(one.refusal)) for one in plan.refused], [(ANN, TemporaryFailure)])
        self.assertEqual(plan.copies, (copy(BEA, 2),))

    def test_the_decision_of_the_checks_goes_by_the_address_that_was_given(self) -> None:
        decision = Decision(prefix=FOUND, disposals={ANN: Disposal.JUNK, TEAM: Disposal.DISCARD, BOB: Disposal.JUNK})
        given = [(TEAM, (AT_ANN, AT_BEA, TO_CARL)), (ANN, (AT_ANN,)), (BEA, (AT_BEA,)), (BOB, (TO_BOB,))]
        plan = self.plan(given, JunkStep(), decision=decision)
        self.assertEqual(plan.copies, (copy(ANN, 1, special_use=SpecialUse.JUNK), copy(BEA, 2)))
        self.assertEqual(sent(plan), [(SAM, FOUND, [BOB])])
        self.assertEqual({note.did for note in plan.notes}, {"placed", "discarded"})
        self.assertEqual(plan.refused, ())


class FailingStepTests(PlanTestCase):
    """A step costs its recipients nothing but the step."""

    def check(self, plan: DeliveryPlan, events: list[dict[str, Any]], reason: str = "") -> None:
        """As if the step were not there, apart from what is told; the step behind it has been asked."""
        self.assertEqual((plan.copies, sent(plan)), ((copy(ANN, 1, mailbox="behind"),), [(SAM, FOUND, [BOB])]))
        self.assertEqual((plan.added, plan.refused), ((), ()))
        (told,) = [event for event in events if event.get("event")]
        self.assertEqual((told["event"], told["step"], told["queue_id"]), ("delivery.step_failed", "broken", "1"))
        (note, other) = plan.notes
        self.assertEqual((note.step, note.recipient, note.did, other.step), ("broken", None, "failed", "behind"))
        self.assertIn(reason, note.why)

    def given(self, decide: Any) -> tuple[GivenRecipients, IDeliveryStep, IDeliveryStep]:
        def behind(_: Any, recipients: Any, __: Any) -> Any:
            return [Place(one, (Placement("behind"),)) for one in recipients if one.placements]

        return [(ANN, (AT_ANN,)), (BOB, (TO_BOB,))], step("broken", decide), step("behind", behind)

    def test_one_that_raises(self) -> None:
        def raises(*_: Any) -> Any:
            raise KeyError("defect")

        for answer in (raises, lambda *_: fail(KeyError("defect"))):
            with captured_logs() as events:
                planned = self.start(*self.given(answer))
            plan = self.successResultOf(planned) if isinstance(planned, Deferred) else planned
            self.check(plan, events, "defect")
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_one_that_says_that_it_cannot(self) -> None:
        for error in (StoreUnavailable(), CancelledError()):
            with captured_logs() as events:
                plan = self.successResultOf(self.start(*self.given(lambda *_, e=error: fail(e))))
            self.check(plan, events)

    def test_one_that_never_answers(self) -> None:
        answer: Deferred[Any] = Deferred()
        with captured_logs() as events:
            planned = self.start(*self.given(lambda *_: answer))
            self.clock.advance(STEP_TIMEOUT_S - 1)
            self.assertNoResult(planned)
            self.clock.advance(1)
        self.check(self.successResultOf(planned), events, "no answer within 10 s")
        self.assertTrue(answer.called)

    def test_one_that_does_not_end_when_it_is_called_off_and_answers_too_late(self) -> None:
        answer: Deferred[Any] = Deferred(lambda waiting: waiting.pause())
        with captured_logs() as events:
            planned = self.start(*self.given(lambda _, recipients, __: answer))
            self.clock.advance(STEP_TIMEOUT_S)
            plan = self.successResultOf(planned)
            answer.unpause()
        self.check(plan, events, "no answer")

    def test_one_that_answers_nonsense_does_none_of_it(self) -> None:
        stranger = self.plan([(ANN, (AT_ANN,))]).recipients[0]
        nonsense: Sequence[Any] = (
            lambda one, other: 5,
            lambda one, other: ["no action"],
            lambda one, other: [Discard(one), None],
            lambda one, other: [Discard(one), Discard(stranger)],
            lambda one, other: [Place(other, (Placement(),))],
            lambda one, other: [Place(one, ("INBOX",))],  # type: ignore[arg-type]
            lambda one, other: [Place(one, None)],  # type: ignore[arg-type]
            lambda one, other: [Place(one, (Placement(b"x"),))],  # type: ignore[arg-type]
            lambda one, other: [Place(one, (Placement("a\0b"),))],
            lambda one, other: [Place(one, (Placement("\udc80"),))],
            lambda one, other: [Place(one, (Placement(flags=Flags(keywords=frozenset({"a b"}))),))],
            lambda one, other: [Place(one, (Placement(prefix=b"X: no line end"),))],
            lambda one, other: [SendOn(one, (BOB,))],  # type: ignore[arg-type]
            lambda one, other: [SendOn(one, (Transmission("bob@b.example", None),))],  # type: ignore[arg-type]
            lambda one, other: [Refuse(one, ValueError())],  # type: ignore[arg-type]
            lambda one, other: [Resolve(one, ("ann",))],  # type: ignore[arg-type]
            lambda one, other: [AddMessage(b"", Envelope(None, ()))],
            lambda one, other: [AddMessage("text", Envelope(None, (ANN,)))],  # type: ignore[arg-type]
        )
        for number, answer in enumerate(nonsense):
            for wrap in (lambda actions: actions, succeed):
                with self.subTest(number=number), captured_logs() as events:
                    decide = lambda _, recipients, __, a=answer, w=wrap: w(a(*recipients))  # noqa: E731
                    planned = self.start(*self.given(decide))
                    plan = self.successResultOf(planned) if isinstance(planned, Deferred) else planned
                    self.check(plan, events)
        self.assertEqual(len(self.flushLoggedErrors(TypeError, AttributeError)), 2 * len(nonsense))

    def test_a_plan_that_is_called_off_calls_off_the_step_and_asks_no_other(self) -> None:
        answer: Deferred[Any] = Deferred()
        asked: list[str] = []
        planned = self.start(
            [(ANN, (AT_ANN,))],
            step("slow", lambda *_: answer),
            step("next", lambda *_: asked.append("next") or ()),
        )
        assert isinstance(planned, Deferred)
        planned.cancel()
        self.failureResultOf(planned, CancelledError)
        self.assertTrue(answer.called)
        self.assertEqual((asked, self.clock.getDelayedCalls()), ([], []))

    def test_no_timer_is_left_of_a_step_that_answers(self) -> None:
        answer: Deferred[Any] = Deferred()
        planned = self.start([(ANN, (AT_ANN,))], step("slow", lambda *_: answer))
        answer.callback(())
        self.assertEqual(self.successResultOf(planned).copies, (copy(ANN, 1),))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TapTests(unittest.TestCase):
    """Steps that hear a message as it comes in."""

    def test_only_those_that_want_to_are_asked_and_one_that_fails_hears_nothing(self) -> None:
        class Ear:
            def write(self, octets: bytes) -> None:
                """Nothing is kept."""

        ear = Ear()

        class Listening(DeliveryStep):
            name = "listening"

            def tap(self, envelope: Envelope, recipients: GivenRecipients, peer: Peer) -> Any:
                return ear

        class Broken(DeliveryStep):
            name = "broken"

            def tap(self, envelope: Envelope, recipients: GivenRecipients, peer: Peer) -> Any:
                raise OSError

        planner = DeliveryPlanner([Listening(), Broken(), step("deaf", lambda *_: ())], Clock(), STEP_TIMEOUT_S)
        with captured_logs() as events:
            self.assertEqual(planner.taps(Envelope(None, (ANN,)), [(ANN, (AT_ANN,))], PEER), {"listening": ear})
        self.assertEqual([(one["event"], one["step"]) for one in events], [("delivery.step_tap_failed", "broken")])
