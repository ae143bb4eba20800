"""Accepting messages and the queue's rows, on every engine."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList

from pymailsuite.errors import LoginEnded, NoSuchAccount, NoSuchEntry
from pymailsuite.interfaces import (
    Acceptance,
    Account,
    Column,
    Delivery,
    Notify,
    Outcome,
    OutgoingEnvelope,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
    Ret,
)
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import (
    ALL_UIDS,
    MAX_CHUNK,
    AccountId,
    Address,
    EntryId,
    Flags,
    QueueId,
    SystemFlag,
    queue_id_of,
)
from tests.acceptance import acceptance
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"
SENDER = Address("sender", "example.net")
FOUND = b"Authentication-Results: mx.example.org; none\r\n"


def recipient(position: int, name: str = "x", due: float = NOW) -> QueuedRecipient:
    return QueuedRecipient(position, Address(name, "remote.example"), "remote.example", next_attempt=due)


ENVELOPE = OutgoingEnvelope(SENDER, (recipient(0),))


class QueueContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.queue = self.store.queue
        self.woken = 0
        self.queue.subscribe(self.wake)

    def wake(self) -> None:
        self.woken += 1

    def enqueue(self, *recipients: QueuedRecipient, **fields: Any) -> EntryId:
        envelope = OutgoingEnvelope(SENDER, recipients or (recipient(0),), origin="192.0.2.1", **fields)
        queue_id = self.result(self.queue.accept(Acceptance(self.stage(MESSAGE), outgoing=(envelope,))))
        (entry,) = self.result(self.queue.entries(queue_id))
        return entry.entry_id

    def entry(self, entry_id: EntryId) -> QueueEntry:
        (entry,) = self.result(self.queue.entries(queue_id_of(entry_id)))
        return entry

    def claim(self, owner: str = "one", now: float = NOW, limit: int = 10) -> list[QueueEntry]:
        return self.result(self.queue.claim(owner, now, 60.0, limit))

    def inbox_octets(self, account_id: AccountId, name: str = "INBOX") -> list[bytes]:
        mail = self.store.account_mail(account_id)
        mailbox_id = self.result(mail.mailbox(name)).mailbox_id
        rows = self.result(mail.read_messages(mailbox_id, ALL_UIDS, (Column.OCTETS,), list))
        return [octets for (octets,) in rows]

    # --- accepting

    def test_an_accepted_message_is_in_its_mailboxes_with_its_prefixes(self) -> None:
        bob = self.account("bob@example.org")
        content = self.stage(MESSAGE)
        deliveries = (
            Delivery(self.ann.account_id, b"Delivered-To: ann\r\n"),
            Delivery(bob.account_id, b"Delivered-To: bob\r\n", "Junk", Flags(SystemFlag.SEEN, frozenset({"$Junk"}))),
            Delivery(bob.account_id, b"", "no such mailbox"),
        )
        queue_id = self.result(self.queue.accept(Acceptance(content, deliveries)))
        self.assertEqual(queue_id, queue_id_of(content.content_id))
        self.assertEqual(self.inbox_octets(self.ann.account_id), [b"Delivered-To: ann\r\n" + MESSAGE])
        self.assertEqual(self.inbox_octets(bob.account_id, "Junk"), [b"Delivered-To: bob\r\n" + MESSAGE])
        self.assertEqual(self.inbox_octets(bob.account_id), [MESSAGE])
        self.assertEqual(self.result(self.queue.entries()), [])
        self.assertEqual(self.woken, 0)
        self.assertEqual(self.result(self.store.maintenance.statistics())["content_octets"], len(MESSAGE))
        self.assert_sound()

    def prefixes(self, account_id: AccountId) -> set[bytes]:
        """What the rows of an account's messages hold of their octets."""

        def prefixes_txn(txn: Transaction) -> set[bytes]:
            rows = txn.rows("SELECT prefix FROM messages WHERE account_id = ?", (account_id,))
            return {bytes(prefix) for (prefix,) in rows}

        return self.result(self.store.database.read("prefixes", prefixes_txn))

    def test_fields_that_all_copies_have_are_stored_once_and_read_before_the_content_of_each(self) -> None:
        """Sizes, offsets and octets count them, however a message is asked for and wherever it goes."""
        bob, prefix = self.account("bob@example.org"), b"Delivered-To: ann\r\n"
        long = MESSAGE + b"x" * (2 * MAX_CHUNK)
        for octets in (MESSAGE, long, b""):
            deliveries = (Delivery(self.ann.account_id, prefix), Delivery(bob.account_id, b""))
            self.result(self.queue.accept(Acceptance(self.stage(octets), deliveries, fields=FOUND)))
        mail = self.store.account_mail(self.ann.account_id)
        inbox = self.result(mail.mailbox("INBOX")).mailbox_id
        self.result(mail.copy(inbox, ALL_UIDS, "Archive"))
        self.result(mail.move(inbox, ALL_UIDS, "Junk"))
        columns = (Column.UID, Column.SIZE, Column.PREFIX_SIZE, Column.HEADER_SIZE, Column.HEADER, Column.OCTETS)
        for name in ("Archive", "Junk"):
            mailbox = self.result(mail.mailbox(name))
            wanted = [prefix + FOUND + octets for octets in (MESSAGE, long, b"")]
            self.assertEqual(mailbox.size, sum(map(len, wanted)))
            rows = self.result(mail.read_messages(mailbox.mailbox_id, ALL_UIDS, columns, list))
            for octets, (uid, size, in_front, header_size, header, whole) in zip(wanted, rows, strict=True):
                self.assertEqual((size, in_front), (len(octets), len(prefix + FOUND)))
                self.assertEqual(header, octets[: in_front + header_size])
                self.assertEqual(whole, octets if len(octets) <= MAX_CHUNK else None)
                for start, stop in ((0, 5), (15, len(prefix) + 9), (len(prefix) + 3, in_front + 4), (in_front, 900)):
                    self.assertEqual(
                        self.result(mail.read_octets(mailbox.mailbox_id, uid, start, stop)), octets[start:stop]
                    )
        self.assertEqual(self.prefixes(self.ann.account_id), {prefix})
        self.assertEqual(self.inbox_octets(bob.account_id)[0], FOUND + MESSAGE)
        self.result(mail.remove_messages(self.result(mail.mailbox("Junk")).mailbox_id, ALL_UIDS))
        self.assertEqual(self.result(self.store.maintenance.restore_expunged(self.ann.account_id, 0.0, "Junk")), 3)
        self.assertEqual(self.inbox_octets(self.ann.account_id, "Junk")[0], prefix + FOUND + MESSAGE)
        self.result(self.store.maintenance.rebuild())
        self.assert_sound()

    def test_a_copy_that_is_delivered_later_has_the_shared_fields_once(self) -> None:
        deliveries = (Delivery(self.ann.account_id, b"To: a\r\n"),)
        self.result(self.store.account_mail(self.ann.account_id).create_mailbox("Late", None))
        relays = (recipient(0), recipient(1))
        for fields in (FOUND, b""):
            envelope = OutgoingEnvelope(SENDER, relays, b"X: 1\r\n" + FOUND)
            acceptance = Acceptance(self.stage(MESSAGE), deliveries if fields else (), (envelope,), fields=fields)
            self.result(self.queue.accept(acceptance))
            (entry,) = self.claim()
            late = Delivery(self.ann.account_id, b"To: b\r\nX: 1\r\n" + FOUND, "Late")
            outcomes = [Outcome(0, RecipientState.DELIVERED), Outcome(1, RecipientState.DELIVERED)]
            self.result(self.queue.settle("one", entry.entry_id, outcomes, [late], None))
        late_octets = b"To: b\r\nX: 1\r\n" + FOUND + MESSAGE
        self.assertEqual(self.inbox_octets(self.ann.account_id, "Late"), [late_octets, late_octets])
        self.assertEqual(self.inbox_octets(self.ann.account_id), [b"To: a\r\n" + FOUND + MESSAGE])
        self.assert_sound()

    def test_addresses_come_back_as_they_were_written(self) -> None:
        written = [Address("a..b", "remote.example", True), Address("c..d", "remote.example")]
        relays = [QueuedRecipient(n, address, "remote.example", next_attempt=NOW) for n, address in enumerate(written)]
        for sender in written:
            self.result(
                self.queue.accept(Acceptance(self.stage(MESSAGE), outgoing=(OutgoingEnvelope(sender, tuple(relays)),)))
            )
        entries = self.result(self.queue.entries()) + self.claim()
        self.assertEqual(
            {str(entry.reverse_path) for entry in entries}, {"a..b@remote.example", '"c..d"@remote.example'}
        )
        for entry in entries:
            self.assertEqual([str(each.address) for each in entry.recipients], list(map(str, written)))

    def test_two_copies_into_one_mailbox_get_two_uids(self) -> None:
        deliveries = (Delivery(self.ann.account_id, b"a: 1\r\n"), Delivery(self.ann.account_id, b"a: 2\r\n"))
        self.result(self.queue.accept(Acceptance(self.stage(MESSAGE), deliveries)))
        self.assertEqual(len(self.inbox_octets(self.ann.account_id)), 2)
        self.assert_sound()

    def test_nothing_is_stored_if_an_account_has_gone(self) -> None:
        deliveries = (Delivery(self.ann.account_id, b""), Delivery(AccountId(999), b""))
        self.failure(self.queue.accept(Acceptance(self.stage(MESSAGE), deliveries, (ENVELOPE,))), NoSuchAccount)
        self.assertEqual(self.inbox_octets(self.ann.account_id), [])
        self.assertEqual(self.result(self.queue.entries()), [])
        self.assert_sound()

    def test_nothing_is_stored_if_the_login_that_submits_it_has_ended(self) -> None:
        delivery = Delivery(self.ann.account_id, b"")

        def submit(account: Account) -> Deferred[QueueId]:
            return self.queue.accept(Acceptance(self.stage(MESSAGE), (delivery,), (ENVELOPE,), grant=account.grant))

        directory = self.store.directory
        self.result(submit(self.ann))
        self.result(directory.set_password_hash(self.ann.account_id, "other"))
        self.failure(submit(self.ann), LoginEnded)
        again = self.result(directory.account(self.ann.login_name))
        self.result(submit(again))
        self.result(directory.set_enabled(self.ann.account_id, False))
        self.failure(submit(again), LoginEnded)
        self.assertEqual(len(self.inbox_octets(self.ann.account_id)), 2)
        self.assertEqual(len(self.result(self.queue.entries())), 2)
        self.assert_sound()

    # --- claims

    def test_a_claimed_entry_is_whole_and_nobody_elses(self) -> None:
        content = self.stage(MESSAGE)
        relays = (
            QueuedRecipient(
                0, Address("x", "remote.example"), "remote.example", Address("list", "example.org"), next_attempt=NOW
            ),
            recipient(1, "later", NOW + 100),
        )
        envelope = OutgoingEnvelope(None, relays, smtputf8=True, body="8BITMIME", origin="ann")
        queue_id = self.result(self.queue.accept(Acceptance(content, outgoing=(envelope,))))
        self.assertEqual(self.woken, 1)
        (entry,) = self.claim()
        self.assertEqual(entry.recipients, relays[:1])
        self.assertEqual(
            (
                entry.queue_id,
                entry.size,
                entry.reverse_path,
                entry.smtputf8,
                entry.body,
                entry.origin,
                entry.created_at,
            ),
            (queue_id, len(MESSAGE), None, True, "8BITMIME", "ann", NOW),
        )
        self.assertEqual(self.result(self.store.read_content(entry.content_id, 0, 1000)), MESSAGE)
        self.assertEqual(self.claim("two"), [])
        self.assertEqual(self.result(self.queue.entries(queue_id))[0].recipients, relays)

    def test_the_oldest_due_come_first_and_no_more_than_asked(self) -> None:
        ids = [self.enqueue(recipient(0, due=NOW - age)) for age in (1, 3, 2)]
        self.enqueue(recipient(0, due=NOW + 1))
        self.assertEqual([entry.entry_id for entry in self.claim(limit=2)], [ids[1], ids[2]])
        self.assertEqual([entry.entry_id for entry in self.claim("two")], [ids[0]])

    def test_a_claim_lapses_with_its_lease_and_is_kept_by_renewal(self) -> None:
        entry_id = self.enqueue()
        self.claim("one")
        self.result(self.queue.renew("one", [entry_id], NOW + 120))
        self.result(self.queue.renew("two", [entry_id], NOW + 999))
        self.assertEqual(self.claim("two", NOW + 119), [])
        self.assertEqual(len(self.claim("two", NOW + 120)), 1)
        self.failure(self.queue.settle("one", entry_id, [], [], None), NoSuchEntry)

    def test_next_due_counts_what_is_neither_held_nor_claimed_and_lapsing_claims(self) -> None:
        self.assertIsNone(self.result(self.queue.next_due(NOW)))
        first = self.enqueue(recipient(0, due=NOW - 5))
        self.assertEqual(self.result(self.queue.next_due(NOW)), NOW - 5)
        self.claim()
        self.assertEqual(self.result(self.queue.next_due(NOW)), NOW + 60)
        self.enqueue(recipient(0, due=NOW + 30))
        self.assertEqual(self.result(self.queue.next_due(NOW)), NOW + 30)
        self.result(self.queue.hold([first], True))
        self.assertEqual(self.result(self.queue.next_due(NOW)), NOW + 30)

    # --- settling

    def test_a_delivered_entry_is_gone_and_its_octets_are_swept(self) -> None:
        entry_id = self.enqueue()
        (entry,) = self.claim()
        self.result(self.queue.settle("one", entry_id, [Outcome(0, RecipientState.DELIVERED, "2.0.0")], [], None))
        self.assertEqual(self.result(self.queue.entries(queue_id_of(entry_id))), [])
        self.assertEqual(self.result(self.store.maintenance.sweep(NOW))["contents"], 1)
        self.failure(self.store.read_content(entry.content_id, 0, 10), NoSuchEntry)
        self.assert_sound()

    def test_who_must_wait_is_tried_again_when_it_is_due(self) -> None:
        entry_id = self.enqueue(recipient(0), recipient(1, "y"))
        self.claim()
        outcomes = [
            Outcome(0, RecipientState.DELIVERED, "2.0.0"),
            Outcome(1, RecipientState.DELAYED, "4.4.1", "no answer", "mx.remote.example", NOW + 300, True),
        ]
        self.result(self.queue.settle("one", entry_id, outcomes, [], None))
        self.assertEqual(self.claim(now=NOW + 299), [])
        (entry,) = self.claim(now=NOW + 300)
        (waiting,) = entry.recipients
        self.assertEqual(
            (waiting.position, waiting.attempts, waiting.last_status, waiting.last_reply, waiting.last_host),
            (1, 1, "4.4.1", "no answer", "mx.remote.example"),
        )
        self.assertTrue(waiting.delay_reported)
        states = [r.state for r in self.entry(entry_id).recipients]
        self.assertEqual(states, [RecipientState.DELIVERED, RecipientState.DELAYED])

    def test_settling_delivers_copies_and_accepts_a_report_at_once(self) -> None:
        entry_id = self.enqueue(recipient(0), recipient(1))
        self.claim()
        report = Acceptance(self.stage(b"Subject: report\r\n\r\n"), (Delivery(self.ann.account_id, b"R: 1\r\n"),))
        outcomes = [Outcome(0, RecipientState.DELIVERED), Outcome(1, RecipientState.FAILED, "5.1.1", "no such user")]
        self.result(self.queue.settle("one", entry_id, outcomes, [Delivery(self.ann.account_id, b"L: 1\r\n")], report))
        self.assertEqual(
            sorted(self.inbox_octets(self.ann.account_id)), [b"L: 1\r\n" + MESSAGE, b"R: 1\r\nSubject: report\r\n\r\n"]
        )
        self.assertEqual(self.result(self.queue.entries()), [])
        self.assert_sound()

    def test_settling_sends_the_same_message_to_others_and_accepts_messages_along_with_it(self) -> None:
        entry_id = self.enqueue()
        self.claim()
        passed_on = OutgoingEnvelope(None, (recipient(0, "y"),), b"X: 1\r\n")
        note = Acceptance(self.stage(b"Subject: note\r\n\r\n"), outgoing=(ENVELOPE,))
        answer = Acceptance(
            self.stage(b"Subject: answer\r\n\r\n"), (Delivery(self.ann.account_id, b""),), along=(note,)
        )
        woken = self.woken
        settled = self.queue.settle(
            "one",
            entry_id,
            [Outcome(0, RecipientState.DELIVERED)],
            [Delivery(self.ann.account_id, b"")],
            None,
            outgoing=[passed_on],
            along=[answer],
        )
        self.result(settled)
        self.assertGreater(self.woken, woken)
        octets = {}
        for entry in self.claim():
            octets[entry.recipients[0].address.local_part] = self.result(
                entry.source(self.store.read_content).read(0, entry.size)
            )
        self.assertEqual(octets, {"y": b"X: 1\r\n" + MESSAGE, "x": b"Subject: note\r\n\r\n"})
        self.assertEqual(sorted(self.inbox_octets(self.ann.account_id)), [b"Subject: answer\r\n\r\n", MESSAGE])
        self.assert_sound()

    def test_what_is_accepted_along_with_a_message_is_accepted_with_it_or_not_at_all(self) -> None:
        def note(account_id: AccountId) -> Acceptance:
            return Acceptance(self.stage(b"Subject: note\r\n\r\n"), (Delivery(account_id, b""),))

        for fails in (False, True):
            along = (note(self.ann.account_id), *([note(AccountId(999))] if fails else ()))
            accepted = self.queue.accept(Acceptance(self.stage(MESSAGE), outgoing=(ENVELOPE,), along=along))
            if fails:
                self.failure(accepted, NoSuchAccount)
            else:
                queue_id = self.result(accepted)
                self.assertEqual(len(self.result(self.queue.entries(queue_id))), 1)
        self.assertEqual(self.inbox_octets(self.ann.account_id), [b"Subject: note\r\n\r\n"])
        self.assertEqual(len(self.result(self.queue.entries())), 1)
        self.assert_sound()

    def test_a_copy_may_have_an_internal_date_of_its_own(self) -> None:
        deliveries = (Delivery(self.ann.account_id, b"", internal_date=NOW - 5000), Delivery(self.ann.account_id, b""))
        self.result(self.queue.accept(Acceptance(self.stage(MESSAGE), deliveries)))
        mail = self.store.account_mail(self.ann.account_id)
        mailbox_id = self.result(mail.mailbox("INBOX")).mailbox_id
        dates = self.result(mail.read_messages(mailbox_id, ALL_UIDS, (Column.INTERNAL_DATE, Column.SAVE_DATE), list))
        self.assertEqual(dates, [(NOW - 5000, NOW), (NOW, NOW)])

    def test_a_settlement_of_some_keeps_the_claim_for_the_others(self) -> None:
        entry_id = self.enqueue(recipient(0), recipient(1, "y"), recipient(2, "z"))
        self.claim()
        later = Outcome(1, RecipientState.DELAYED, "4.4.1", "no answer", next_attempt=NOW + 300)
        woken = self.woken
        self.result(self.queue.settle("one", entry_id, [Outcome(0, RecipientState.DELIVERED)], (), None, more=True))
        self.result(self.queue.settle("one", entry_id, [later], (), None, more=True))
        self.assertEqual((self.claim("two"), self.woken), ([], woken))
        (entry,) = self.claim("two", NOW + 61)
        self.assertEqual([one.position for one in entry.recipients], [2])
        self.result(self.queue.settle("two", entry_id, [Outcome(2, RecipientState.DELIVERED)], (), None))
        self.assertEqual(self.claim(now=NOW + 299), [])
        (entry,) = self.claim(now=NOW + 300)
        self.assertEqual([one.position for one in entry.recipients], [1])
        self.assert_sound()

    def test_many_are_settled_together_as_they_would_be_alone(self) -> None:
        ended, waiting, held_by_other = self.enqueue(), self.enqueue(recipient(0), recipient(1, "y")), self.enqueue()
        self.claim(limit=2)
        self.claim("two")
        report = Acceptance(self.stage(b"Subject: report\r\n\r\n"), (Delivery(self.ann.account_id, b""),))
        asked = [
            self.queue.settle("one", ended, [Outcome(0, RecipientState.FAILED)], (), report),
            self.queue.settle("one", waiting, [Outcome(0, RecipientState.DELIVERED)], (), None, True),
            self.queue.settle("one", waiting, [Outcome(1, RecipientState.DELAYED, next_attempt=NOW + 5)], (), None),
        ]
        asked.append(self.queue.settle("one", held_by_other, [Outcome(0, RecipientState.DELIVERED)], (), None))
        *settled, (_, refused) = self.result(DeferredList(asked, consumeErrors=True))
        self.assertEqual(settled, [(True, None)] * 3)
        refused.trap(NoSuchEntry)
        self.assertEqual([entry.entry_id for entry in self.result(self.queue.entries())], [waiting, held_by_other])
        self.assertEqual(self.inbox_octets(self.ann.account_id), [b"Subject: report\r\n\r\n"])
        (entry,) = self.claim(now=NOW + 5)
        self.assertEqual([one.position for one in entry.recipients], [1])
        self.assert_sound()

    def test_claims_of_owners_that_are_gone_are_released(self) -> None:
        first, second = self.enqueue(), self.enqueue()
        self.claim("gone", limit=1)
        self.claim("alive")
        woken = self.woken
        self.assertEqual(self.result(self.queue.release_claims(["gone", "never there"])), 1)
        self.assertEqual(self.woken, woken + 1)
        self.assertEqual([entry.entry_id for entry in self.claim("two")], [first])
        self.result(self.queue.settle("alive", second, [Outcome(0, RecipientState.DELIVERED)], (), None))

    def test_a_failed_settlement_changes_nothing(self) -> None:
        entry_id = self.enqueue()
        self.claim()
        self.failure(
            self.queue.settle(
                "one", entry_id, [Outcome(0, RecipientState.DELIVERED)], [Delivery(AccountId(999), b"")], None
            ),
            NoSuchAccount,
        )
        (entry,) = self.claim("two", NOW + 61)
        self.assertEqual(entry.recipients[0].state, RecipientState.DELAYED)

    def test_envelopes_of_one_message_leave_each_as_it_was_asked(self) -> None:
        outgoing = (
            OutgoingEnvelope(SENDER, (recipient(0, "r0"),), b"X: 0\r\n"),
            OutgoingEnvelope(
                Address("a..b", "\xfc.example", unquoted=True), (recipient(0, "r1"),), "X-\xfc: 1\r\n".encode()
            ),
            OutgoingEnvelope(None, (recipient(0, "r2"),), b"\0\xff"),
        )
        self.result(self.queue.accept(Acceptance(self.stage(MESSAGE), outgoing=outgoing)))
        split = self.claim()
        self.assertEqual([one.reverse_path for one in split], [one.reverse_path for one in outgoing])
        self.assertEqual(str(split[1].reverse_path), "a..b@\xfc.example")
        self.assertEqual(
            [[two.address.local_part for two in one.recipients] for one in split], [["r0"], ["r1"], ["r2"]]
        )
        for one, envelope in zip(split, outgoing, strict=True):
            octets = self.result(one.source(self.store.read_content).read(0, one.size))
            self.assertEqual(octets, envelope.prefix + MESSAGE)
            self.assertEqual(octets[: one.header_size], envelope.prefix + MESSAGE[:15])
        self.assertEqual(len({one.entry_id for one in split}), 3)
        self.assertEqual({one.content_id for one in split}, {split[0].content_id})
        self.assert_sound()

    @acceptance("S092")
    def test_a_message_leaves_the_store_with_its_last_entry(self) -> None:
        outgoing = tuple(OutgoingEnvelope(SENDER, (recipient(0, f"r{n}"),)) for n in range(4))
        queue_id = self.result(self.queue.accept(Acceptance(self.stage(MESSAGE), outgoing=outgoing)))
        one, two, three, four = self.claim()
        delivered = [Outcome(0, RecipientState.DELIVERED)]
        asked = [self.queue.settle("one", each.entry_id, delivered, (), None) for each in (one, two)]
        self.result(DeferredList(asked))
        self.assertEqual(
            [each.entry_id for each in self.result(self.queue.entries(queue_id))], [three.entry_id, four.entry_id]
        )
        self.assertEqual(self.result(self.store.read_content(one.content_id, 0, 1000)), MESSAGE)
        self.assert_sound()
        self.result(self.queue.settle("one", three.entry_id, delivered, (), None))
        self.result(self.queue.delete([four.entry_id]))
        self.assertEqual(self.result(self.queue.entries()), [])
        self.assert_sound()
        self.result(self.store.maintenance.sweep(NOW + 1e6))
        self.failure(self.store.read_content(one.content_id, 0, 1000), NoSuchEntry)

    def test_an_id_names_an_entry_or_all_of_a_message(self) -> None:
        outgoing = tuple(OutgoingEnvelope(SENDER, (recipient(0, f"r{n}"),)) for n in range(2))
        queue_id = self.result(self.queue.accept(Acceptance(self.stage(MESSAGE), outgoing=outgoing)))
        self.enqueue()
        one, two = self.result(self.queue.entries(queue_id))
        self.assertEqual({one.queue_id, two.queue_id}, {queue_id})
        self.assertEqual(self.result(self.queue.entries(queue_id_of(two.entry_id))), [two])
        for unknown in ("nonsense", "FFF", "F" * 40, ""):
            self.assertEqual(self.result(self.queue.entries(QueueId(unknown))), [])

    def test_what_the_sender_asked_of_reports_is_kept(self) -> None:
        asked = (
            evolve(recipient(0), notify=Notify.SUCCESS | Notify.DELAY, orcpt="rfc822;x+y@z.example"),
            evolve(recipient(1, "y"), notify=Notify.NEVER),
            recipient(2, "z"),
        )
        self.enqueue(*asked, envid="QQ314159 \u00fc", ret=Ret.HDRS, priority=-3)
        (entry,) = self.claim()
        self.assertEqual(entry.recipients, asked)
        self.assertEqual((entry.envid, entry.ret, entry.priority), ("QQ314159 \u00fc", Ret.HDRS, -3))

    def test_a_higher_priority_is_claimed_first_whatever_has_waited_longer(self) -> None:
        usual = [self.enqueue(recipient(0, due=NOW - age)) for age in (30, 40)]
        low, lower, high, higher = (self.enqueue(priority=priority) for priority in (-1, -2, 1, 2))
        late = self.enqueue(recipient(0, due=NOW + 9), priority=9)
        order = [higher, high, usual[1], usual[0], low, lower]
        self.assertEqual([entry.entry_id for entry in self.claim(limit=3)], order[:3])
        self.assertEqual([entry.entry_id for entry in self.claim(limit=2)], order[3:5])
        self.assertEqual([entry.entry_id for entry in self.claim(now=NOW + 9)], [late, lower])

    # --- operators

    def test_held_entries_wait_until_they_are_released(self) -> None:
        entry_id = self.enqueue()
        self.assertEqual(self.result(self.queue.hold([entry_id, EntryId(7)], True)), 1)
        self.assertEqual(self.claim(), [])
        self.assertTrue(self.entry(entry_id).held)
        woken = self.woken
        self.result(self.queue.hold([entry_id], False))
        self.assertEqual(self.woken, woken + 1)
        self.assertEqual(len(self.claim()), 1)

    def test_flush_makes_due_now(self) -> None:
        one, two = self.enqueue(recipient(0, due=NOW + 500)), self.enqueue(recipient(0, due=NOW + 600))
        self.assertEqual(self.result(self.queue.flush([two], NOW)), 1)
        self.assertEqual([entry.entry_id for entry in self.claim()], [two])
        self.assertEqual(self.result(self.queue.flush(None, NOW)), 2)
        self.assertEqual([entry.entry_id for entry in self.claim()], [one])

    def test_flush_and_release_count_what_they_did(self) -> None:
        one, two = self.enqueue(recipient(0, due=NOW + 500)), self.enqueue(recipient(0, due=NOW + 600))
        self.assertEqual(self.result(self.queue.hold([one], True)), 1)
        self.assertEqual(self.result(self.queue.hold([one, two], True)), 1)
        self.assertEqual(self.result(self.queue.hold([two], False)), 1)
        self.assertEqual(self.result(self.queue.hold([two], False)), 0)
        for chosen in ([one, two], None):
            self.assertEqual(self.result(self.queue.flush(chosen, NOW)), 1)
        due = {entry.entry_id: entry.recipients[0].next_attempt for entry in self.result(self.queue.entries())}
        self.assertEqual(due, {one: NOW + 500, two: NOW})

    def test_delete_removes_without_a_trace(self) -> None:
        entry_id = self.enqueue()
        self.assertEqual(self.result(self.queue.delete([entry_id, EntryId(0xFFF)])), 1)
        self.assertEqual(self.result(self.queue.entries()), [])
        self.assert_sound()

    def test_entries_lists_all_oldest_first(self) -> None:
        first = self.enqueue()
        self.clock.advance(10)
        second = self.enqueue(recipient(0), recipient(1))
        entries = self.result(self.queue.entries())
        self.assertEqual([entry.entry_id for entry in entries], [first, second])
        self.assertEqual([len(entry.recipients) for entry in entries], [1, 2])


class QueueInMemoryTests(QueueContract, InMemory):
    pass


class QueueOnDiskTests(QueueContract, OnDisk):
    pass


del QueueContract
