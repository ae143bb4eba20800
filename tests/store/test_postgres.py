"""What is PostgreSQL's own: many writers, commits in doubt, a server that goes. Needs ``--store-url``."""

from __future__ import annotations

import random
import threading
import time
import unittest
from collections.abc import Callable
from typing import Any

import psycopg
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import AlreadyExists, ConfigError, StoreUnavailable
from pymailsuite.interfaces import Acceptance, Account, Column, Delivery
from pymailsuite.store import MailStore, inline_store, mail_store
from pymailsuite.store.engines.base import ErrorKind
from pymailsuite.store.engines.postgres import PostgresConnection, PostgresEngine, numbered
from pymailsuite.store.mailboxes import advance_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS
from tests.acceptance import acceptance
from tests.store.support import Bell, OnDisk
from tests.support import stores
from tests.support.postgres import PostgresServer


class OnPostgres(OnDisk):
    def setUp(self) -> None:
        if stores.schemas is None:
            raise unittest.SkipTest("--store-url names no PostgreSQL")
        super().setUp()


class SchemaTests(OnPostgres):
    @acceptance("S252")
    def test_several_processes_may_start_on_an_empty_database(self) -> None:
        assert stores.schemas is not None
        url = stores.schemas.make_bare()
        problems: list[BaseException] = []

        def start() -> None:
            store = inline_store(StoreSection(), Bell(), url=url)
            store.open().addErrback(lambda reason: problems.append(reason.value))
            store.close()

        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])

    def test_text_is_ordered_by_code_point_whatever_the_database_does(self) -> None:
        rows = self.result(
            self.store.database.read(
                "collations",
                lambda txn: txn.rows(
                    "SELECT DISTINCT collation_name FROM information_schema.columns"
                    " WHERE table_schema = current_schema() AND data_type = 'text'"
                ),
            )
        )
        self.assertEqual(rows, [("C",)])

    def test_a_wrong_url_is_a_configuration_error(self) -> None:
        self.assertRaises(ConfigError, mail_store, self.settings, self.bell, url="postgresql://host/db?nonsense=1")


class StatementTests(unittest.TestCase):
    def test_places_are_numbered_outside_of_quotes(self) -> None:
        self.assertEqual(numbered("SELECT ?, '?', x FROM y WHERE z = ?"), "SELECT $1, '?', x FROM y WHERE z = $2")


class ManyWritersTests(OnPostgres):
    def test_who_comes_second_finds_what_the_first_left(self) -> None:
        other = self.open_store()
        go, started = threading.Event(), threading.Event()

        def add_txn(txn: Transaction) -> None:
            txn.execute("INSERT INTO domains (name) VALUES ('example.org')")
            started.set()
            go.wait(10)

        other.database.run("add", add_txn)
        self.bell.advance(0)
        self.assertTrue(started.wait(10))
        runs = []

        def add_unless_there_txn(txn: Transaction) -> None:
            runs.append(1)
            if txn.row("SELECT 1 FROM domains WHERE name = 'example.org'") is not None:
                raise AlreadyExists()
            txn.execute("INSERT INTO domains (name) VALUES ('example.org')")

        second = self.store.database.run("add", add_unless_there_txn)
        threading.Timer(0.2, go.set).start()
        self.failure(second, AlreadyExists)
        self.assertEqual(len(runs), 2)

    def test_groups_that_take_accounts_in_different_orders_do_not_wait_for_each_other_in_a_ring(self) -> None:
        ann, bob = self.account("ann@example.org"), self.account("bob@example.org")
        other = self.open_store()
        slow: list[str] = []
        self.patch(PostgresEngine, "error_kind", _noting(slow, PostgresEngine.error_kind))
        for _ in range(20):
            waiting: list[Deferred[Any]] = []
            for store, order in ((self.store, (ann, bob)), (other, (bob, ann))):
                for account in order:
                    waiting.append(
                        store.account_mail(account.account_id).create_mailbox(f"{len(slow)}{_}{id(store)}", None)
                    )
            for deferred in waiting:
                self.result(deferred)
        self.assertEqual(slow, [])

    def test_one_account_that_is_locked_does_not_hold_up_the_others(self) -> None:
        ann, bob = self.account("ann@example.org"), self.account("bob@example.org")
        go = self.hold(self.open_store(), ann)
        held_up = [self.store.account_mail(ann.account_id).create_mailbox(name, None) for name in ("a", "a/b")]
        self.bell.advance(0)
        time.sleep(0.2)
        self.result(self.store.account_mail(bob.account_id).create_mailbox("c", None))
        held_up.append(self.store.account_mail(ann.account_id).rename_mailbox("a/b", "d"))
        self.assertFalse(any(deferred.called for deferred in held_up))
        go.set()
        for deferred in held_up:
            self.result(deferred)

    def test_a_ring_that_forms_all_the_same_is_broken_and_both_succeed(self) -> None:
        ann, bob = self.account("ann@example.org"), self.account("bob@example.org")
        meet = threading.Barrier(2)

        def both(first: Account, second: Account) -> Callable[[Transaction], None]:
            def both_txn(txn: Transaction) -> None:
                advance_txn(txn, first.account_id)
                try:
                    meet.wait(1)
                except threading.BrokenBarrierError:
                    pass
                advance_txn(txn, second.account_id)

            return both_txn

        other = self.open_store()
        waiting = [
            self.store.database.run("one way", both(ann, bob)),
            other.database.run("the other way", both(bob, ann)),
        ]
        for deferred in waiting:
            self.result(deferred)


