"""Whichever way a message comes in, it becomes what the plan says."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.delivery.dry_run import RecipientCheck, dry_run
from pymailsuite.delivery.dsn import DsnWriter
from pymailsuite.delivery.incoming import ReceivingRules
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.delivery.late import LateDelivery
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.directory import RecipientResolver
from pymailsuite.interfaces import Acceptance, Notify, OutgoingEnvelope, QueuedRecipient, Ret
from pymailsuite.interfaces.delivery import AddMessage, DeliveryMessage, DeliveryPlan, Place, Placement
from pymailsuite.interfaces.intake import GivenRecipients
from pymailsuite.interfaces.policy import Decision, Disposal
from pymailsuite.message.dsn import Action, Dsn, DsnRecipient
from pymailsuite.values import Address, Envelope, Peer, QueueId
from tests.support.delivery import planner_for, step
from tests.support.policies import chain_of
from tests.support.stores import make_account, make_store

SAM, ANN, BEA = Address("sam", "peer.example"), Address("ann", "example.org"), Address("bea", "example.org")
TEAM, BOB = Address("team", "example.org"), Address("bob", "b.example")
STRANGER, USER = Peer("192.0.2.1", helo="mx.peer.example"), Peer("192.0.2.2", login="bea@example.org")
HEADER = b"From: sam@peer.example\r\nMessage-ID: <1@peer.example>\r\nDate: Sun, 22 Nov 2026 03:00:00 +0000\r\n\r\n"
MESSAGE = HEADER + b"Hello\r\n"
FOUND = b"Authentication-Results: mx.example.org; spf=pass\r\n"
COPY_OF_COPY = AddMessage(HEADER, Envelope(None, (BEA,)))


def _sort(message: DeliveryMessage, recipients: Any, decision: Decision) -> Any:
    """Depends on all that a step is told: who it comes from, its header and its size, and what it was decided."""
    facts = (message.envelope.reverse_path, len(message.header), message.size, message.peer.login, len(decision.prefix))
    name = "-".join(map(str, facts))
    return [*[Place(one, (Placement(f"{one.given}-{name}"),)) for one in recipients if one.placements], COPY_OF_COPY]


async def _all_text(pieces: Any) -> str:
    return "".join([piece async for piece in pieces])


class WayInTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = make_store(self.clock)
        make_account(self.store, "ann@example.org")
        make_account(self.store, "bea@example.org")
        self.successResultOf(self.store.directory.set_alias(TEAM, [ANN, BOB]))
        self.recipients = RecipientResolver(DirectorySettings(), self.store.directory, self.clock)
        self.texts: list[str] = []
        """What a step read of each message."""
        steps = (step("read", self.read), step("sort", _sort))
        self.planner = planner_for(self.store, self.clock, *steps, recipients=self.recipients)
        self.own_messages = OwnMessages(self.store, self.planner)
        self.accepted: list[Acceptance] = []
        accept = self.store.queue.accept
        self.patch(self.store.queue, "accept", lambda one: self.accepted.append(one) or accept(one))

    def read(self, message: DeliveryMessage, recipients: Any, decision: Decision) -> Any:
        content = message.content
        if content is not None and not message.automatic:
            self.texts.append(self.settled(_all_text(content.text(content.parts().root))))
            self.assertEqual(message.header, HEADER)
        return ()

    def settled(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def resolved(self, *addresses: Address) -> GivenRecipients:
        return [(address, self.successResultOf(self.recipients.resolve(address))) for address in addresses]

    def planned(self, given: GivenRecipients, decision: Decision, **message: Any) -> DeliveryPlan:
        """What the plan says of the same message."""
        envelope = Envelope(SAM, tuple(one for one, _ in given))
        told = DeliveryMessage(QueueId("?"), envelope, STRANGER, len(MESSAGE), HEADER)
        plan = self.planner.plan(evolve(told, **message), given, decision)
        return self.successResultOf(plan) if isinstance(plan, Deferred) else plan

    def check(self, acceptance: Acceptance, plan: DeliveryPlan) -> None:
        """It is what the plan says, and says something."""
        self.assertEqual(
            (acceptance.deliveries, acceptance.outgoing, acceptance.fields), (plan.copies, plan.outgoing, plan.fields)
        )
        self.assertTrue(plan.copies)
        along = [(each.deliveries, each.outgoing) for each in acceptance.along]
        automatic = {"size": len(HEADER), "peer": Peer(""), "automatic": True}
        added = self.planned([(BEA, None)], Decision(), envelope=COPY_OF_COPY.envelope, **automatic)
        self.assertEqual(along, [(added.copies, added.outgoing)] * len(plan.added))

    def test_smtp_and_submission(self) -> None:
        for peer in (STRANGER, USER):
            for disposals in ({}, {TEAM: Disposal.JUNK, BEA: Disposal.DISCARD}):
                given = self.resolved(TEAM, BEA)
                message = MessageIntake(
                    self.store, DeliverySettings(), self.planner, "mx.example.org", self.clock
                ).open(Envelope(SAM, (TEAM, BEA)), given, peer)
                message.write(MESSAGE)
                self.successResultOf(message.commit(FOUND, (), disposals))
                plan = self.planned(given, Decision(prefix=FOUND, disposals=disposals), peer=peer)
                self.check(self.accepted.pop(), plan)
                self.assertEqual(self.texts.pop(), "Hello\r\n")
                self.assertEqual(len(plan.copies), 1 if disposals else 2)

    def test_a_message_whose_recipients_nobody_has_looked_up(self) -> None:
        intake = MessageIntake(self.store, DeliverySettings(), self.planner, "mx.example.org", self.clock)
        message = intake.open(Envelope(SAM, (TEAM,)), [(TEAM, None)], STRANGER)
        message.write(MESSAGE)
        self.successResultOf(message.commit(FOUND))
        self.check(self.accepted.pop(), self.planned(self.resolved(TEAM), Decision(prefix=FOUND)))

    def test_a_report(self) -> None:
        failed = DsnRecipient(BOB, Action.FAILED, "5.1.1")
        report = Dsn("mx.example.org", "1", self.clock.seconds(), TEAM, (failed,), HEADER, len(HEADER))
        acceptance = self.settled(DsnWriter(self.own_messages, self.clock, 0).write(report))
        content = acceptance.content
        plan = self.planned(
            [(TEAM, None)],
            Decision(),
            envelope=Envelope(None, (TEAM,)),
            peer=Peer(""),
            size=content.size,
            header=b"x" * content.structure.header_size,
            automatic=True,
            origin="report on 1",
        )
        self.check(acceptance, plan)

    def test_a_recipient_that_has_become_local_while_it_waited(self) -> None:
        writer = self.store.new_content()
        writer.write(MESSAGE)
        waiting = OutgoingEnvelope(SAM, (QueuedRecipient(0, TEAM, "example.org"),), FOUND, origin="192.0.2.1")
        content = self.successResultOf(writer.finish())
        self.successResultOf(self.store.queue.accept(Acceptance(content, outgoing=(waiting,))))
        (entry,) = self.successResultOf(self.store.queue.entries())
        late = LateDelivery(self.recipients, self.planner, self.own_messages, self.store.read_content, self.clock)
        done = self.settled(late.deliver(entry, entry.recipients))
        plan = self.planned([(TEAM, None)], Decision(prefix=FOUND), peer=Peer(""), from_queue=True, origin="192.0.2.1")
        copies = tuple(evolve(copy, prefix=copy.prefix + FOUND) for copy in plan.copies)
        self.assertEqual((done.deliveries, done.outgoing, done.notes), (copies, plan.outgoing, plan.notes))
        self.assertEqual(self.texts, ["Hello\r\n"])
        self.assertEqual((len(done.along), done.outcomes[0].reply), (1, "delivered here and sent on to bob@b.example"))

    def test_the_senders_wishes_go_on_with_mail_that_is_sent_on_late(self) -> None:
        writer = self.store.new_content()
        writer.write(MESSAGE)
        asked = QueuedRecipient(0, TEAM, "example.org", notify=Notify.NEVER, orcpt="rfc822;team@example.org")
        waiting = OutgoingEnvelope(SAM, (asked,), envid="E1", ret=Ret.HDRS, priority=3)
        content = self.successResultOf(writer.finish())
        self.successResultOf(self.store.queue.accept(Acceptance(content, outgoing=(waiting,))))
        (entry,) = self.successResultOf(self.store.queue.entries())
        late = LateDelivery(self.recipients, self.planner, self.own_messages, self.store.read_content, self.clock)
        (envelope,) = self.settled(late.deliver(entry, entry.recipients)).outgoing
        (one,) = envelope.recipients
        self.assertEqual((envelope.envid, envelope.ret, envelope.priority), ("E1", Ret.HDRS, 3))
        self.assertEqual((one.address, one.notify, one.orcpt), (BOB, Notify.NEVER, "rfc822;team@example.org"))

    def test_a_dry_run(self) -> None:
        rules = ReceivingRules(DeliverySettings(), "mx.example.org", "mx.example.org", self.clock)
        check = RecipientCheck(self.recipients, "550", self.planner)
        told = self.settled(dry_run(chain_of(), rules, STRANGER, SAM, (TEAM, BEA), [MESSAGE], check))
        given = self.resolved(TEAM, BEA)
        self.assertEqual(told.plan, self.planned(given, told.last))
        self.assertEqual([one.given for one in told.plan.recipients], [TEAM, TEAM, BEA])
        self.assertEqual((self.accepted, self.texts), ([], ["Hello\r\n"]))
