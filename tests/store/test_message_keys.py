"""Keys of messages: noted as they come, and made for those that came before."""

from __future__ import annotations

from pymailsuite.interfaces import Column, MessageRow
from pymailsuite.message.scan import scan
from pymailsuite.message.structure import NO_SENT_DAY, MessageKeys
from pymailsuite.store import message_keys, reading
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, MAX_CHUNK
from tests.store.support import InMemory, OnDisk, StoreTestCase

ONE = b"From: Anna <a@example.org>\r\nDate: 3 Nov 2026 10:00:00 +0100\r\nSubject: Re: One\r\n\r\nfirst\r\n"
NONE = b"\r\nonly text\r\n"
LONG = b"Subject: long\r\n\r\nbegin " + b"x" * (MAX_CHUNK + 1000)
LONG_HEADER = b"Subject: many\r\n" + b"X-Field: x\r\n" * 2000 + b"\r\ntext\r\n"
COLUMNS = {
    Column.SENT_AT: "sent_at",
    Column.SENT_DAY: "sent_day",
    Column.SUBJECT: "subject",
    Column.BASE_SUBJECT: "base_subject",
    Column.FROM_MAILBOX: "from_mailbox",
    Column.TO_MAILBOX: "to_mailbox",
    Column.CC_MAILBOX: "cc_mailbox",
    Column.FROM_DISPLAY: "from_display",
    Column.TO_DISPLAY: "to_display",
    Column.HAS_ATTACHMENT: "has_attachment",
    Column.PREVIEW: "preview",
}


class KeysContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.mail = self.store.account_mail(self.ann.account_id)
        self.inbox = self.result(self.mail.mailbox("INBOX")).mailbox_id

    def rows(self, *columns: Column) -> list[MessageRow]:
        return self.result(self.mail.read_messages(self.inbox, ALL_UIDS, columns, list))

    def forget_keys(self) -> None:
        """Make the store one of before the keys."""

        def forget_txn(txn: Transaction) -> None:
            txn.execute(f"UPDATE contents SET {' = NULL, '.join(MessageKeys._fields)} = NULL")
            message_keys.fill_anew_txn(txn)

        self.result(self.store.database.run("forget", forget_txn))

    def lacking(self) -> int:
        def count_txn(txn: Transaction) -> int:
            number: int = txn.value("SELECT COUNT(*) FROM contents WHERE own_link IS NULL")
            return number

        return self.result(self.store.database.read("count", count_txn))

    def assert_told(self, *messages: bytes) -> None:
        """What can be asked for is as the scan of the messages has it."""
        keys = [scan(octets).keys for octets in messages]
        expected = [tuple(getattr(one, name) for name in COLUMNS.values()) for one in keys]
        self.assertEqual(self.rows(*COLUMNS), expected)
        for column, name in COLUMNS.items():
            self.assertEqual(self.rows(column, Column.UID), [(getattr(one, name), n) for n, one in enumerate(keys, 1)])

    def test_they_are_noted_as_messages_come(self) -> None:
        self.append(self.ann, "INBOX", ONE, NONE, LONG)
        self.assertEqual(self.lacking(), 0)
        self.assert_told(ONE, NONE, LONG)
        self.assertEqual(self.rows(Column.SENT_DAY), [(20760,), (NO_SENT_DAY,), (NO_SENT_DAY,)])

    def test_what_has_none_is_answered_all_the_same(self) -> None:
        self.append(self.ann, "INBOX", ONE, NONE, LONG)
        self.forget_keys()
        self.append(self.ann, "INBOX", ONE)
        self.assertEqual(self.lacking(), 3)
        self.assert_told(ONE, NONE, LONG, ONE)
        columns = (Column.UID, Column.PREVIEW, Column.HEADER)
        self.assertEqual(self.rows(*columns)[0], (1, "first", ONE.removesuffix(b"first\r\n")))

    def test_what_has_none_comes_in_short_pieces(self) -> None:
        self.patch(reading, "_KEYS_MADE", 2)
        self.append(self.ann, "INBOX", ONE, ONE, NONE)
        self.forget_keys()
        self.append(self.ann, "INBOX", NONE)
        columns = (Column.UID, Column.PREVIEW)
        piece = self.result(self.mail.read_piece(self.inbox, ALL_UIDS, columns, 10_000, list))
        self.assertEqual((piece.result, piece.last), ([(1, "first"), (2, "first")], 2))

    def test_a_thread_is_told_of_what_has_none(self) -> None:
        self.append(self.ann, "INBOX", ONE, NONE)
        self.forget_keys()
        ids = [thread_id for (thread_id,) in self.rows(Column.THREAD_ID)]
        self.assertEqual((len(set(ids)), self.lacking()), (2, 0))

    def test_they_are_filled_in_piece_by_piece_and_from_where_that_was_left(self) -> None:
        self.patch(message_keys, "_FILLED", 2)
        self.append(self.ann, "INBOX", ONE, NONE, LONG)
        self.forget_keys()
        self.append(self.ann, "INBOX", NONE, ONE)
        self.assertEqual(self.result(self.store.maintenance.fill()), 2)
        self.assertEqual(self.lacking(), 1)
        self.reopen()
        self.assertEqual(self.result(self.store.maintenance.fill()), 1)
        self.assertEqual(self.lacking(), 0)
        self.assertIsNone(self.result(self.store.maintenance.fill()))
        self.append(self.ann, "INBOX", ONE)
        self.assertEqual(self.result(self.store.maintenance.fill()), 0)
        self.assertIsNone(self.result(self.store.maintenance.fill()))
        self.assert_told(ONE, NONE, LONG, NONE, ONE, ONE)
        self.assertEqual(self.result(self.store.maintenance.rebuild())["contents_changed"], 0)

    def test_two_processes_that_fill_in_do_no_harm(self) -> None:
        self.patch(message_keys, "_FILLED", 2)
        self.append(self.ann, "INBOX", ONE, NONE, ONE)
        self.forget_keys()
        database = self.store.database
        filling = self.result(database.read("look", message_keys.next_filling_txn))
        while self.result(self.store.maintenance.fill()) is not None:
            pass
        self.result(database.run("fill", lambda txn: message_keys.fill_txn(txn, filling)))
        self.assertIsNone(self.result(self.store.maintenance.fill()))
        self.assert_told(ONE, NONE, ONE)

    def test_rebuilding_makes_them_too(self) -> None:
        self.append(self.ann, "INBOX", ONE, NONE)
        told = self.rows(Column.THREAD_ID)
        self.forget_keys()
        self.assertEqual(self.result(self.store.maintenance.rebuild())["contents_changed"], 2)
        self.assertEqual(self.lacking(), 0)
        self.assert_told(ONE, NONE)
        self.assertEqual(self.rows(Column.THREAD_ID), told)

    # --- headers apart from octets

    def headers(self) -> list[bytes]:
        """Headers that are stored apart."""
        return self.stored("SELECT octets FROM content_headers ORDER BY content_id")

    def stored(self, sql: str) -> list[bytes]:
        return self.result(self.store.database.read("look", lambda txn: [bytes(value) for (value,) in txn.rows(sql)]))

    def forget_headers(self) -> None:
        """Make the store one of before headers were stored apart."""

        def forget_txn(txn: Transaction) -> None:
            txn.execute("DELETE FROM content_headers")
            message_keys.fill_anew_txn(txn)

        self.result(self.store.database.run("forget", forget_txn))

    def test_headers_are_stored_apart_if_they_are_short(self) -> None:
        messages = (ONE, NONE, LONG, LONG_HEADER)
        self.append(self.ann, "INBOX", *messages)
        whole = [octets[: scan(octets).header_size] for octets in messages]
        self.assertEqual(self.headers(), whole[:3])
        self.assertEqual(self.rows(Column.HEADER), [(header,) for header in whole])
        self.assertEqual(self.rows(Column.HEADER, Column.OCTETS)[0], (whole[0], ONE))
        self.forget_headers()
        self.assertEqual(self.rows(Column.HEADER), [(header,) for header in whole])
        self.assertEqual(self.result(self.store.maintenance.fill()), 3)
        self.assertEqual(self.headers(), whole[:3])
        self.assertIsNone(self.result(self.store.maintenance.fill()))

    def test_a_header_that_is_filled_in_twice_or_too_late_does_no_harm(self) -> None:
        self.append(self.ann, "INBOX", ONE, NONE)
        self.forget_headers()
        filling = self.result(self.store.database.read("look", message_keys.next_filling_txn))
        while self.result(self.store.maintenance.fill()) is not None:
            pass
        self.result(self.store.database.run("drop", lambda txn: txn.execute("DELETE FROM contents WHERE size < 20")))
        self.result(self.store.database.run("drop", lambda txn: txn.execute("DELETE FROM content_headers")))
        self.result(self.store.database.run("fill", lambda txn: message_keys.fill_txn(txn, filling)))
        self.assertEqual(self.headers(), [ONE.removesuffix(b"first\r\n")])

    def test_a_header_goes_with_its_message_and_is_looked_at_with_it(self) -> None:
        self.append(self.ann, "INBOX", ONE, NONE)

        def damage_txn(txn: Transaction) -> None:
            txn.execute("UPDATE contents SET header_size = 3, refs = 0 WHERE size < 20")

        self.result(self.store.database.run("damage", damage_txn))
        faults = self.result(self.store.maintenance.verify(False))
        self.assertTrue(any("a header of 2 octets is stored, it has 3" in fault for fault in faults), faults)
        self.result(self.store.maintenance.sweep(2e9))
        self.assertEqual(len(self.headers()), 1)

    def reopen(self) -> None:
        """Go on as another process."""


class InMemoryTests(KeysContract, InMemory):
    pass


class OnDiskTests(KeysContract, OnDisk):
    def reopen(self) -> None:
        self.close_store(self.store)
        self.store = self.open_store()
        self.mail = self.store.account_mail(self.ann.account_id)


del KeysContract
