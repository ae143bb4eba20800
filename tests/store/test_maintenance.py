"""Checking, mending, clearing out and bringing back, on every engine."""

from __future__ import annotations

from typing import Any

from pymailsuite.interfaces import Acceptance, Column, Delivery
from pymailsuite.store.checks import check_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, MAX_CHUNK, FlagChange, Flags, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

ONE, TWO = b"Subject: one\r\n\r\nfirst\r\n", b"Subject: two\r\n\r\nsecond\r\n"
DAY = 86400.0


class MaintenanceContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.mail = self.store.account_mail(self.ann.account_id)
        self.maintenance = self.store.maintenance

    def damage(self, sql: str, *values: Any) -> None:
        def damage_txn(txn: Transaction) -> None:
            txn.execute(sql, values)

        self.result(self.store.database.run("damage", damage_txn))

    def subjects(self, name: str) -> list[bytes]:
        mailbox_id = self.result(self.mail.mailbox(name)).mailbox_id
        rows = self.result(self.mail.read_messages(mailbox_id, ALL_UIDS, (Column.OCTETS,), list))
        return [octets for (octets,) in rows]

    def remove_all(self, name: str = "INBOX") -> None:
        self.result(self.mail.remove_messages(self.result(self.mail.mailbox(name)).mailbox_id, ALL_UIDS))

    # --- verify and rebuild

    @acceptance("S056")
    def test_verify_finds_octets_that_do_not_match_their_digest(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        self.assert_sound()
        self.damage("UPDATE content_chunks SET octets = ? WHERE octets = ?", ONE.replace(b"first", b"fi\x00st"), ONE)
        self.assertEqual(self.result(self.maintenance.verify(False)), [])
        (line,) = self.result(self.maintenance.verify(True))
        self.assertIn("do not match their digest", line)

    def found_after(self, sql: str) -> list[str]:
        """What a check says within a transaction that does damage and is then rolled back."""
        found: list[str] = []

        def damage_txn(txn: Transaction) -> None:
            txn.execute(sql)
            found.extend(check_txn(txn))
            raise ZeroDivisionError

        self.failure(self.store.database.run("damage", damage_txn), ZeroDivisionError)
        return found

    def test_verify_names_each_kind_of_damage(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        for sql, what in (
            ("UPDATE mailboxes SET messages = messages + 1 WHERE name = 'INBOX'", "messages is noted as 3, it is 2"),
            ("UPDATE mailboxes SET uid_next = 1 WHERE name = 'INBOX'", "UIDNEXT is 1, but UID 2 is in use"),
            ("UPDATE mailboxes SET unseen = 0 WHERE name = 'INBOX'", "unseen is noted as 0, it is 2"),
            ("UPDATE contents SET refs = 7", "references are noted as 7, they are 1"),
            ("UPDATE messages SET size = 1 WHERE uid = 1", f"size is noted as 1, it is {len(ONE)}"),
            ("DELETE FROM content_chunks", f"size is noted as {len(ONE)}, its chunks hold 0"),
            ("DELETE FROM contents", "its content is not there"),
            ("DELETE FROM contents", "chunks that belong to nothing"),
            ("DELETE FROM mailboxes WHERE name = 'INBOX'", "its mailbox is not there"),
            (
                "UPDATE messages SET arrival_modseq = modseq, modseq = 7 WHERE uid = 2",
                "message 2 in mailbox 1 of account 1: its flags changed, but its block of UIDs does not say so",
            ),
        ):
            found = self.found_after(sql)
            self.assertTrue(any(what in line for line in found), (sql, found))
        self.assert_sound()

    def test_rebuild_makes_right_whatever_can_be_derived(self) -> None:
        long = b"Subject: long\r\n\r\n" + b"x" * (2 * MAX_CHUNK)
        self.append(self.ann, "INBOX", ONE, long, flags=Flags(SystemFlag.SEEN))
        inbox = self.result(self.mail.mailbox("INBOX"))
        self.result(self.mail.store_flags(inbox.mailbox_id, ALL_UIDS, FlagChange.REMOVE, Flags(SystemFlag.SEEN), None))
        good = self.result(self.mail.read_messages(inbox.mailbox_id, ALL_UIDS, tuple(Column), list))
        self.damage("UPDATE contents SET envelope = ?, header_size = 0, parts = ?, refs = 0", b"", b"")
        self.damage("UPDATE mailboxes SET messages = 9, unseen = 9, deleted = 9, size = 9, uid_next = 1")
        self.damage("DELETE FROM changed_flags")
        done = self.result(self.maintenance.rebuild())
        self.assertEqual((done["contents_changed"], done["references_changed"]), (2, 2))
        told = self.result(self.mail.mailbox_changes(inbox.mailbox_id, inbox.highest_modseq))
        self.assertEqual([row[0] for row in told.changed], [1, 2])
        self.assert_sound()
        self.assertEqual(self.result(self.mail.read_messages(inbox.mailbox_id, ALL_UIDS, tuple(Column), list)), good)
        again = self.result(self.maintenance.rebuild())
        self.assertEqual({what: number for what, number in again.items() if number}, {"contents_scanned": 2})

    def test_statistics_count(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        found = self.result(self.maintenance.statistics())
        self.assertEqual(
            (found["accounts"], found["mailboxes"], found["messages"], found["content_octets"], found["queue_entries"]),
            (1, 6, 2, len(ONE) + len(TWO), 0),
        )

    # --- undelete and sweep

    @acceptance("S098")
    def test_the_messages_of_a_deleted_mailbox_come_back_with_it(self) -> None:
        self.result(self.mail.create_mailbox("a/b", None))
        self.append(self.ann, "a/b", ONE, TWO)
        self.result(self.mail.delete_mailbox("a/b"))
        self.clock.advance(6 * DAY)
        self.result(self.maintenance.sweep(NOW + 6 * DAY))
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, NOW - 1, "a/b")), 2)
        self.assertEqual(self.subjects("a/b"), [ONE, TWO])
        self.assert_sound()

    def test_expunged_messages_come_back_with_new_uids_and_not_deleted(self) -> None:
        self.append(self.ann, "INBOX", ONE)
        self.append(self.ann, "Sent", TWO)
        inbox = self.result(self.mail.mailbox("INBOX"))
        deleted = Flags(SystemFlag.DELETED | SystemFlag.FLAGGED)
        self.result(self.mail.store_flags(inbox.mailbox_id, ALL_UIDS, FlagChange.ADD, deleted, None))
        self.clock.advance(10)
        self.result(self.mail.expunge(inbox.mailbox_id, ALL_UIDS))
        self.remove_all("Sent")
        heard: list[int] = []
        self.store.notices.subscribe(self.ann.account_id, heard.append)
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, NOW + 10, None)), 0)
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, NOW + 9, "inbox")), 1)
        self.assertEqual(len(heard), 1)
        selection = self.result(self.mail.select("INBOX", True))
        self.assertEqual([row[:3] for row in selection.rows], [(2, 4, "")])
        self.assertEqual((self.subjects("INBOX"), self.subjects("Sent")), ([ONE], []))
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, NOW, None)), 1)
        changes = self.result(self.mail.mailbox_changes(inbox.mailbox_id, inbox.highest_modseq))
        self.assertEqual(changes.expunged, UidSet.of([1]))
        self.assert_sound()

    @acceptance("S098")
    def test_what_has_come_back_already_is_not_brought_back_twice(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        self.remove_all()
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, 0.0, None)), 2)
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, 0.0, None)), 0)
        self.remove_all()
        # As a restore from a backup would have it: there, and among what was expunged too.
        self.append(self.ann, "INBOX", ONE)
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, 0.0, None)), 1)
        self.assertEqual(self.subjects("INBOX"), [ONE, TWO])
        self.remove_all()
        # Expunged twice, it still is one message.
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, 0.0, None)), 2)
        self.assertEqual(sorted(self.subjects("INBOX")), sorted([ONE, TWO]))
        self.assert_sound()

    def test_a_moved_message_is_not_brought_back_twice(self) -> None:
        self.append(self.ann, "INBOX", ONE)
        inbox = self.result(self.mail.mailbox("INBOX")).mailbox_id
        self.result(self.mail.move(inbox, ALL_UIDS, "Archive"))
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, 0.0, None)), 0)

    def test_after_the_undelete_time_the_octets_go_and_the_expunge_is_remembered(self) -> None:
        self.append(self.ann, "INBOX", ONE)
        inbox = self.result(self.mail.mailbox("INBOX"))
        self.remove_all()
        self.assertEqual(self.result(self.maintenance.sweep(NOW + 6 * DAY)), {})
        self.assertEqual(self.result(self.maintenance.sweep(NOW + 8 * DAY)), {"expunged_messages": 1, "contents": 1})
        self.assertEqual(self.result(self.maintenance.statistics())["content_octets"], 0)
        changes = self.result(self.mail.mailbox_changes(inbox.mailbox_id, inbox.highest_modseq))
        self.assertEqual(changes.expunged, UidSet.of([1]))
        self.assertEqual(self.result(self.maintenance.restore_expunged(self.ann.account_id, 0.0, None)), 0)
        self.assertTrue(changes.is_complete)
        # The changes are those that made the account: six mailboxes and as many subscriptions.
        self.assertEqual(self.result(self.maintenance.sweep(NOW + 200 * DAY)), {"expunge_records": 1, "changes": 12})
        changes = self.result(self.mail.mailbox_changes(inbox.mailbox_id, inbox.highest_modseq))
        self.assertFalse(changes.is_complete)
        self.assert_sound()

    def test_a_removed_account_is_swept_whole(self) -> None:
        bob = self.account("bob@example.org")
        copies = (Delivery(self.ann.account_id, b""), Delivery(bob.account_id, b""))
        self.result(self.store.queue.accept(Acceptance(self.stage(ONE), copies)))
        self.append(self.ann, "INBOX", TWO)
        self.remove_all()
        self.result(self.store.directory.remove_account("ann@example.org"))
        self.assertEqual(self.result(self.maintenance.sweep(NOW + 1)), {})
        dropped = self.result(self.maintenance.sweep(NOW + 8 * DAY))
        self.assertEqual(dropped, {"account_messages": 2, "accounts": 1, "contents": 1})
        self.assertEqual(self.result(self.maintenance.statistics())["mailboxes"], 6)
        self.assert_sound()

    def test_octets_that_never_became_a_message_are_swept(self) -> None:
        writer = self.store.new_content()
        paused = writer.write(b"x" * (3 * MAX_CHUNK))
        if paused is not None:
            self.result(paused)
        self.result(writer.finish())
        self.assertEqual(self.result(self.maintenance.sweep(NOW + 1)), {})
        self.assertEqual(self.result(self.maintenance.sweep(NOW + 2 * DAY)), {"staged_contents": 1})
        self.assert_sound()


class MaintenanceInMemoryTests(MaintenanceContract, InMemory):
    pass


class MaintenanceOnDiskTests(MaintenanceContract, OnDisk):
    pass


del MaintenanceContract