def _noting(noted: list[str], plain: Callable[..., ErrorKind | None]) -> Callable[..., ErrorKind | None]:
    def error_kind(engine: PostgresEngine, error: BaseException) -> ErrorKind | None:
        found = plain(engine, error)
        if found is not None:
            noted.append(str(error))
        return found

    return error_kind


class CommitInDoubtTests(OnPostgres):
    """The connection breaks during a commit."""

    def break_at_commit(self, *, done: bool) -> None:
        """Once: the server has done it, or has not heard of it."""
        plain = PostgresConnection._end
        broken = threading.Event()

        def end(connection: PostgresConnection, witness: Any) -> None:
            if broken.is_set():
                plain(connection, witness)
                return
            broken.set()
            if done:
                plain(connection, witness)
            connection._connection.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")

        self.patch(PostgresConnection, "_end", end)

    def add(self) -> tuple[int, list[str]]:
        """Add a row; how often that was run, and what was told after the commit."""
        runs, told = [], []

        def add_txn(txn: Transaction) -> str:
            runs.append(1)
            txn.execute("INSERT INTO domains (name) VALUES ('example.org')")
            txn.call_after(told.append, "told")
            return "added"

        self.assertEqual(self.result(self.store.database.run("add", add_txn)), "added")
        self.assertEqual([domain.name for domain in self.result(self.store.directory.domains())], ["example.org"])
        return len(runs), told

    def test_one_that_took_place_is_answered_as_such(self) -> None:
        self.break_at_commit(done=True)
        self.assertEqual(self.add(), (1, ["told"]))

    def test_one_that_did_not_is_done_again(self) -> None:
        self.break_at_commit(done=False)
        self.assertEqual(self.add(), (2, ["told"]))

    def test_once_asked_for_it_cannot_take_place_any_more(self) -> None:
        engine = self.store.database.engine
        late, other = engine.connect(), engine.connect()
        assert isinstance(late, PostgresConnection)
        self.addCleanup(late.close)
        self.addCleanup(other.close)
        late.begin_write()
        late.cursor().execute("INSERT INTO domains (name) VALUES ('example.org')")
        witness = late.next_commit()
        self.assertIs(other.was_committed(witness), False)
        self.assertRaises(psycopg.Error, late.commit)
        self.assertEqual(self.result(self.store.directory.domains()), [])


