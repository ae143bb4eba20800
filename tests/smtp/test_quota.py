"""Full accounts: refused at RCPT, and never in the way of the others."""

from __future__ import annotations

import email
from typing import Any

from twisted.internet.defer import Deferred

from pymailsuite.config.sections.quota import QuotaSettings
from pymailsuite.delivery.late import LateDelivery
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.interfaces import RecipientState
from pymailsuite.interfaces.quota import Quota
from pymailsuite.values import ALL_UIDS, Address, content_id_of
from tests.acceptance import acceptance
from tests.smtp.real_door import ANN, BEA, HELLO, RealDoorTestCase
from tests.support.delivery import planner_for
from tests.support.stores import append, fired


def message(size: int) -> bytes:
    """A message of so many octets."""
    return HELLO + b"x" * (size - len(HELLO) - 2) + b"\r\n"


class QuotaCase(RealDoorTestCase):
    def limit(self, whose: Any, **limits: Any) -> None:
        fired(self.store.directory.change_account_quota(str(whose), lambda _: Quota(**limits)))

    def fill(self, whose: Any, octets: int) -> None:
        account = fired(self.store.directory.account(str(whose)))
        append(self.store, account, "INBOX", message(octets))  # type: ignore[arg-type]

    def empty(self, whose: Any) -> None:
        mail = self.store.account_mail(self.accounts[whose])
        fired(mail.remove_messages(fired(mail.mailbox("INBOX")).mailbox_id, ALL_UIDS))  # type: ignore[attr-defined]

    def facts(self, queue_id: str) -> str:
        story = fired(self.store.history.story(content_id_of(queue_id)))  # type: ignore[arg-type]
        return str(story.entries[0].facts)  # type: ignore[attr-defined]

    def try_again(self) -> Any:
        """The next attempt of the only entry in the queue."""
        (entry,) = self.queued()
        own = OwnMessages(self.store, self.planner)
        late = LateDelivery(self.resolver, self.planner, own, self.store.read_content, self.clock)
        return fired(Deferred.fromCoroutine(late.deliver(entry, entry.recipients)))


class DeferringTests(QuotaCase):
    """``over_quota = "defer"``."""

    quota = QuotaSettings()

    @acceptance("S125", "S206")
    def test_a_full_account_is_deferred_at_rcpt_and_the_others_get_the_message(self) -> None:
        self.start()
        self.limit(BEA, storage=1000)
        self.fill(BEA, 1000)
        said = self.client.say(
            "EHLO client.example", "MAIL FROM:<sam@peer.example>", f"RCPT TO:<{BEA}>", f"RCPT TO:<{ANN}>", "DATA"
        )
        self.assertIn("452 4.2.2 <bea@example.org> Mailbox is full", said)
        self.assertIn("250 2.1.5 Recipient ok", said)
        self.assertIn("250 2.0.0", self.give(HELLO))
        self.assertEqual((len(self.mail(ANN)), self.queued()), (1, []))

    def test_the_declared_size_counts(self) -> None:
        self.start()
        self.limit(ANN, storage=1000)
        self.fill(ANN, 400)
        for size, code in ((700, "250 2.1.5"), (701, "452 4.2.2")):
            said = self.client.say("EHLO c.example", f"MAIL FROM:<sam@peer.example> SIZE={size}", f"RCPT TO:<{ANN}>")
            self.assertIn(f"\n{code}", said)
            self.client.say("RSET")

    def test_a_refusal_is_told_with_numbers_to_operators_alone(self) -> None:
        self.start()
        self.limit(ANN, messages=1)
        self.fill(ANN, 100)
        said = self.client.say("EHLO c.example", "MAIL FROM:<sam@peer.example>", f"RCPT TO:<{ANN}>")
        self.assertNotIn("1 of 1", said)
        self.history.startService()
        fired(self.history.stopService())
        (story,) = fired(self.store.history.about(str(ANN), 0.0, 10))  # type: ignore[misc]
        self.assertIn("1 of 1 messages are there, and 1 more do not fit", story.entries[0].facts)

    def test_many_refusals_of_full_accounts_end_no_connection(self) -> None:
        self.start()
        self.limit(ANN, messages=1)
        self.fill(ANN, 100)
        said = self.client.say("EHLO c.example", "MAIL FROM:<sam@peer.example>", *[f"RCPT TO:<{ANN}>"] * 150)
        self.assertEqual(said.count("452 4.2.2"), 150)
        self.assertIn("250 2.1.5", self.client.say(f"RCPT TO:<{BEA}>"))

    def test_a_message_that_turns_out_too_long_for_one_is_queued_for_that_one(self) -> None:
        self.start()
        self.limit(BEA, storage=1000)
        said = self.send(message(1500), ANN, BEA)
        self.assertIn("250 2.0.0", said)
        queue_id = said.split()[2]
        self.assertEqual((len(self.mail(ANN)), len(self.mail(BEA))), (1, 0))
        (entry,) = self.queued()
        (waiting,) = entry.recipients
        self.assertEqual((waiting.address, entry.queue_id, entry.held), (BEA, queue_id, False))
        self.assertIn("0 of 1000 octets are used", self.facts(queue_id))
        (outcome,) = self.try_again().outcomes
        self.assertEqual((outcome.state, outcome.status), (RecipientState.DELAYED, "4.2.2"))
        self.limit(BEA, storage=5000)
        again = self.try_again()
        self.assertEqual([one.state for one in again.outcomes], [RecipientState.DELIVERED])
        self.assertEqual([one.account_id for one in again.deliveries], [self.accounts[BEA]])

    def test_a_message_that_fits_for_nobody_is_refused_for_now(self) -> None:
        self.start()
        self.limit(ANN, storage=1000)
        self.limit(BEA, storage=1000)
        self.assertIn("452 4.2.2 Mailbox is full", self.send(message(1500), ANN, BEA))
        self.assertEqual((self.mail(ANN), self.mail(BEA), self.queued()), ([], [], []))
        self.assertIn("250 2.0.0", self.send(message(500), ANN, BEA))

    def test_a_defect_of_the_store_refuses_the_recipient_for_now(self) -> None:
        self.start()
        self.limit(ANN, storage=1000)
        fired(self.resolver.resolve(ANN))
        fired(self.store.close())
        said = self.client.say("EHLO c.example", "MAIL FROM:<sam@peer.example>", f"RCPT TO:<{ANN}>")
        self.assertIn("451 4.3.0 <ann@example.org> Mail store unavailable", said)

    def test_an_alias_is_open_as_long_as_one_of_its_accounts_has_room(self) -> None:
        self.start()
        both = Address("both", "example.org")
        fired(self.store.directory.set_alias(both, [ANN, BEA]))
        self.limit(ANN, messages=1)
        self.fill(ANN, 100)
        self.assertIn("250 2.0.0", self.send(HELLO, both))
        self.assertEqual((len(self.mail(ANN)), len(self.mail(BEA)), len(self.queued())), (1, 1, 1))
        self.limit(BEA, messages=1)
        self.clock.advance(60)
        said = self.client.say("MAIL FROM:<sam@peer.example>", f"RCPT TO:<{both}>")
        self.assertIn("452 4.2.2", said)


