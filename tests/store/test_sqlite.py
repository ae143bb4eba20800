"""What is SQLite's own: a full disk, as a file that may not grow plays it."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import Deferred

from pymailsuite.errors import StorageFull
from pymailsuite.interfaces import Column, NewMessage
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, FlagChange, Flags, SystemFlag
from tests.store.support import OnDisk

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"


class OnSqlite(OnDisk):
    def make_url(self) -> str:
        return f"sqlite:///{self.folder}/store.sqlite"


class FullDiskTests(OnSqlite):
    """A file that may not grow past a number of pages fails as a full disk does."""

    def limit_pages(self, more: int | None) -> None:
        def limit_txn(txn: Transaction) -> None:
            pages = txn.value("PRAGMA page_count") + more if more is not None else 1_000_000
            txn.rows(f"PRAGMA max_page_count = {pages}")

        self.result(self.store.database.run("limit", limit_txn))

    def test_nothing_is_acknowledged_and_the_store_recovers_by_itself(self) -> None:
        ann = self.account()
        mail = self.store.account_mail(ann.account_id)
        self.append(ann, "INBOX", MESSAGE)
        self.limit_pages(4)
        stored = 1
        for _ in range(20):
            content = self.stage(b"Subject: long\r\n\r\n" + b"x" * 20_000)
            deferred = mail.append("INBOX", [NewMessage(content)])
            self.bell.wait(deferred)
            outcome: list[Any] = []
            deferred.addBoth(outcome.append)
            if hasattr(outcome[0], "trap"):
                outcome[0].trap(StorageFull)
            else:
                stored += 1
        self.assertLess(stored, 20)
        self.assertEqual(self.result(mail.mailbox("INBOX")).messages, stored)
        self.assert_sound()
        inbox = self.result(mail.mailbox("INBOX")).mailbox_id
        self.assertEqual(len(self.result(mail.read_messages(inbox, ALL_UIDS, (Column.UID,), list))), stored)
        self.limit_pages(None)
        self.append(ann, "INBOX", b"x" * 20_000)
        self.assert_sound()

    def test_a_small_change_does_not_suffer_for_a_large_message_beside_it(self) -> None:
        ann = self.account()
        mail = self.store.account_mail(ann.account_id)
        self.append(ann, "INBOX", MESSAGE)
        inbox = self.result(mail.mailbox("INBOX")).mailbox_id
        contents = [self.stage(b"x" * 200_000) for _ in range(3)]
        self.limit_pages(2)
        go = threading.Event()
        self.store.database.run("hold", lambda txn: go.wait(10))
        large = [mail.append("INBOX", [NewMessage(content)]) for content in contents]
        small = mail.store_flags(inbox, ALL_UIDS, FlagChange.ADD, Flags(SystemFlag.SEEN), None)
        go.set()
        for deferred in large:
            self.failure(deferred, StorageFull)
        self.assertEqual(len(self.result(small).changed), 1)
        self.assertEqual(self.result(mail.mailbox("INBOX")).unseen, 0)
        self.assert_sound()

    def test_a_long_message_is_refused_while_it_comes_and_leaves_nothing(self) -> None:
        self.account()
        self.limit_pages(4)
        writer = self.store.new_content()
        refused = None
        for _ in range(100):
            paused = writer.write(b"x" * 100_000)
            if paused is not None:
                self.bell.wait(paused)
                outcome: list[Any] = []
                paused.addErrback(outcome.append)
                if outcome:
                    refused = outcome[0]
                    break
        assert refused is not None
        refused.trap(StorageFull)
        self.failure(writer.finish(), StorageFull)
        self.limit_pages(None)
        self.assert_sound()


class ChunkTests(OnSqlite):
    """How chunks lie in the file. Stores made before their rows were kept apart from their keys have the older form."""

    def test_a_store_of_the_older_form_is_read_and_written_as_ever(self) -> None:
        def make_older_txn(txn: Transaction) -> None:
            sql = txn.value("SELECT sql FROM sqlite_master WHERE name = 'content_chunks'")
            assert "WITHOUT ROWID" not in sql
            txn.execute("DROP TABLE content_chunks")
            txn.execute(f"{sql} WITHOUT ROWID")

        self.result(self.store.database.run("make older", make_older_txn))
        ann = self.account()
        message = b"Subject: long\r\n\r\n" + b"0123456789abcde\n" * 40_000
        self.append(ann, "INBOX", MESSAGE, message)
        mail = self.store.account_mail(ann.account_id)
        inbox = self.result(mail.mailbox("INBOX")).mailbox_id
        rows = self.result(mail.read_messages(inbox, ALL_UIDS, (Column.UID, Column.HEADER, Column.OCTETS), list))
        self.assertEqual([row[1:] for row in rows], [(MESSAGE[:15], MESSAGE), (message[:17], None)])
        self.assertEqual(self.result(mail.read_octets(inbox, rows[1][0], 300_000, 300_016)), message[300_000:300_016])
        self.assert_sound()


class LastingTests(OnSqlite):
    """Which commits wait for the disk: ``PRAGMA synchronous`` is 2 (FULL) where they do, 1 (NORMAL) where not."""

    def asked(self, lasting: bool) -> Deferred[int]:
        return self.store.database.run("ask", lambda txn: txn.value("PRAGMA synchronous"), lasting=lasting)

    def test_a_commit_waits_for_the_disk_if_anything_in_it_must_last(self) -> None:
        self.assertEqual([self.result(self.asked(lasting)) for lasting in (True, False, True)], [2, 1, 2])
        together = [self.asked(lasting) for lasting in (False, True, False)]
        self.assertEqual([self.result(each) for each in together], [2, 2, 2])

    def test_octets_of_a_message_wait_for_the_disk_with_its_acceptance(self) -> None:
        ann = self.account()
        mail = self.store.account_mail(ann.account_id)
        database, asked = self.store.database, []
        submit = database._submit_write
        self.patch(
            database, "_submit_write", lambda job: (asked.append((job.description, job.lasting)), submit(job))[1]
        )
        writer = self.store.new_content()
        for _ in range(5):
            waiting = writer.write(b"0123456789abcde\n" * 20_000)
            if waiting is not None:
                self.result(waiting)
        content = self.result(writer.finish())
        self.result(mail.append("INBOX", [NewMessage(content)]))
        self.assertEqual(asked, [*[("stage chunk", False)] * 6, ("append", True)])
        self.assert_sound()
