"""Steps that refuse recipients of a message for which there is one reply, or that add messages to it."""

from __future__ import annotations

import email
import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.history import HistorySettings
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.errors import LimitReached, MailError, NoSuchAccount, Refusal
from pymailsuite.interfaces.delivery import AddMessage, Place, Placement, Refuse
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, Address, Envelope, QueueId, content_id_of
from tests.delivery.test_intake import HELLO, SENDER, IntakeTestCase
from tests.support.delivery import planner_for, step

ANN, BEA = Address("ann", "example.org"), Address("bea", "example.org")


class TooLate(Refusal):
    """A refusal of a step's own."""

    smtp_code = 552
    enhanced_code = "5.2.2"
    text = "Mailbox full for good"


class RefusalTests(IntakeTestCase):
    def use_step(self, decide: Any) -> None:
        planner = planner_for(self.store, self.clock, step("quota", decide))
        history = HistoryRecorder(HistorySettings(), self.store.history, self.clock)
        self.intake = MessageIntake(
            self.store, DeliverySettings(), planner, "mx.example.org", self.clock, history=history
        )

    def refusing(self, errors: Mapping[Address, MailError]) -> None:
        self.use_step(
            lambda message, recipients, _: [
                Refuse(one, errors[one.given], "for a reason") for one in recipients if one.given in errors
            ]
        )

    def both(self) -> Any:
        return [*self.local("ann", self.ann), *self.local("bea", self.bea)]

    def attempt(self, **fields: Any) -> Deferred[QueueId]:
        message = self.open(self.both(), **fields)
        message.write(HELLO)
        return message.commit()

    def facts(self, queue_id: QueueId) -> dict[str, Any]:
        story = self.successResultOf(self.store.history.story(content_id_of(queue_id)))
        facts: dict[str, Any] = json.loads(story.entries[0].facts)
        return facts

    def contents(self) -> int:
        def count_txn(txn: Transaction) -> int:
            return int(txn.value("SELECT COUNT(*) FROM contents"))

        return self.successResultOf(self.store.database.read("count", count_txn))

    def test_if_all_are_refused_the_message_is(self) -> None:
        self.refusing({ANN: TooLate(), BEA: Refusal()})
        self.assertEqual(self.failureResultOf(self.attempt(), TooLate).value.smtp_code, 552)
        self.assertEqual(self.contents(), 0)

    def test_if_one_is_refused_for_now_the_message_is(self) -> None:
        """It comes again, and then nobody has had it twice."""
        self.refusing({BEA: LimitReached()})
        self.assertEqual(self.failureResultOf(self.attempt(), LimitReached).value.smtp_code, 452)
        self.assertEqual(self.contents(), 0)

    def test_the_sender_gets_a_report_on_some_of_several(self) -> None:
        self.refusing({BEA: TooLate()})
        queue_id = self.successResultOf(self.attempt())
        self.assertEqual((len(self.mail(self.ann)), self.mail(self.bea)), (1, []))
        (entry,) = self.successResultOf(self.store.queue.entries())
        self.assertEqual((entry.reverse_path, entry.recipients[0].address), (None, SENDER))
        octets = self.successResultOf(entry.source(self.store.read_content).read(0, entry.size))
        report = email.message_from_bytes(octets)
        self.assertEqual(report["To"], "<sam@peer.example>")
        status = str(list(report.walk())[2])
        for line in (
            "Final-Recipient: rfc822; bea@example.org",
            "Action: failed",
            "Status: 5.2.2",
            "552 5.2.2 Mailbox full for good",
        ):
            self.assertIn(line, " ".join(octets.decode().split()), status)
        self.assertIn("Subject: hello", octets.decode())
        facts = self.facts(queue_id)
        self.assertEqual(
            facts["recipients"],
            [
                {"recipient": "ann@example.org", "account_id": self.ann, "mailbox": "INBOX"},
                {"recipient": "bea@example.org", "reply": "552 5.2.2 Mailbox full for good"},
            ],
        )
        self.assertEqual(
            facts["steps"],
            [{"step": "quota", "recipient": "bea@example.org", "did": "refused", "why": "for a reason"}],
        )
        self.assertEqual(self.facts(entry.queue_id)["about"], queue_id)

    def test_nobody_gets_a_report_on_a_report(self) -> None:
        self.refusing({BEA: TooLate()})
        self.successResultOf(self.attempt(reverse_path=None))
        self.assertEqual((len(self.mail(self.ann)), self.successResultOf(self.store.queue.entries())), (1, []))

    def test_a_sender_of_ours_gets_it_into_the_inbox(self) -> None:
        self.refusing({BEA: TooLate()})
        self.successResultOf(self.attempt(reverse_path=ANN))
        self.assertEqual(len(self.mail(self.ann)), 2)

    def test_an_added_message_is_accepted_with_the_message_or_not_at_all(self) -> None:
        note = AddMessage(b"From: <>\r\nSubject: note\r\n\r\n", Envelope(None, (BEA, Address("gone", "example.org"))))
        self.use_step(lambda *_: [note])
        message = self.open(self.local("ann", self.ann))
        message.write(HELLO)
        queue_id = self.successResultOf(message.commit())
        self.assertEqual((len(self.mail(self.ann)), len(self.mail(self.bea))), (1, 1))
        self.assertTrue(self.mail(self.bea)[0].endswith(note.octets))
        self.assertEqual(self.facts(queue_id)["steps"][0]["did"], "added")
        before = self.contents()
        gone = self.open(self.local("gone", AccountId(999)))
        gone.write(HELLO)
        self.failureResultOf(gone.commit(), NoSuchAccount)
        self.assertEqual((len(self.mail(self.bea)), self.contents()), (1, before))

    def test_what_was_placed_is_told_with_the_step_that_did_it(self) -> None:
        self.use_step(
            lambda _, recipients, __: [Place(one, (Placement("Lists"),), "List-Id: <x>") for one in recipients]
        )
        self.successResultOf(self.store.account_mail(self.ann).create_mailbox("Lists", None))
        queue_id = self.take(self.local("ann", self.ann))
        self.assertEqual(len(self.mail(self.ann, "Lists")), 1)
        facts = self.facts(queue_id)
        self.assertEqual(facts["recipients"][0]["mailbox"], "Lists")
        self.assertEqual(
            facts["steps"], [{"step": "quota", "recipient": "ann@example.org", "did": "placed", "why": "List-Id: <x>"}]
        )

    def test_a_step_that_fails_is_told_too(self) -> None:
        def broken(*_: Any) -> Any:
            raise KeyError("defect")

        self.use_step(broken)
        queue_id = self.take(self.local("ann", self.ann))
        self.assertEqual(len(self.mail(self.ann)), 1)
        self.assertEqual(
            self.facts(queue_id)["steps"], [{"step": "quota", "recipient": "", "did": "failed", "why": "'defect'"}]
        )
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