class RejectingTests(QuotaCase):
    """``over_quota = "reject"``."""

    quota = QuotaSettings(over_quota="reject")

    @acceptance("S125")
    def test_a_full_account_is_refused_at_rcpt(self) -> None:
        self.start()
        self.limit(BEA, storage=1000)
        self.fill(BEA, 1000)
        said = self.client.say("EHLO c.example", "MAIL FROM:<sam@peer.example>", f"RCPT TO:<{BEA}>")
        self.assertIn("552 5.2.2 <bea@example.org> Mailbox is full", said)

    def test_the_sender_gets_a_report_on_the_one_it_is_too_long_for(self) -> None:
        self.start()
        self.limit(BEA, storage=1000)
        self.assertIn("250 2.0.0", self.send(message(1500), ANN, BEA))
        self.assertEqual((len(self.mail(ANN)), len(self.mail(BEA))), (1, 0))
        (entry,) = self.queued()
        octets = fired(entry.source(self.store.read_content).read(0, entry.size))
        report = email.message_from_bytes(octets)  # type: ignore[arg-type]
        self.assertEqual((entry.reverse_path, report["To"]), (None, "<sam@peer.example>"))
        for line in (b"Final-Recipient: rfc822; bea@example.org", b"Status: 5.2.2"):
            self.assertIn(line, octets)  # type: ignore[arg-type]
        self.assertIn("552 5.2.2 Mailbox is full", self.send(message(1500), BEA))

    def test_a_report_reaches_a_sender_of_ours_who_is_full(self) -> None:
        self.start()
        self.limit(ANN, messages=1)
        self.limit(BEA, storage=1000)
        self.fill(ANN, 100)
        bob = Address("bob", "example.org")
        fired(self.store.directory.add_account(str(bob), "", ""))
        self.begin(bob, BEA, sender=str(ANN))
        self.assertIn("250 2.0.0", self.give(message(1500)))
        self.assertEqual(len(self.mail(ANN)), 2)

    def test_mail_in_the_queue_for_a_full_account_fails(self) -> None:
        self.quota = QuotaSettings()
        self.start()
        self.limit(BEA, storage=1000)
        self.send(message(1500), ANN, BEA)
        self.planner = self.planner_of("reject")
        (outcome,) = self.try_again().outcomes
        self.assertEqual((outcome.state, outcome.status), (RecipientState.FAILED, "5.2.2"))

    def planner_of(self, over_quota: Any) -> Any:
        return planner_for(self.store, self.clock, quota=QuotaSettings(over_quota=over_quota))
