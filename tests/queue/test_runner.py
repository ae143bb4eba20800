"""The queue at work: real store, real relay, hosts in memory, time by hand."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.queue import QueueSettings
from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.delivery.dsn import DsnWriter
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.delivery.late import LateDelivery
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.delivery.steps.forward import forwarded_mark
from pymailsuite.directory.resolver import RecipientResolver
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import StorageFull
from pymailsuite.interfaces import (
    Acceptance,
    Column,
    LocalRecipient,
    Notify,
    Outcome,
    OutgoingEnvelope,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
    RemoteRecipient,
    Ret,
)
from pymailsuite.interfaces.quota import DomainQuota, Limits, Quota
from pymailsuite.queue.presence import Presence
from pymailsuite.queue.runner import QueueRunner
from pymailsuite.relay.relay import Relay
from pymailsuite.values import ALL_UIDS, AccountId, Address, BodyType, EntryId, Envelope, Peer, QueueId
from tests.acceptance import acceptance
from tests.support.delivery import planner_for
from tests.support.smtp_sink import CLOSE, SILENCE, MemoryInternet, SmtpSink
from tests.support.stores import make_account, make_store

HELLO = b"Message-ID: <1@example.org>\r\nFrom: ann@example.org\r\nSubject: hello\r\n\r\nWorld\r\n"
ANN = Address("ann", "example.org")
BOB, CARL = Address("bob", "b.example"), Address("carl", "c.example")
HOUR, DAY = 3600.0, 86400.0


class QueueTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.internet = MemoryInternet()
        self.internet.advance(1_770_000_000)
        self.store = make_store(self.internet)
        self.ann = make_account(self.store, "ann@example.org").account_id
        self.resolver = FakeResolver(
            mx={
                "b.example": [(10, "mx.b.example")],
                "bücher.example": [(10, "mx.b.example")],
                "c.example": [(10, "mx.c.example")],
            },
            a={"mx.b.example": ["192.0.2.1"], "mx.c.example": ["192.0.2.2"]},
        )
        self.recipients = RecipientResolver(DirectorySettings(), self.store.directory, self.internet)
        self.planner = planner_for(self.store, self.internet, recipients=self.recipients)
        self.intake = MessageIntake(self.store, DeliverySettings(), self.planner, "mx.example.org", self.internet)
        self.runner = self.make_runner()

    def make_runner(
        self, relay: Any = None, store: Any = None, presence: Presence | None = None, **options: Any
    ) -> QueueRunner:
        store = store or self.store
        relay = relay or Relay(
            RelaySettings(), "mx.example.org", self.resolver, self.store.read_content, self.internet, random.Random(1)
        )
        own_messages = OwnMessages(store, self.planner)
        reports = DsnWriter(own_messages, self.internet, 1000)
        here = LateDelivery(self.recipients, self.planner, own_messages, store.read_content, self.internet)
        presence = presence or Presence(Path(self.mktemp()), "mx.example.org")
        self.addCleanup(presence.leave)
        return QueueRunner(
            QueueSettings(**options),
            "mx.example.org",
            store,
            relay,
            reports,
            here,
            presence,
            self.internet,
            random.Random(1),
        )

    def host(self, ip: str = "192.0.2.1", script: Any = None, **options: Any) -> SmtpSink:
        sink = SmtpSink(self.internet, script, **options)
        self.internet.listen(ip, 25, sink)
        return sink

    def submit(
        self,
        *addresses: Address,
        sender: Address | None = ANN,
        octets: bytes = HELLO,
        alias: Address | None = None,
        prefix: bytes = b"",
        **declared: Any,
    ) -> QueueId:
        addresses = addresses or (BOB,)
        recipients: list[tuple[Address, Sequence[LocalRecipient | RemoteRecipient]]]
        if alias is not None:
            recipients = [(alias, [RemoteRecipient(address) for address in addresses])]
        else:
            recipients = [(address, [RemoteRecipient(address)]) for address in addresses]
        message = self.intake.open(Envelope(sender, addresses, **declared), recipients, Peer("192.0.2.9"))
        message.write(octets)
        return self.successResultOf(message.commit(prefix))

    def entry_of(self, queue_id: QueueId) -> EntryId:
        (entry,) = self.successResultOf(self.store.queue.entries(queue_id))
        return entry.entry_id

    def run_for(self, seconds: float = 0.2, step: float = 1.0) -> None:
        self.internet.pass_time(seconds, step)

    def queue(self) -> list[QueueEntry]:
        return self.successResultOf(self.store.queue.entries())

    def waiting(self) -> QueuedRecipient:
        (entry,) = self.queue()
        (recipient,) = entry.recipients
        return recipient

    def inbox(self, account_id: AccountId | None = None) -> list[Message]:
        account = self.store.account_mail(self.ann if account_id is None else account_id)
        box = self.successResultOf(account.mailbox("INBOX"))
        rows = self.successResultOf(account.read_messages(box.mailbox_id, ALL_UIDS, [Column.OCTETS], list))
        return [message_from_bytes(row[0]) for row in rows]

    def stop(self, runner: QueueRunner | None = None) -> None:
        stopped = Deferred.fromCoroutine((runner or self.runner).stop())
        self.internet.pass_time(15)
        self.successResultOf(stopped)


class DeliveryTests(QueueTestCase):
    @acceptance("S078")
    def test_what_was_accepted_is_sent_on_and_leaves_the_queue(self) -> None:
        sink = self.host()
        self.runner.start()
        queue_id = self.submit()
        self.run_for()
        (message,) = sink.messages
        self.assertEqual((message.reverse_path, message.recipients), ("ann@example.org", ["bob@b.example"]))
        self.assertTrue(message.content.endswith(HELLO))
        self.assertIn(queue_id.encode(), message.content)
        self.assertEqual(self.queue(), [])
        self.assertEqual(self.inbox(), [])

    @acceptance("S078")
    def test_what_was_queued_before_the_start_is_sent_on(self) -> None:
        sink = self.host()
        for _ in range(250):
            self.submit()
        self.runner.start()
        self.run_for(1)
        self.assertEqual((len(sink.messages), self.queue()), (250, []))

    def test_many_messages_go_through_few_places(self) -> None:
        sink = self.host()
        runner = self.make_runner(concurrency=4, claim_batch=3)
        for _ in range(50):
            self.submit()
        runner.start()
        self.run_for(2)
        self.assertEqual((len(sink.messages), self.queue()), (50, []))

    def test_each_route_goes_its_own_way(self) -> None:
        first, second = self.host("192.0.2.1"), self.host("192.0.2.2", {"RCPT": "451 4.2.0 later"})
        self.runner.start()
        self.submit(BOB, CARL)
        self.run_for()
        self.assertEqual(len(first.messages), 1)
        (entry,) = self.queue()
        states = {recipient.address: recipient.state for recipient in entry.recipients}
        self.assertEqual(states[CARL], RecipientState.DELAYED)
        self.assertEqual(states.get(BOB, RecipientState.DELIVERED), RecipientState.DELIVERED)
        self.assertEqual(second.messages, [])

    @acceptance("S078")
    def test_a_delayed_message_is_tried_again_in_growing_intervals(self) -> None:
        sink = self.host(script={"RCPT": ["451 4.2.0 later", "451 4.2.0 later", "250 ok"]})
        self.runner.start()
        self.submit()
        start = self.internet.seconds()
        self.run_for()
        recipient = self.waiting()
        self.assertEqual(
            (recipient.attempts, recipient.last_status, recipient.last_reply, recipient.last_host),
            (1, "4.2.0", "451 4.2.0 later", "mx.b.example"),
        )
        self.assertTrue(240 <= recipient.next_attempt - start <= 361)
        self.run_for(400)
        self.assertEqual(self.waiting().attempts, 2)
        self.assertTrue(480 <= self.waiting().next_attempt - recipient.next_attempt <= 722)
        self.run_for(800, step=10)
        self.assertEqual((len(sink.messages), self.queue()), (1, []))

    def test_a_prefix_goes_in_front_of_the_octets_and_is_counted_in_their_size(self) -> None:
        sink = self.host()
        for body in (b"World\r\n", b"y" * 998 + b"\r\n", (b"z" * 998 + b"\r\n") * 300):
            self.submit(octets=HELLO.replace(b"World\r\n", body), prefix=b"X-Found: nothing\r\n")
            (entry,) = self.queue()
            runner = self.make_runner()
            runner.start()
            self.run_for(2)
            self.stop(runner)
            octets = sink.messages[-1].content
            self.assertEqual(octets[:28], b"X-Found: nothing\r\nReceived: ")
            self.assertTrue(octets.endswith(b"\r\n\r\n" + body))
            self.assertEqual(entry.size, len(octets))
            self.assertIn(f"SIZE={len(octets)}", sink.messages[-1].mail_parameters)
            self.assertEqual(octets[entry.header_size :], body)

    def test_word_of_what_another_process_accepted_and_took_costs_no_write(self) -> None:
        self.runner.start()
        self.submit()
        self.run_for()
        self.patch(self.store.database, "_submit_write", lambda job: self.fail(job.description))
        self.store.queue.hear()
        self.run_for()

    def test_a_held_entry_stays_until_it_is_released(self) -> None:
        sink = self.host()
        queue_id = self.submit()
        self.successResultOf(self.store.queue.hold([self.entry_of(queue_id)], True))
        self.runner.start()
        self.run_for(HOUR, step=60)
        self.assertEqual(sink.messages, [])
        self.successResultOf(self.store.queue.hold([self.entry_of(queue_id)], False))
        self.run_for(61)
        self.assertEqual(len(sink.messages), 1)

    def test_a_flush_tries_at_once(self) -> None:
        sink = self.host(script={"RCPT": ["451 4.2.0 later", "250 ok"]})
        self.runner.start()
        queue_id = self.submit()
        self.run_for(1)
        self.successResultOf(self.store.queue.flush([self.entry_of(queue_id)], self.internet.seconds()))
        self.run_for(61)
        self.assertEqual(len(sink.messages), 1)

    def test_what_another_process_did_is_found_by_looking(self) -> None:
        sink = self.host(script={"RCPT": ["451 4.2.0 later", "250 ok"]})
        self.runner.start()
        queue_id = self.submit()
        self.run_for(1)
        self.patch(self.store.queue, "wake", lambda: None)
        self.successResultOf(self.store.queue.flush([self.entry_of(queue_id)], self.internet.seconds()))
        self.run_for(2)
        self.assertEqual(len(sink.messages), 1)

    def test_a_route_is_settled_when_it_ends_and_does_not_wait_for_the_others(self) -> None:
        slow: Deferred[RecipientState] = Deferred()
        relay = _ScriptedRelay(RecipientState.FAILED, slow)
        self.make_runner(relay).start()
        self.submit(BOB, CARL)
        self.run_for(1)
        (entry,) = self.queue()
        states = [recipient.state for recipient in entry.recipients]
        self.assertEqual(states, [RecipientState.FAILED, RecipientState.DELAYED])
        self.assertEqual(len(self.inbox()), 1)
        other = _ScriptedRelay(RecipientState.DELIVERED)
        self.make_runner(other).start()
        self.run_for(200)
        self.assertEqual(other.attempts, [])
        slow.callback(RecipientState.DELIVERED)
        self.run_for(1)
        self.assertEqual((self.queue(), len(self.inbox())), ([], 1))

    @acceptance("S051")
    def test_no_field_of_ours_keeps_ascii_mail_from_a_host_without_smtputf8(self) -> None:

        sink = self.host(extensions=["8BITMIME"])
        self.runner.start()
        joe, alias = Address("joe", "bücher.example"), Address("é", "example.org")
        self.submit(joe, smtputf8=True)
        self.submit(BOB, alias=alias, smtputf8=True)
        self.run_for()
        first, second = sorted(sink.messages, key=lambda message: message.recipients, reverse=True)
        self.assertEqual(first.recipients, ["joe@xn--bcher-kva.example"])
        self.assertIn(b"for <joe@xn--bcher-kva.example>", first.content)
        self.assertEqual(second.recipients, ["bob@b.example"])

    def test_a_domain_that_has_become_ours_is_delivered_to_here(self) -> None:
        sink = self.host(script={"RCPT": "451 4.2.0 later"})
        self.runner.start()
        self.submit(BOB, Address("nobody", "b.example"))
        self.run_for(1)
        self.assertEqual(len(self.queue()), 1)
        bob = make_account(self.store, "bob@b.example").account_id
        self.run_for(400)
        self.assertEqual((self.queue(), sink.messages), ([], []))
        (message,) = self.inbox(bob)
        self.assertEqual((message["Return-Path"], message["Delivered-To"]), ("<ann@example.org>", "bob@b.example"))
        (report,) = self.inbox()
        self.assertIn("nobody@b.example", report.as_string())

    def test_an_account_that_goes_meanwhile_delays_nobody_and_sends_nothing_twice(self) -> None:
        here, there = Address("bea", "late.example"), Address("gone", "late.example")
        self.successResultOf(self.store.directory.add_domain("late.example"))
        bea = make_account(self.store, "bea@late.example").account_id
        make_account(self.store, "gone@late.example")
        sink = self.host()
        settle, removed = self.store.queue.settle, []

        def settle_late(*args: Any) -> Deferred[None]:
            if not removed:
                removed.append(self.successResultOf(self.store.directory.remove_account("gone@late.example")))
            return settle(*args)

        self.patch(self.store.queue, "settle", settle_late)
        self.submit(here, there, BOB)
        self.runner.start()
        self.run_for()
        self.assertEqual(len(sink.messages), 1)
        self.assertEqual([one.state.value for one in self.queue()[0].recipients][2], "delivered")
        self.run_for(2 * HOUR, 60)
        self.assertEqual((len(sink.messages), len(self.inbox(bea)), self.queue()), (1, 1, []))
        (report,) = self.inbox()
        self.assertIn("gone@late.example", report.as_string())
        self.assertNotIn("bea@late.example", report.as_string().partition("From: ann")[0])

    def test_a_full_account_delays_its_own_mail_alone_until_there_is_room(self) -> None:
        bea, cat = (Address(name, "late.example") for name in ("bea", "cat"))
        self.submit(bea, cat)
        ids = [make_account(self.store, str(one)).account_id for one in (bea, cat)]
        directory = self.store.directory
        self.successResultOf(directory.change_account_quota(str(bea), lambda _: Quota(storage=10)))
        self.runner.start()
        self.run_for()
        self.assertEqual([len(self.inbox(one)) for one in ids], [0, 1])
        (waiting,) = [one for one in self.queue()[0].recipients if one.state is RecipientState.DELAYED]
        self.assertEqual((waiting.address, waiting.last_status), (bea, "4.2.2"))
        self.successResultOf(directory.change_account_quota(str(bea), lambda _: Quota()))
        self.run_for(HOUR, 60)
        self.assertEqual(([len(self.inbox(one)) for one in ids], self.queue()), ([1, 1], []))

    def test_recipients_that_fit_each_but_not_together_are_delivered_one_by_one(self) -> None:
        bea, cat = (Address(name, "late.example") for name in ("bea", "cat"))
        self.submit(bea, cat)
        ids = [make_account(self.store, str(one)).account_id for one in (bea, cat)]

        def set_total(messages: int) -> None:
            quota = DomainQuota(total=Limits(messages=messages))
            self.successResultOf(self.store.directory.change_domain_quota("late.example", lambda _: quota))

        set_total(1)
        self.runner.start()
        self.run_for(HOUR, 60)
        self.assertEqual([len(self.inbox(one)) for one in ids], [1, 0])
        set_total(2)
        self.run_for(3 * HOUR, 60)
        self.assertEqual(([len(self.inbox(one)) for one in ids], self.queue()), ([1, 1], []))

    def test_mail_for_a_domain_of_ours_by_now_is_planned_as_any_other(self) -> None:
        """An alias that leads on, junk or not: what SMTP would make of it."""
        team = Address("team", "late.example")
        sink = self.host()
        self.submit(team)
        self.successResultOf(self.store.directory.add_domain("late.example"))
        bea = make_account(self.store, "bea@late.example").account_id
        self.successResultOf(self.store.directory.set_alias(team, [Address("bea", "late.example"), BOB]))
        self.runner.start()
        self.run_for()
        self.assertEqual((self.queue(), len(self.inbox(bea)), len(self.inbox())), ([], 1, 0))
        (message,) = sink.messages
        self.assertEqual((message.recipients, message.reverse_path), (["bob@b.example"], "ann@example.org"))
        self.assertTrue(message.content.startswith(f"X-Forwarded-Mark: {forwarded_mark(team)}\r\n".encode()))

    def test_an_address_that_breaks_the_resolver_delays_itself_only(self) -> None:
        here, broken = Address("bea", "late.example"), Address("broken", "late.example")
        self.successResultOf(self.store.directory.add_domain("late.example"))
        bea = make_account(self.store, "bea@late.example").account_id
        resolve = self.recipients.resolve
        self.patch(
            self.recipients, "resolve", lambda address: fail(ValueError()) if address == broken else resolve(address)
        )
        self.submit(broken, here)
        self.runner.start()
        self.run_for()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(self.inbox(bea)), 1)
        (entry,) = self.queue()
        self.assertEqual([one.state.value for one in entry.recipients], ["delayed", "delivered"])

    @acceptance("S076")
    def test_recipients_of_one_message_leave_on_ways_of_their_own(self) -> None:
        sinks = [self.host(), self.host("192.0.2.2", script={"RCPT": "550 5.1.1 no"})]
        writer = self.store.new_content()
        writer.write(HELLO)
        relays = [
            QueuedRecipient(number, address, address.domain)
            for number, address in ((0, BOB), (0, Address("eve", "b.example")), (1, CARL))
        ]
        sender = Address("sam", "example.org")
        make_account(self.store, "sam@example.org")
        content = self.successResultOf(writer.finish())
        outgoing = (
            OutgoingEnvelope(sender, (relays[0],), b"X-Way: first\r\n"),
            OutgoingEnvelope(ANN, tuple(relays[1:]), b"X-Way: other\r\n"),
        )
        self.successResultOf(self.store.queue.accept(Acceptance(content, outgoing=outgoing)))
        self.runner.start()
        self.run_for()
        self.assertEqual(
            sorted((one.reverse_path, one.content[:12], *one.recipients) for one in sinks[0].messages),
            [
                ("ann@example.org", b"X-Way: other", "eve@b.example"),
                ("sam@example.org", b"X-Way: first", "bob@b.example"),
            ],
        )
        # Who is told is the sender on that way, and what is returned is what left on it.
        (report,) = self.inbox()
        self.assertIn("X-Way: other", report.as_string())
        self.assertEqual(self.queue(), [])

    def test_a_prefix_comes_along_when_a_domain_has_become_ours(self) -> None:
        self.submit(prefix=b"X-Found: nothing\r\n")
        bob = make_account(self.store, "bob@b.example").account_id
        self.runner.start()
        self.run_for()
        (message,) = self.inbox(bob)
        self.assertEqual(message.keys()[:4], ["Return-Path", "Delivered-To", "X-Found", "Received"])

    def test_an_entry_deleted_while_it_is_under_way_is_let_go(self) -> None:
        sink = self.host(script={"RCPT": SILENCE})
        self.runner.start()
        queue_id = self.submit()
        self.run_for(1)
        self.successResultOf(self.store.queue.delete([self.entry_of(queue_id)]))
        self.run_for(400, step=10)
        self.assertEqual((self.queue(), sink.messages, self.inbox()), ([], [], []))


class ReportTests(QueueTestCase):
    def report(self) -> Message:
        (report,) = self.inbox()
        return report

    def status_blocks(self, report: Message) -> list[Message]:
        status = report.get_payload(1)
        assert isinstance(status, Message)
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        return list(status.get_payload())

    @acceptance("S079", "S080")
    def test_a_refused_recipient_is_reported_to_the_sender(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.runner.start()
        queue_id = self.submit()
        self.run_for()
        self.assertEqual(self.queue(), [])
        report = self.report()
        self.assertEqual(report["Return-Path"], "<>")
        self.assertEqual(report["Delivered-To"], "ann@example.org")
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report["In-Reply-To"], "<1@example.org>")
        message, recipient = self.status_blocks(report)
        self.assertEqual(message["X-Queue-ID"], queue_id)
        self.assertEqual(recipient["Final-Recipient"], "rfc822; bob@b.example")
        self.assertEqual((recipient["Action"], recipient["Status"]), ("failed", "5.1.1"))
        self.assertEqual(recipient["Diagnostic-Code"], "smtp; 550 5.1.1 no such user")
        self.assertEqual(recipient["Remote-MTA"], "dns; mx.b.example")
        original = report.get_payload(2)
        assert isinstance(original, Message)
        self.assertEqual(original.get_content_type(), "message/rfc822")
        self.assertIn("World", original.as_string())

    @acceptance("S080")
    def test_a_report_returns_the_prefix_too(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.submit(prefix=b"X-Found: nothing\r\n")
        self.runner.start()
        self.run_for()
        returned = self.report().get_payload(2).get_payload(0)
        self.assertEqual(returned.keys()[:2], ["X-Found", "Received"])
        self.assertEqual(returned.get_payload(), "World\r\n")

    def test_a_long_message_is_returned_in_part(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.runner.start()
        self.submit(octets=HELLO + b"many more words\r\n" * 1000)
        self.run_for()
        text = self.report().get_payload(2).as_string()
        self.assertIn("Subject: hello", text)
        self.assertIn("many more words", text)
        self.assertLess(len(text), 2000)

    @acceptance("S079")
    def test_a_domain_that_does_not_exist_is_reported_without_an_attempt(self) -> None:
        self.runner.start()
        self.submit(Address("bob", "nosuch.example"))
        self.run_for()
        recipient = self.status_blocks(self.report())[1]
        self.assertEqual(recipient["Status"], "5.1.2")
        self.assertEqual(self.internet.attempts, [])

    def submit_asking(self, *recipients: QueuedRecipient, **asked: Any) -> None:
        """A message whose sender asks something of reports."""
        writer = self.store.new_content()
        writer.write(HELLO)
        envelope = OutgoingEnvelope(ANN, recipients, **asked)
        content = self.successResultOf(writer.finish())
        self.successResultOf(self.store.queue.accept(Acceptance(content, outgoing=(envelope,))))

    @acceptance("S080")
    def test_a_report_says_what_the_sender_called_the_message_and_the_recipient(self) -> None:
        sink = self.host(script={"RCPT": "550 5.1.1 no such user"}, extensions=["DSN"])
        self.runner.start()
        orcpt = "rfc822;team@example.net"
        bob = QueuedRecipient(0, BOB, "b.example", Address("alias", "example.org"), notify=Notify.FAILURE, orcpt=orcpt)
        self.submit_asking(bob, envid="QQ 314159", ret=Ret.HDRS)
        self.run_for()
        self.assertEqual(sink.commands[2:3], ["RCPT TO:<bob@b.example> NOTIFY=FAILURE ORCPT=rfc822;team@example.net"])
        self.assertIn(" RET=HDRS ENVID=QQ+20314159", sink.commands[1])
        report = self.report()
        message, recipient = self.status_blocks(report)
        self.assertEqual(message["Original-Envelope-Id"], "QQ 314159")
        self.assertEqual(recipient["Original-Recipient"], orcpt)
        returned = report.get_payload(2)
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        self.assertNotIn("World", returned.as_string())

    @acceptance("S080")
    def test_only_what_the_sender_wants_to_know_is_told(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.runner.start()
        asked = (Notify.NEVER, Notify.SUCCESS | Notify.DELAY, Notify.UNSAID, Notify.FAILURE)
        self.submit_asking(
            *[
                QueuedRecipient(position, Address(f"r{position}", "b.example"), "b.example", notify=notify)
                for position, notify in enumerate(asked)
            ]
        )
        self.run_for()
        told = [block["Final-Recipient"] for block in self.status_blocks(self.report())[1:]]
        self.assertEqual(told, ["rfc822; r2@b.example", "rfc822; r3@b.example"])
        self.assertEqual(self.queue(), [])

    @acceptance("S080")
    def test_a_delay_is_told_to_those_only_who_want_to_know(self) -> None:
        self.host(script={"RCPT": "451 4.2.1 later"})
        self.runner.start()
        asked = (Notify.NEVER, Notify.FAILURE, Notify.DELAY)
        self.submit_asking(
            *[
                QueuedRecipient(position, Address(f"r{position}", "b.example"), "b.example", notify=notify)
                for position, notify in enumerate(asked)
            ]
        )
        self.run_for(5 * HOUR, step=60)
        told = [block["Final-Recipient"] for block in self.status_blocks(self.report())[1:]]
        self.assertEqual(told, ["rfc822; r2@b.example"])

    @acceptance("S079")
    def test_nobody_is_told_of_a_report_that_fails(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.runner.start()
        self.submit(sender=None)
        self.run_for()
        self.assertEqual((self.queue(), self.inbox()), ([], []))

    @acceptance("S079")
    @acceptance("S079")
    def test_no_report_is_about_a_report_or_an_automatic_answer_whoever_it_says_it_is_from(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.runner.start()
        for field in (
            b"content-type : Multipart/Report; report-type=delivery-status",
            b"Auto-Submitted:\r\n auto-replied (vacation)",
        ):
            self.submit(octets=field + b"\r\n" + HELLO)
        self.run_for()
        self.assertEqual((self.queue(), self.inbox()), ([], []))
        for field in (b"Auto-Submitted: auto-generated", b"Auto-Submitted: no", b"X-Content-Type: multipart/report"):
            self.submit(octets=field + b"\r\n" + HELLO)
        self.run_for()
        self.assertEqual((self.queue(), len(self.inbox())), ([], 3))

    def test_one_report_tells_of_all_that_failed_and_the_others_wait(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user", "RCPT slow@b.example": "450 4.2.0 later"})
        self.runner.start()
        self.submit(Address("x", "b.example"), Address("y", "b.example"), Address("slow", "b.example"))
        self.run_for()
        self.assertEqual(len(self.status_blocks(self.report())), 3)
        (entry,) = self.queue()
        waiting = [r.address.local_part for r in entry.recipients if r.state is RecipientState.DELAYED]
        self.assertEqual(waiting, ["slow"])

    @acceptance("S079")
    def test_a_delay_of_hours_is_reported_once_and_expiry_ends_it(self) -> None:
        self.host(script={"RCPT": "451 4.2.1 mailbox busy"})
        self.runner.start()
        self.submit()
        self.run_for(3.9 * HOUR, step=30)
        self.assertEqual(self.inbox(), [])
        self.run_for(1.5 * HOUR, step=30)
        warning = self.report()
        self.assertEqual(self.status_blocks(warning)[1]["Action"], "delayed")
        self.assertIsNotNone(self.status_blocks(warning)[1]["Will-Retry-Until"])
        self.run_for(4 * DAY, step=900)
        self.assertEqual(len(self.inbox()), 1)
        self.run_for(DAY, step=900)
        self.assertEqual(self.queue(), [])
        _, failure = self.inbox()
        recipient = self.status_blocks(failure)[1]
        self.assertEqual((recipient["Action"], recipient["Status"]), ("failed", "4.4.7"))
        self.assertEqual(recipient["Diagnostic-Code"], "smtp; 451 4.2.1 mailbox busy")

    def test_a_report_for_a_remote_sender_goes_through_the_queue(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        home = self.host("192.0.2.2")
        self.runner.start()
        self.submit(sender=CARL)
        self.run_for(2)
        (report,) = home.messages
        self.assertEqual((report.reverse_path, report.recipients), ("", ["carl@c.example"]))
        self.assertEqual(self.queue(), [])

    @acceptance("S079")
    def test_a_report_about_8_bit_mail_reaches_a_sender_whose_host_takes_7_bits(self) -> None:
        for octets, body in (
            (HELLO + "grün\r\n".encode(), BodyType.EIGHTBITMIME),
            (HELLO.replace(b"hello", "grün".encode()), BodyType.SEVENBIT),
        ):
            self.setUp()
            self.host(script={"DATA": "550 5.7.1 no"})
            sink = self.host("192.0.2.2", extensions=[])
            self.runner.start()
            self.submit(BOB, sender=CARL, octets=octets, body=body)
            self.run_for()
            (report,) = sink.messages
            self.assertEqual((report.recipients, report.mail_parameters), (["carl@c.example"], ""))
            self.assertTrue(report.content.isascii())
            self.assertIn(b"Diagnostic-Code: smtp; 550 5.7.1 no\r\n", report.content)
            self.assertEqual(self.queue(), [])
            self.stop()

    def test_a_report_nobody_can_get_is_left_out(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.runner.start()
        self.submit(sender=Address("nobody", "example.org"))
        self.run_for()
        self.assertEqual((self.queue(), self.inbox()), ([], []))

    def test_the_address_an_alias_was_written_to_is_named(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        self.runner.start()
        self.submit(BOB, alias=Address("team", "example.org"))
        self.run_for()
        self.assertIn("team@example.org", self.status_blocks(self.report())[1]["Original-Recipient"])

    def test_a_failure_that_cannot_be_reported_now_waits(self) -> None:
        self.host(script={"RCPT": "550 5.1.1 no such user"})
        runner = self.make_runner(store=_FullStore(self.store))
        runner.start()
        self.submit()
        self.run_for()
        self.flushLoggedErrors(StorageFull)
        self.assertEqual(self.waiting().state, RecipientState.DELAYED)
        self.assertEqual(self.inbox(), [])


class _FullStore:
    """A store that takes no new message."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def new_content(self) -> Any:
        writer = self._store.new_content()
        writer.finish = lambda: fail(StorageFull())
        return writer


