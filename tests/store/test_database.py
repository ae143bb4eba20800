"""The door to the database: groups, savepoints, what waits for the commit, and what happens when the disk is full."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import Deferred

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import ConfigError, NoSuchEntry, StoreUnavailable
from pymailsuite.interfaces import Acceptance, Column, Delivery, NewMessage
from pymailsuite.store import mail_store
from pymailsuite.store.engines.base import Connection
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, AccountId
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
        connection = self.store.database.engine.connect()
        connection.close()
        plain = type(connection).commit

        def commit(connection: Connection) -> None:
            self.commits += 1
            plain(connection)

        self.patch(type(connection), "commit", commit)

    def test_what_waits_together_is_committed_once(self) -> None:
        ann = self.account()
        go = self.hold(self.store)
        self.commits = 0
        waiting: list[Deferred[Any]] = []
        for number in range(50):
            writer = self.store.new_content()
            writer.write(MESSAGE)
            content = self.successResultOf(writer.finish())
            acceptance = Acceptance(content, (Delivery(ann.account_id, b"N: %d\r\n" % number),))
            waiting.append(self.store.queue.accept(acceptance))
        go.set()
        for deferred in waiting:
            self.result(deferred)
        self.assertEqual(self.commits, 2)
        mail = self.store.account_mail(ann.account_id)
        inbox = self.result(mail.mailbox("INBOX"))
        self.assertEqual((inbox.messages, inbox.uid_next), (50, 51))
        headers = self.result(mail.read_messages(inbox.mailbox_id, ALL_UIDS, (Column.HEADER,), list))
        numbers = [header.partition(b"\r\n")[0] for (header,) in headers]
        self.assertEqual(numbers, [b"N: %d" % number for number in range(50)])
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
        go = self.hold(self.store)
        waiting = []
        for account_id in (ann.account_id, AccountId(404), ann.account_id):
            writer = self.store.new_content()
            writer.write(MESSAGE)
            content = self.successResultOf(writer.finish())
            waiting.append(self.store.queue.accept(Acceptance(content, (Delivery(account_id, b""),))))
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
    """Another process on the same database, played by a second store."""

    def test_one_waits_while_the_other_writes(self) -> None:
        ann = self.account()
        go = self.hold(self.open_store(), ann)
        asked = self.store.account_mail(ann.account_id).create_mailbox("Late", None)
        threading.Timer(0.3, go.set).start()
        self.assertEqual(self.result(asked).name, "Late")

    def test_waiting_has_an_end(self) -> None:
        ann = self.account()
        self.settings = StoreSection(busy_limit=0.1, postgres_lock_wait=0.1)
        store = self.open_store()
        go = self.hold(self.store, ann)
        mail = store.account_mail(ann.account_id)
        self.failure(mail.create_mailbox("Late", None), StoreUnavailable)
        go.set()
        self.result(self.store.database.run("look", lambda txn: None))
        self.result(mail.create_mailbox("Late", None))

    def test_content_ids_of_two_processes_never_meet(self) -> None:
        other = self.open_store()
        ids = [store.new_content().content_id for _ in range(3000) for store in (self.store, other)]
        self.assertEqual(len(set(ids)), len(ids))
        mine = ids[::2]
        self.assertEqual(mine, sorted(mine))


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
