"""The door to the database: groups, savepoints, what waits for the commit, and what happens when the disk is full."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

from twisted.internet.defer import Deferred

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import ConfigError, NoSuchEntry, StorageFull, StoreUnavailable
from pymailsuite.interfaces import Acceptance, Column, Delivery, NewMessage
from pymailsuite.store import mail_store
from pymailsuite.store.engines.sqlite import SqliteConnection
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, AccountId, FlagChange, Flags, SystemFlag
from tests.store.support import Bell, InMemory, OnDisk, StoreTestCase

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"


class DoorContract(StoreTestCase):
    def test_a_failing_function_is_rolled_back_alone_and_its_effects_forgotten(self) -> None:
        calls: list[str] = []

        def add(name: str) -> Any:
            def add_txn(txn: Transaction) -> str:
                txn.execute("INSERT INTO domains (name) VALUES (?)", (name,))
                txn.call_after(calls.append, name)
                if name == "bad":
                    raise NoSuchEntry()
                return name

            return add_txn

        waiting = [self.store.database.run("add", add(name)) for name in ("one", "bad", "two", "one")]
        self.assertEqual(self.result(waiting[0]), "one")
        self.failure(waiting[1], NoSuchEntry)
        self.assertEqual(self.result(waiting[2]), "two")
        self.failure(waiting[3], StoreUnavailable)
        self.assertEqual([domain.name for domain in self.result(self.store.directory.domains())], ["one", "two"])
        self.assertEqual(calls, ["one", "two"])

    def test_a_reader_cannot_write(self) -> None:
        if self.store.database.engine.in_memory:
            return
        self.failure(self.store.database.read("x", lambda txn: txn.execute("DELETE FROM domains")), StoreUnavailable)

    def test_a_closed_store_is_unavailable(self) -> None:
        self.result(self.store.close())
        self.failure(self.store.directory.domains(), StoreUnavailable)
        self.failure(self.store.directory.add_domain("x"), StoreUnavailable)
        self.result(self.store.close())

    def test_a_subscriber_that_fails_does_not_keep_it_from_others(self) -> None:
        ann = self.account()
        heard: list[int] = []

        def fail(modseq: int) -> None:
            raise ZeroDivisionError

        self.store.notices.subscribe(ann.account_id, fail)
        self.store.notices.subscribe(ann.account_id, heard.append)
        self.append(ann, "INBOX", MESSAGE)
        self.assertEqual(len(heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class DoorInMemoryTests(DoorContract, InMemory):
    pass


class DoorOnDiskTests(DoorContract, OnDisk):
    pass


del DoorContract


class GroupCommitTests(OnDisk):
    def setUp(self) -> None:
        super().setUp()
        self.commits = 0
        plain = SqliteConnection.commit

        def commit(connection: SqliteConnection) -> None:
            self.commits += 1
            plain(connection)

        self.patch(SqliteConnection, "commit", commit)

    def hold_writer(self) -> threading.Event:
        """Keep the writer busy until the event is set, so that what is asked meanwhile waits together."""
        go, started = threading.Event(), threading.Event()

        def hold_txn(txn: Transaction) -> None:
            started.set()
            go.wait(10)

        self.store.database.run("hold", hold_txn)
        self.bell.advance(0)
        self.assertTrue(started.wait(10))
        return go

    def test_what_waits_together_is_committed_once(self) -> None:
        ann = self.account()
        go = self.hold_writer()
        self.commits = 0
        waiting: list[Deferred[Any]] = []
        for number in range(50):
            writer = self.store.new_content()
            writer.write(MESSAGE)
            content = self.successResultOf(writer.finish())
            acceptance = Acceptance(content, None, (Delivery(ann.account_id, b"N: %d\r\n" % number),))
            waiting.append(self.store.queue.accept(acceptance))
        go.set()
        for deferred in waiting:
            self.result(deferred)
        self.assertEqual(self.commits, 2)
        mail = self.store.account_mail(ann.account_id)
        inbox = self.result(mail.mailbox("INBOX"))
        self.assertEqual((inbox.messages, inbox.uid_next), (50, 51))
        prefixes = self.result(mail.read_messages(inbox.mailbox_id, ALL_UIDS, (Column.PREFIX,), list))
        self.assertEqual(prefixes, [(b"N: %d\r\n" % number,) for number in range(50)])
        self.assert_sound()

    def test_what_is_asked_for_in_turns_that_follow_one_another_is_committed_once(self) -> None:
        self.commits = 0
        waiting: list[Deferred[Any]] = []

        def ask() -> None:
            waiting.append(self.store.database.run("ask", lambda txn: txn.value("SELECT 1")))
            if len(waiting) < 5:
                self.bell.callLater(0, ask)

        ask()
        for deferred in waiting:
            self.assertEqual(self.result(deferred), 1)
        self.assertEqual((len(waiting), self.commits), (5, 1))

    def test_what_was_asked_for_before_the_store_is_closed_is_done(self) -> None:
        asked = self.store.database.run("ask", lambda txn: txn.value("SELECT 1"))
        self.result(self.store.close())
        self.assertEqual(self.result(asked), 1)

    def test_one_message_at_fault_does_not_harm_those_accepted_with_it(self) -> None:
        ann = self.account()
        go = self.hold_writer()
        waiting = []
        for account_id in (ann.account_id, AccountId(404), ann.account_id):
            writer = self.store.new_content()
            writer.write(MESSAGE)
            content = self.successResultOf(writer.finish())
            waiting.append(self.store.queue.accept(Acceptance(content, None, (Delivery(account_id, b""),))))
        go.set()
        self.result(waiting[0])
        self.failure(waiting[1])
        self.result(waiting[2])
        self.assertEqual(self.result(self.store.account_mail(ann.account_id).mailbox("INBOX")).messages, 2)
        self.assert_sound()

    def test_those_who_asked_hear_before_those_who_listen(self) -> None:
        ann = self.account()
        order: list[str] = []
        self.store.notices.subscribe(ann.account_id, lambda modseq: order.append("notice"))
        content = self.stage(MESSAGE)
        appended = self.store.account_mail(ann.account_id).append("INBOX", [NewMessage(content)])
        appended.addCallback(lambda _: order.append("answer"))
        self.result(appended)
        self.assertEqual(order, ["answer", "notice"])

    def test_nothing_is_told_before_the_commit(self) -> None:
        told_at: list[int] = []
        self.commits = 0
        deferred = self.store.directory.add_domain("example.org")
        deferred.addCallback(lambda _: told_at.append(self.commits))
        self.result(deferred)
        self.assertEqual(told_at, [1])


class TwoProcessesTests(OnDisk):
    """Another process on the same file, played by a second store."""

    def test_one_waits_while_the_other_writes(self) -> None:
        other = sqlite3.connect(f"{self.folder}/store.sqlite", isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        deferred = self.store.directory.add_domain("example.org")
        threading.Timer(0.3, self.bell.callFromThread, (other.execute, "COMMIT")).start()
        self.assertEqual(self.result(deferred).name, "example.org")

    def test_waiting_has_an_end(self) -> None:
        other = sqlite3.connect(f"{self.folder}/store.sqlite", isolation_level=None)
        self.addCleanup(other.close)
        self.result(self.store.close())
        self.settings = StoreSection(busy_limit=0.1)
        store = self.open_store()
        other.execute("BEGIN IMMEDIATE")
        self.failure(store.directory.add_domain("example.org"), StoreUnavailable)
        other.execute("COMMIT")
        self.result(store.directory.add_domain("example.org"))

    def test_content_ids_of_two_processes_never_meet(self) -> None:
        other = self.open_store()
        ids = [store.new_content().content_id for _ in range(3000) for store in (self.store, other)]
        self.assertEqual(len(set(ids)), len(ids))
        mine = ids[::2]
        self.assertEqual(mine, sorted(mine))


class FullDiskTests(OnDisk):
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


class SchemaVersionTests(OnDisk):
    def test_a_newer_schema_is_refused(self) -> None:
        def newer_txn(txn: Transaction) -> None:
            txn.execute("INSERT INTO schema_version (version, applied_at) VALUES (9999, 0)")

        self.result(self.store.database.run("newer", newer_txn))
        self.result(self.store.close())
        bell = Bell()
        opened = mail_store(self.settings, bell, url=self.url).open()
        bell.wait(opened)
        self.assertIn("9999", str(self.failureResultOf(opened, ConfigError).value))

    def test_an_existing_store_opens_again_with_all_that_was_in_it(self) -> None:
        ann = self.account()
        self.append(ann, "INBOX", MESSAGE)
        self.result(self.store.close())
        self.store = self.open_store()
        mail = self.store.account_mail(ann.account_id)
        self.assertEqual(self.result(mail.mailbox("INBOX")).messages, 1)
        self.assert_sound()

    def test_an_unknown_kind_of_store_is_a_configuration_error(self) -> None:
        for url in ("", "mysql://x/y", "sqlite://host/path"):
            self.assertRaises(ConfigError, mail_store, self.settings, self.bell, url=url)