class _ScriptedRelay:
    """A relay that does what a test says; ``attempts`` remembers (queue id, route)."""

    def __init__(self, *actions: Any) -> None:
        self.actions = list(actions)
        self.attempts: list[tuple[QueueId, str]] = []
        self.closed = False

    async def attempt(self, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> list[Outcome]:
        self.attempts.append((entry.queue_id, route))
        action = self.actions.pop(0) if len(self.actions) > 1 else self.actions[0]
        if isinstance(action, Exception):
            raise action
        if isinstance(action, Deferred):
            action = await action
        return [Outcome(recipient.position, action, "2.0.0", "250 ok") for recipient in recipients]

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)


class ResilienceTests(QueueTestCase):
    @acceptance("S078")
    def test_a_crash_before_the_settling_leaves_the_message_waiting(self) -> None:
        first = _ScriptedRelay(Deferred())
        crashed = self.make_runner(first, lease=60)
        crashed.start()
        self.submit()
        self.run_for(1)
        self.assertEqual(len(first.attempts), 1)
        # The process is gone: nobody renews its claim, nobody hears its store.
        crashed._renewal.stop()
        crashed._set_timer(None)
        crashed._running = False
        sink = self.host()
        self.runner.start()
        self.run_for(30)
        self.assertEqual(sink.messages, [])
        self.run_for(32)
        self.assertEqual((len(sink.messages), self.queue()), (1, []))

    @acceptance("S078")
    def test_a_process_that_died_does_not_keep_its_claims_from_the_next(self) -> None:
        folder = Path(self.mktemp())
        dead = Presence(folder, "mx.example.org")
        dead.enter()
        queue_id = self.submit()
        self.successResultOf(self.store.queue.claim(dead.owner, self.internet.seconds(), 1000.0, 10))
        os.close(dead._file or -1)  # the kernel does as much for a process that is killed
        sink = self.host()
        self.make_runner(presence=Presence(folder, "mx.example.org")).start()
        self.run_for(1)
        self.assertIn(queue_id.encode(), sink.messages[0].content)
        self.assertEqual(len(list(folder.iterdir())), 1)

    @acceptance("S078", "S146")
    def test_a_process_that_dies_beside_us_leaves_its_claims_and_locks_to_us_soon(self) -> None:
        folder = Path(self.mktemp())
        dead = Presence(folder, "mx.example.org")
        dead.enter()
        sink = self.host()
        self.make_runner(presence=Presence(folder, "mx.example.org"), lease=30).start()
        self.submit(CARL)
        self.run_for(1)
        queue_id = self.submit()
        self.successResultOf(self.store.queue.claim(dead.owner, self.internet.seconds() + 1, 1000.0, 10))
        mail = self.store.account_mail(self.ann)
        self.successResultOf(mail.lock_maildrop(f"{dead.owner}:7", 1000.0))
        os.close(dead._file or -1)
        self.run_for(12)
        self.assertIn(queue_id.encode(), sink.messages[0].content)
        self.successResultOf(mail.lock_maildrop("another:1", 1000.0))

    def test_the_claims_of_a_process_that_lives_are_left_alone(self) -> None:
        folder = Path(self.mktemp())
        alive, second = Presence(folder, "mx.example.org"), Presence(folder, "mx.example.org")
        alive.enter()
        second.enter()
        self.assertEqual((alive.dead_owners(), second.dead_owners()), ([], []))
        alive.leave()
        second.leave()
        self.assertEqual(list(folder.iterdir()), [])

    def test_a_claim_lasts_as_long_as_the_work(self) -> None:
        slow: Deferred[RecipientState] = Deferred()
        relay = _ScriptedRelay(slow)
        first = self.make_runner(relay)
        first.start()
        self.submit()
        sink = self.host()
        self.runner.start()
        self.run_for(600)
        self.assertEqual((len(relay.attempts), sink.messages), (1, []))
        slow.callback(RecipientState.DELIVERED)
        self.run_for(1)
        self.assertEqual(self.queue(), [])

    def test_an_attempt_that_breaks_delays_its_message_and_no_other(self) -> None:
        relay = _ScriptedRelay(RuntimeError("poison"), RecipientState.DELIVERED)
        runner = self.make_runner(relay)
        poison, good = self.submit(), self.submit()
        runner.start()
        self.run_for()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual([entry.queue_id for entry in self.queue()], [poison])
        self.assertEqual(relay.attempts, [(poison, "b.example"), (good, "b.example")])
        self.assertEqual((self.waiting().last_status, self.waiting().last_reply), ("4.3.0", "internal error"))

    def test_what_a_full_store_cannot_settle_is_settled_later_and_not_sent_twice(self) -> None:
        sink = self.host()
        settle = self.store.queue.settle
        self.patch(self.store.queue, "settle", lambda *args: fail(StorageFull()))
        self.runner.start()
        self.submit()
        self.run_for(100)
        self.assertEqual((len(sink.messages), len(self.queue())), (1, 1))
        self.patch(self.store.queue, "settle", settle)
        self.run_for(6)
        self.assertEqual((len(sink.messages), self.queue()), (1, []))

    def test_a_store_that_fails_to_claim_is_asked_again(self) -> None:
        sink = self.host()
        claim = self.store.queue.claim
        self.patch(self.store.queue, "claim", lambda *args: fail(StorageFull()))
        self.runner.start()
        self.submit()
        self.run_for(1)
        self.patch(self.store.queue, "claim", claim)
        self.run_for(61)
        self.assertEqual(len(sink.messages), 1)

    def test_two_runners_share_a_queue_and_send_each_message_once(self) -> None:
        sink = self.host()
        other = self.make_runner()
        for runner in (self.runner, other):
            runner.start()
        for _ in range(100):
            self.submit()
        self.run_for(2)
        self.assertEqual((len(sink.messages), self.queue()), (100, []))


