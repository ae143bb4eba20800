"""The text index of a store: made in pieces, forgotten with the octets, and never in the way of anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces import Account
from pymailsuite.interfaces.text_index import HoldsWords, IndexBounds, ITextIndex, TextField, TextIndexStatus
from pymailsuite.message.extraction import NO_EXTRACTION
from pymailsuite.message.words import words_of_needle
from pymailsuite.store import MailStore
from pymailsuite.store import text_index as under_test
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, MailboxId, UidSet
from tests.store.support import InMemory, OnDisk, StoreTestCase

BOUNDS = IndexBounds(octets_max=2**30, message_octets=2**20, piece_messages=4, extraction=NO_EXTRACTION)


def message(text: str) -> bytes:
    return f"Subject: about {text}\r\nFrom: Bob <bob@example.net>\r\n\r\nThis is the text: {text}.\r\n".encode()


class TextIndexContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.mail = self.store.account_mail(self.ann.account_id)
        index = self.store.ability(ITextIndex)
        assert index is not None
        self.index = index

    def index_all(self, index: Any = None, bounds: IndexBounds = BOUNDS) -> int:
        """Go on until there is nothing left to do; how many messages were indexed."""
        number = 0
        while (some := self.result((index or self.index).index_some(bounds))) is not None:
            number += some
        return number

    def mailbox_id(self, name: str = "INBOX") -> MailboxId:
        return self.result(self.mail.mailbox(name)).mailbox_id

    def left(self, text: str, uids: Sequence[int], name: str = "INBOX", field: TextField = TextField.BODY) -> list[int]:
        """What the index leaves of ``uids``."""
        query = HoldsWords((field,), words_of_needle(text))
        return list(self.result(self.mail.narrowed(self.mailbox_id(name), uids, query, "")))

    def status(self, account: Account | None = None) -> TextIndexStatus:
        return self.result(self.index.status(account and account.account_id))

    def words_stored(self) -> bytes:
        """All words of the index."""

        def words_txn(txn: Transaction) -> bytes:
            return b"\n".join(bytes(words) for (words,) in txn.rows("SELECT words FROM text_words"))

        return self.result(self.store.database.read("words", words_txn))

    def expunge_and_sweep(self, *uids: int, mailbox: str = "INBOX") -> None:
        self.result(self.mail.remove_messages(self.mailbox_id(mailbox), UidSet.of(uids)))
        self.clock.advance(1)
        self.result(self.store.maintenance.sweep(self.clock.seconds()))

    # --- made

    def test_pieces_are_made_and_asked_and_the_last_messages_are_read_as_they_are(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(10)))
        self.assertEqual(self.index_all(), 8)
        uids = list(range(1, 11))
        self.assertEqual(self.left("number3", uids), [4, 9, 10])
        self.assertEqual(self.left("number9", uids), [9, 10])
        self.assertEqual(self.left("umber", uids), uids)
        self.assertEqual(self.left("nowhere", [2, 3, 10]), [10])
        self.assertEqual(self.left("number3", [9, 10, 11, 5000]), [9, 10, 11, 5000])
        self.assertEqual(self.left("number3", uids, field=TextField.SUBJECT), [4, 9, 10])
        self.assertEqual(self.left("number3", uids, field=TextField.CC), [9, 10])
        status = self.status()
        self.assertEqual((status.messages, status.indexed, status.pieces), (10, 8, 2))
        self.assertGreater(status.octets, 0)

    def test_what_arrives_later_goes_into_a_piece_once_there_is_enough_of_it(self) -> None:
        self.append(self.ann, "INBOX", *map(message, ("tea", "cake", "milk")))
        self.assertEqual(self.index_all(), 0)
        self.append(self.ann, "INBOX", message("jam"))
        self.assertEqual(self.index_all(), 4)
        self.append(self.ann, "INBOX", *map(message, ("salt", "oil", "rice")))
        self.assertEqual(self.index_all(), 0)
        self.assertEqual(self.left("jam", range(1, 8)), [4, 5, 6, 7])

    def test_each_mailbox_has_pieces_of_its_own(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"in{n}") for n in range(4)))
        self.result(self.mail.create_mailbox("Old", None))
        self.result(self.mail.copy(self.mailbox_id(), ALL_UIDS, "Old"))
        self.result(self.mail.move(self.mailbox_id(), ALL_UIDS, "Old"))
        self.assertEqual(self.index_all(), 8)
        self.assertEqual(self.left("in2", range(1, 9), "Old"), [3, 7])

    def test_a_deleted_mailbox_leaves_no_piece(self) -> None:
        self.result(self.mail.create_mailbox("Old", None))
        self.append(self.ann, "Old", *(message(f"secret{n}") for n in range(4)))
        self.index_all()
        self.assertIn(b"secret", self.words_stored())
        self.result(self.mail.delete_mailbox("Old"))
        self.index_all()
        self.assertEqual((self.words_stored(), self.status().pieces), (b"", 0))

    def test_many_pieces_are_asked_some_at_a_time(self) -> None:
        self.patch(under_test, "_PIECES_AT_ONCE", 2)
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(40)))
        self.assertEqual(self.index_all(), 40)
        self.assertEqual(self.left("number17", range(1, 60)), [18, *range(41, 60)])
        self.assertEqual(self.left("number17", [1, 18, 38, 39]), [18])
        self.assertEqual(self.left("number17", [39]), [])

    def test_messages_of_any_size_are_indexed_up_to_a_bound(self) -> None:
        attached = (
            b"Subject: long\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nneedle one\r\n--b\r\n"
            b"Content-Type: application/octet-stream\r\n\r\n" + 60_000 * b"octets\r\n" + b"--b--\r\n"
        )
        self.append(
            self.ann, "INBOX", attached, message("x" * 4000), message("needle"), b"\r\n" + 30_000 * b"needless\r\n"
        )
        self.assertEqual(self.index_all(bounds=IndexBounds(2**30, 3000, 4, NO_EXTRACTION)), 4)
        self.assertEqual(self.status().indexed, 2)
        # The second and the last are too long to be indexed.
        self.assertEqual(self.left("needle", range(1, 5)), [1, 2, 3, 4])
        self.assertEqual(self.left("needle one", range(1, 5)), [1, 2, 4])

    # --- forgotten

    def test_the_words_go_with_the_octets_and_the_rest_is_indexed_again(self) -> None:
        self.append(self.ann, "INBOX", *map(message, ("tea", "secret", "milk", "jam", "salt", "oil", "rice", "corn")))
        self.index_all()
        self.assertIn(b"secret", self.words_stored())
        self.expunge_and_sweep(2)
        self.assertNotIn(b"secret", self.words_stored())
        # Until it is made again the piece says nothing.
        self.assertEqual(self.left("oil", [1, 3, 4, 5, 6, 7, 8]), [1, 3, 4, 6])
        self.assertEqual(self.index_all(), 0)
        self.assertEqual(self.left("oil", [1, 3, 4, 5, 6, 7, 8]), [6])
        self.assertEqual(self.status().indexed, 7)

    def test_neighbours_with_few_messages_left_become_one_piece(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(16)))
        self.index_all()
        self.expunge_and_sweep(2, 3, 4, 5, 6, 7, 8, 9)
        self.index_all()
        self.assertEqual(self.status().pieces, 2)
        self.assertEqual(self.left("number10", [1, *range(10, 17)]), [11])
        self.expunge_and_sweep(1, *range(10, 17))
        self.index_all()
        self.assertEqual((self.status().pieces, self.words_stored()), (0, b""))

    def test_what_is_removed_while_an_account_is_looked_through_is_not_missed(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(8)))
        self.result(self.index.index_some(BOUNDS))
        self.result(self.index.index_some(BOUNDS))
        self.assertEqual(self.result(self.index.index_some(BOUNDS)), 4)
        self.expunge_and_sweep(1)
        self.index_all()
        self.assertEqual(self.left("number1", range(2, 9)), [2])

    def test_a_message_that_goes_while_its_piece_is_made_is_not_in_it(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(5)))
        store_txn = under_test._store_txn

        def late_txn(txn: Transaction, *arguments: Any, **named: Any) -> bool:
            txn.execute("DELETE FROM messages WHERE uid = 2")
            return store_txn(txn, *arguments, **named)

        self.patch(under_test, "_store_txn", late_txn)
        self.index_all()
        self.assertEqual(self.words_stored(), b"")

    def test_an_account_that_is_removed_leaves_nothing(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"secret{n}") for n in range(8)))
        self.index_all()
        self.result(self.store.directory.remove_account(self.ann.login_name))
        self.clock.advance(1)
        self.result(self.store.maintenance.sweep(self.clock.seconds()))

        def left_txn(txn: Transaction) -> list[int]:
            return [
                txn.value(f"SELECT COUNT(*) FROM {table}") for table in ("text_accounts", "text_pieces", "text_words")
            ]

        self.assertEqual(self.result(self.store.database.read("left", left_txn)), [0, 0, 0])

    # --- by operators

    def test_an_index_is_dropped_for_good_and_rebuilt(self) -> None:
        eve = self.account("eve@example.org")
        for account in (self.ann, eve):
            self.append(account, "INBOX", *(message(f"number{n}") for n in range(4)))
        self.index_all()
        self.assertEqual(self.result(self.index.drop(self.ann.account_id)), 1)
        self.append(self.ann, "INBOX", message("later"))
        self.assertEqual(self.index_all(), 0)
        self.assertEqual(self.left("number1", range(1, 5)), [1, 2, 3, 4])
        self.assertEqual((self.status(self.ann).indexed, self.status(self.ann).dropped), (0, 1))
        self.assertEqual(self.status(eve).indexed, 4)
        self.result(self.index.rebuild(self.ann.account_id))
        self.assertEqual(self.index_all(), 4)
        self.assertEqual(self.left("number1", range(1, 5)), [2])
        self.assertEqual(self.result(self.index.rebuild()), 2)
        self.assertEqual(self.index_all(), 8)
        self.assertEqual(self.result(self.index.drop()), 2)
        self.assertEqual(self.index_all(), 0)
        self.assertEqual(self.status().dropped, 2)

    def test_its_size_is_bounded(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(8)))
        self.assertEqual(self.index_all(bounds=IndexBounds(0, 2**20, 4, NO_EXTRACTION)), 0)
        self.assertEqual(self.status().pieces, 0)
        self.assertEqual(self.index_all(), 8)

    def test_pieces_of_another_form_say_nothing_and_are_made_again(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(4)))
        self.patch(under_test, "FORM", "0 old")
        self.index_all()
        self.patch(under_test, "FORM", "1 new")
        self.assertEqual(self.left("number1", range(1, 5)), [1, 2, 3, 4])
        self.append(self.ann, "INBOX", message("later"))
        self.assertEqual(self.index_all(), 4)
        self.assertEqual(self.left("number1", range(1, 5)), [2])

    def test_a_rebuilt_store_has_another_index(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(4)))
        self.index_all()
        self.result(self.store.database.run("spoil", lambda txn: txn.execute("UPDATE contents SET parts = body")))
        self.result(self.store.maintenance.rebuild())
        self.assertEqual(self.left("number1", range(1, 5)), [1, 2, 3, 4])
        self.assertEqual(self.index_all(), 4)
        self.assertEqual(self.left("number1", range(1, 5)), [2])

    # --- several processes

    def test_an_account_is_one_process_s_at_a_time_until_that_is_gone(self) -> None:
        self.append(self.ann, "INBOX", *(message(f"number{n}") for n in range(8)))
        first, second = (under_test.TextIndex(self.store.database, self.store._node.clock) for _ in range(2))
        for _ in range(3):
            self.result(first.index_some(BOUNDS))
        self.assertEqual(self.status().indexed, 4)
        self.assertEqual(self.index_all(second), 0)
        # The first one was killed.
        self.clock.advance(under_test._CLAIM_S + 1)
        self.assertEqual(self.index_all(second), 4)
        self.assertEqual(self.status().indexed, 8)


class TextIndexInMemoryTests(TextIndexContract, InMemory):
    settings = StoreSection(undelete_time=0.0, expunge_log_time=0.0)


class TextIndexOnDiskTests(TextIndexContract, OnDisk):
    settings = StoreSection(undelete_time=0.0, expunge_log_time=0.0)

    def test_two_processes_share_the_work(self) -> None:
        for number in range(6):
            account = self.account(f"user{number}@example.org")
            self.append(account, "INBOX", *(message(f"number{n}") for n in range(9)))
        second: MailStore = self.open_store()
        indexes = [self.index, second.text_index]
        done = 0
        while indexes:
            for index in tuple(indexes):
                some = self.result(index.index_some(BOUNDS))
                if some is None:
                    indexes.remove(index)
                else:
                    done += some
        self.assertEqual(done, 48)
        self.assertEqual(self.status().indexed, 48)
        self.assert_sound()


del TextIndexContract