class EndOfReadTests(OnPostgres):
    def test_whatever_comes_next_waits_for_the_end_of_a_read(self) -> None:
        connection = self.store.database.engine.connect()
        self.addCleanup(connection.close)
        cursor = connection.cursor()
        for _ in range(3):
            connection.begin_read()
            cursor.execute("SELECT 1")
            connection.end_read()
            self.assertFalse(connection.in_transaction)
            # Outside of a transaction, as copies of stores do.
            cursor.execute("SELECT 2")
            self.assertEqual(cursor.fetchall(), [(2,)])


class OutageTests(OnDisk):
    """A server of our own that goes away, once in order and then without a word."""

    def setUp(self) -> None:
        if stores.schemas is None:
            raise unittest.SkipTest("--store-url names no PostgreSQL")
        self.server = PostgresServer(durable=True)
        self.addCleanup(self.server.remove)
        self.server.start()
        super().setUp()

    def make_url(self) -> str:
        return self.server.url()

    @acceptance("S252")
    def test_what_was_acknowledged_outlives_a_server_that_is_killed_and_is_there_once(self) -> None:
        ann = self.account()
        dice = random.Random(7)
        acknowledged: set[str] = set()
        asked: dict[str, Deferred[Any]] = {}

        def ask(name: str) -> None:
            writer = self.store.new_content()
            writer.write(f"Subject: {name}\r\n\r\n".encode())
            acceptance = Acceptance(self.successResultOf(writer.finish()), (Delivery(ann.account_id, b""),))
            asked[name] = self.store.queue.accept(acceptance).addCallback(lambda _: acknowledged.add(name))

        for turn in range(3):
            stop = time.monotonic() + dice.uniform(0.1, 0.4)
            killed = threading.Timer(stop - time.monotonic(), self.server.kill)
            killed.start()
            number = 0
            while time.monotonic() < stop + 0.1:
                for _ in range(5):
                    ask(f"{turn}-{number}")
                    number += 1
                self.bell.advance(0)
                self.bell.run_calls(0.005)
            killed.join()
            self.server.start()
            for deferred in asked.values():
                self.result(deferred)
            asked.clear()
        found = self.subjects(self.store, ann)
        self.assertGreater(len(acknowledged), 20)
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(set(found), acknowledged)
        self.assert_sound()

    def subjects(self, store: MailStore, account: Account) -> list[str]:
        mail = store.account_mail(account.account_id)
        inbox = self.result(mail.mailbox("INBOX")).mailbox_id
        rows = self.result(mail.read_messages(inbox, ALL_UIDS, (Column.HEADER,), list))
        return [header.decode().split()[1] for (header,) in rows]

    def refused(self, store: MailStore, *asked: Deferred[Any]) -> float:
        """How long it took until all were told that the store is away, in seconds."""
        started = time.monotonic()
        outcomes: list[Any] = []
        for deferred in asked:
            deferred.addBoth(outcomes.append)
            self.bell.wait(deferred)
        for outcome in outcomes:
            assert isinstance(outcome, Failure)
            outcome.trap(StoreUnavailable)
        return time.monotonic() - started

    def test_requests_wait_for_it_together_and_not_one_after_the_other(self) -> None:
        self.settings = StoreSection(away_limit=1.0)
        store = self.open_store()
        self.server.stop()
        waited = self.refused(store, store.directory.add_domain("example.net"), store.directory.domains())
        self.assertGreater(waited, 0.5)
        for _ in range(20):
            self.refused(store, store.directory.add_domain("example.net"), store.directory.domains())
        # A hundred more would not have to wait any longer; thirty seconds would be the patience of a single one.
        self.assertLess(self.refused(store, store.directory.add_domain("example.net")), 5)
        self.server.start()
        self.bell.run_calls(1.1)
        self.result(store.directory.add_domain("example.com"))
        self.assertEqual([domain.name for domain in self.result(store.directory.domains())], ["example.com"])

    def test_a_connection_that_was_ended_between_transactions_leaves_no_doubt(self) -> None:
        connection = self.store.database.engine.connect()
        self.addCleanup(connection.close)
        self.server.stop()
        with self.assertRaises(psycopg.OperationalError):
            connection.begin_write()