class StopTests(QueueTestCase):
    def test_stop_lets_what_is_under_way_end_and_begins_nothing_more(self) -> None:
        slow: Deferred[RecipientState] = Deferred()
        relay = _ScriptedRelay(slow)
        runner = self.make_runner(relay)
        runner.start()
        self.submit()
        self.run_for(1)
        stopped = Deferred.fromCoroutine(runner.stop())
        self.assertNoResult(stopped)
        self.submit()
        self.run_for(1)
        slow.callback(RecipientState.DELIVERED)
        self.successResultOf(stopped)
        self.assertTrue(relay.closed)
        self.assertEqual((len(relay.attempts), len(self.queue())), (1, 1))

    @acceptance("S078")
    def test_what_stopping_delayed_is_due_at_the_next_start(self) -> None:
        self.host(script={"RCPT": SILENCE})
        self.runner.start()
        self.submit()
        self.run_for(1)
        self.stop()
        self.assertEqual(self.waiting().state, RecipientState.DELAYED)
        self.internet.unplug("192.0.2.1", 25)
        sink = self.host()
        self.make_runner().start()
        self.run_for(1)
        self.assertEqual(len(sink.messages), 1)

    def test_stop_leaves_no_timer_behind(self) -> None:
        self.host(script={"GREETING": [CLOSE, "220 hi"]})
        self.runner.start()
        self.submit()
        self.run_for(5)
        self.stop()
        self.assertEqual([call for call in self.internet.getDelayedCalls() if call.active()], [])

    def test_an_idle_runner_stops_at_once(self) -> None:
        self.runner.start()
        self.successResultOf(Deferred.fromCoroutine(self.runner.stop()))
