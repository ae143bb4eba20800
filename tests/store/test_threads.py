"""Which messages belong together, and what is told of it. Source: RFC 8621 §3, RFC 8474 §5.2."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import permutations

from pymailsuite.interfaces import Account, Column
from pymailsuite.store import threads
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, MailboxId, Uid, UidSet
from tests.store.support import InMemory, OnDisk, StoreTestCase


def message(name: str, *refers_to: str, subject: str = "Tea", field: str = "References") -> bytes:
    """A message that has a name, and names others."""
    others = " ".join(f"<{one}@example.org>" for one in refers_to)
    return (
        f"Message-ID: <{name}@example.org>\r\nSubject: {'Re: ' if refers_to else ''}{subject}\r\n"
        f"{field}: {others}\r\n\r\n{name}\r\n"
    ).encode()


A, B, C = message("a"), message("b", "a"), message("c", "b", field="In-Reply-To")
"""Nothing but the second ties the first and the third together."""


class ThreadContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()

    def ids(self, account: Account | None = None, mailbox: str = "INBOX", uids: UidSet = ALL_UIDS) -> list[int]:
        """What a client is told, by ascending UID."""
        mail = self.store.account_mail((account or self.ann).account_id)
        mailbox_id = self.result(mail.mailbox(mailbox)).mailbox_id
        rows = self.result(mail.read_messages(mailbox_id, uids, (Column.UID, Column.THREAD_ID), list))
        return [thread_id for _, thread_id in rows]

    def mailbox_id(self, name: str = "INBOX") -> MailboxId:
        return self.result(self.store.account_mail(self.ann.account_id).mailbox(name)).mailbox_id

    def assert_all_told(self, found: Iterable[int | None]) -> None:
        self.assertNotIn(None, list(found))

    # --- putting together

    def test_a_thread_is_one_whatever_arrives_first(self) -> None:
        for number, order in enumerate(permutations((A, B, C))):
            account = self.account(f"{number}@example.org")
            for octets in order:
                self.append(account, "INBOX", octets)
            found = self.ids(account)
            self.assert_all_told(found)
            self.assertEqual(len(set(found)), 1, order)

    def test_threads_joined_at_random_are_one_in_any_order_and_any_pieces(self) -> None:
        self.patch(threads, "_PIECE", 3)
        rng = random.Random(3)
        for trial in range(3):
            names = [f"{trial}-{number}" for number in range(12)]
            # A tree: each message refers to one that is older.
            octets = [message(names[0])]
            octets += [message(name, rng.choice(names[:number])) for number, name in enumerate(names) if number]
            octets += [message(f"other-{trial}", subject="Coffee"), message(f"alone-{trial}")]
            rng.shuffle(octets)
            account = self.account(f"trial{trial}@example.org")
            self.append(account, "INBOX", *octets)
            found = self.ids(account)
            self.assert_all_told(found)
            self.assertEqual(len(set(found)), 3)
            sizes = sorted(found.count(one) for one in set(found))
            self.assertEqual(sizes, [1, 1, 12])

    def test_messages_belong_together_across_mailboxes(self) -> None:
        self.result(self.store.account_mail(self.ann.account_id).create_mailbox("Written", None))
        self.append(self.ann, "INBOX", A, C)
        self.append(self.ann, "Written", B)
        self.assertEqual(len(set(self.ids() + self.ids(mailbox="Written"))), 1)

    def test_a_reply_with_another_subject_begins_a_thread(self) -> None:
        self.append(self.ann, "INBOX", A, message("b", "a", subject="Coffee"), message("d", "a", subject="[x]  T e a"))
        one, other, third = self.ids()
        self.assertNotEqual(one, other)
        self.assertEqual(one, third, "white space and names of lists do not count")

    def test_messages_that_only_refer_to_the_same_one_belong_together(self) -> None:
        self.append(self.ann, "INBOX", message("x", "gone"), message("y", "gone"))
        self.assertEqual(len(set(self.ids())), 1)

    def test_messages_without_an_identifier_are_threads_of_their_own(self) -> None:
        self.append(self.ann, "INBOX", b"Subject: x\r\n\r\none", b"Subject: x\r\n\r\ntwo")
        self.assertEqual(len(set(self.ids())), 2)

    def test_accounts_have_threads_of_their_own(self) -> None:
        bob = self.account("bob@example.org")
        self.append(self.ann, "INBOX", A)
        self.append(bob, "INBOX", B)
        self.assertNotEqual(self.ids(), self.ids(bob))

    # --- what stays

    def test_what_was_told_stays_and_what_comes_later_joins_it(self) -> None:
        self.append(self.ann, "INBOX", A, C)
        a, c = self.ids()
        self.assertNotEqual(a, c)
        self.append(self.ann, "INBOX", B, message("d", "c"), message("e", "a"))
        self.assertEqual(self.ids(), [a, c, a, a, a])
        self.assertEqual(self.ids(), [a, c, a, a, a])

    def test_a_thread_that_was_told_is_the_one_that_goes_on(self) -> None:
        self.append(self.ann, "INBOX", A)
        self.append(self.ann, "INBOX", C)
        (c,) = self.ids(uids=UidSet.of([Uid(2)]))
        self.append(self.ann, "INBOX", B)
        self.assertEqual(self.ids(), [c, c, c])

    def test_what_nobody_was_told_may_still_join(self) -> None:
        self.append(self.ann, "INBOX", A, C, message("z", subject="Other"))
        self.ids(uids=UidSet.of([Uid(3)]))
        self.append(self.ann, "INBOX", B)
        self.assertEqual(len(set(self.ids())), 2)

    def test_copies_moves_and_what_is_brought_back_keep_it(self) -> None:
        mail = self.store.account_mail(self.ann.account_id)
        for name in ("Copied", "Moved"):
            self.result(mail.create_mailbox(name, None))
        self.append(self.ann, "INBOX", A, message("z", subject="Other"))
        self.result(mail.copy(self.mailbox_id(), ALL_UIDS, "Copied"))
        told = self.ids(mailbox="Copied")
        self.assertEqual(self.ids(), told)
        self.result(mail.move(self.mailbox_id(), ALL_UIDS, "Moved"))
        self.assertEqual(self.ids(mailbox="Moved"), told)
        self.result(mail.remove_messages(self.mailbox_id("Moved"), ALL_UIDS))
        self.append(self.ann, "INBOX", B)
        self.assertEqual(self.ids(), told[:1])
        self.result(self.store.maintenance.restore_expunged(self.ann.account_id, 0.0, None))
        self.assertEqual(self.ids(mailbox="Moved"), told)

    def test_flags_that_change_change_no_thread(self) -> None:
        self.append(self.ann, "INBOX", A, B, message("z", subject="Other"))
        told = self.ids()
        mail = self.store.account_mail(self.ann.account_id)
        self.result(mail.remove_messages(self.mailbox_id(), UidSet.of([Uid(1)])))
        self.assertEqual(self.ids(), told[1:])

    # --- how it is read

    def test_rows_in_pieces_and_in_steps_tell_it_too(self) -> None:
        self.append(self.ann, "INBOX", A, B)
        mail = self.store.account_mail(self.ann.account_id)
        columns = (Column.UID, Column.THREAD_ID)
        piece = self.result(mail.read_piece(self.mailbox_id(), ALL_UIDS, columns, 1000, list))

        def work(rows: Sequence[object]) -> object:
            yield
            return list(rows)

        self.append(self.ann, "INBOX", C)
        steps = self.result(mail.read_in_steps(self.mailbox_id(), ALL_UIDS, columns, 1000, work))
        (first, _), third = piece.result, steps.result[2]
        self.assertEqual((piece.result, third[1]), (steps.result[:2], first[1]))

    def test_of_messages_that_are_not_there_nothing_is_told(self) -> None:
        self.assertEqual(self.ids(), [])
        self.append(self.ann, "INBOX", A)
        self.assertEqual(self.ids(uids=UidSet.of([Uid(7)])), [])

    def test_no_account_has_threads_until_somebody_asks(self) -> None:
        self.append(self.ann, "INBOX", A, B)
        self.assertEqual(self.rows_of("thread_links"), 0)
        self.ids()
        self.assertEqual(self.rows_of("thread_links"), 2)

    def test_they_go_with_the_account(self) -> None:
        self.append(self.ann, "INBOX", A, C)
        self.ids()
        self.append(self.ann, "INBOX", B)
        self.ids()
        self.result(self.store.directory.remove_account("ann@example.org"))
        self.clock.advance(8 * 86400.0)
        self.result(self.store.maintenance.sweep(self.clock.seconds()))
        for table in ("threaded_mailboxes", "thread_links", "threads"):
            self.assertEqual(self.rows_of(table), 0, table)

    def rows_of(self, table: str) -> int:
        def count_txn(txn: Transaction) -> int:
            number: int = txn.value(f"SELECT COUNT(*) FROM {table}")
            return number

        return self.result(self.store.database.read("count", count_txn))


class InMemoryTests(ThreadContract, InMemory):
    pass


class OnDiskTests(ThreadContract, OnDisk):
    pass


del ThreadContract
