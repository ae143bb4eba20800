"""Whose turn it is to read, and that work ends with whoever asked for it."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces import Column
from pymailsuite.store.jobs import ReadJob
from pymailsuite.store.reads import ReadQueue
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, AccountId
from tests.store.support import InMemory, OnDisk, StoreTestCase

ANN, BOB, CEE = AccountId(1), AccountId(2), AccountId(3)


def short(name: str, owner: AccountId | None) -> ReadJob:
    return ReadJob(name, lambda txn: None, owner)


def long(name: str, owner: AccountId | None) -> ReadJob:
    return ReadJob(name, lambda txn: iter(()), owner, in_steps=True)


class TurnTests(unittest.TestCase):
    """The queue by itself: one thread plays all readers, one job after the other."""

    def taken(self, queue: ReadQueue, count: int) -> list[str]:
        jobs = []
        for _ in range(count):
            job = queue.take()
            assert job is not None
            jobs.append(job.description)
        return jobs

    def test_owners_have_their_turns(self) -> None:
        queue = ReadQueue(3)
        for number in range(3):
            queue.put(short(f"ann {number}", ANN))
        queue.put(short("bob", BOB))
        queue.put(short("cee", CEE))
        self.assertEqual(self.taken(queue, 5), ["ann 0", "bob", "cee", "ann 1", "ann 2"])

    def test_the_server_itself_has_every_second_turn(self) -> None:
        queue = ReadQueue(3)
        for number, owner in enumerate((ANN, BOB, CEE)):
            queue.put(short(f"account {number}", owner))
        for number in range(2):
            queue.put(short(f"own {number}", None))
        self.assertEqual(self.taken(queue, 5), ["own 0", "account 0", "own 1", "account 1", "account 2"])

    def test_one_thread_is_left_to_short_reads(self) -> None:
        queue = ReadQueue(3)
        jobs = [long(f"long {number}", AccountId(number)) for number in range(3)]
        for job in jobs:
            queue.put(job)
        self.assertEqual(self.taken(queue, 2), ["long 0", "long 1"])
        queue.put(short("short", ANN))
        self.assertEqual(self.taken(queue, 1), ["short"])
        following = queue.take_after(jobs[0])
        assert following is not None
        self.assertEqual(following.description, "long 2")

    def test_long_reads_have_turns_with_each_other_and_with_short_ones(self) -> None:
        queue = ReadQueue(1)
        ann, bob = long("ann", ANN), long("bob", BOB)
        queue.put(ann)
        queue.put(bob)
        order = self.taken(queue, 1)
        queue.put(short("short", CEE))
        queue.put(short("short too", CEE))
        job: ReadJob | None = ann
        for _ in range(4):
            assert job is not None
            job = queue.take_turn(job) if job.in_steps else queue.take_after(job)
            assert job is not None
            order.append(job.description)
        self.assertEqual(order, ["ann", "short", "bob", "short too", "ann"])

    def test_what_was_cancelled_is_not_run(self) -> None:
        queue = ReadQueue(2)
        for make, owner in ((short, ANN), (short, None), (long, ANN)):
            job = make("cancelled", owner)
            queue.put(job)
            job.deferred.addErrback(lambda reason: reason.trap(CancelledError))
            job.deferred.cancel()
        queue.put(short("wanted", ANN))
        queue.close()
        self.assertEqual(self.taken(queue, 1), ["wanted"])
        self.assertIsNone(queue.take())

    def test_nothing_is_forgotten(self) -> None:
        """Whatever comes between, each job is taken by somebody, and threads end."""
        queue = ReadQueue(3)
        seen: list[str] = []
        lock = threading.Lock()
        turns: dict[str, int] = {}

        def read() -> None:
            job = queue.take()
            while job is not None:
                with lock:
                    turns[job.description] = turns.get(job.description, 0) + 1
                    over = not job.in_steps or turns[job.description] == 5
                    if over:
                        seen.append(job.description)
                job = queue.take_after(job) if over else queue.take_turn(job)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        names = []
        for number in range(300):
            make, kind = (long, "long") if number % 3 == 0 else (short, "short")
            names.append(f"{kind} {number}")
            queue.put(make(names[-1], AccountId(number % 5) if number % 7 else None))
        queue.close()
        for thread in threads:
            thread.join(60)
        self.assertFalse(any(thread.is_alive() for thread in threads))
        self.assertEqual(sorted(seen), sorted(names))


class _Endless:
    """Work that has no end of its own."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()

    def __call__(self, txn: Transaction) -> Iterator[None]:
        return self._steps()

    def _steps(self) -> Any:
        try:
            while True:
                self.begun.set()
                yield
        finally:
            self.ended.set()


class ReadsTests(OnDisk):
    """Readers at work. Nothing here waits for a time to pass: without turns it would wait for ever."""

    def endless(self, owner: AccountId | None) -> tuple[_Endless, Deferred[Any]]:
        work = _Endless()
        deferred = self.store.database.read_in_steps("endless", work, owner)  # type: ignore[arg-type]
        return work, deferred

    def test_long_reads_keep_nobody_from_reading(self) -> None:
        anns = [self.endless(ANN) for _ in range(8)]
        read = self.store.database.read
        for owner in (None, ANN, BOB):
            self.assertEqual(self.result(read("short", lambda txn: txn.value("SELECT 1"), owner)), 1)
        bob, bobs = self.endless(BOB)
        self.assertTrue(bob.begun.wait(60))
        for _, deferred in [*anns, (bob, bobs)]:
            deferred.cancel()
            self.failure(deferred, CancelledError)
        for work, _ in anns:
            self.assertTrue(work.ended.wait(60) or not work.begun.is_set())
        self.assertTrue(bob.ended.wait(60))

    def test_work_ends_when_it_is_cancelled(self) -> None:
        work, deferred = self.endless(ANN)
        self.assertTrue(work.begun.wait(60))
        deferred.cancel()
        self.failure(deferred, CancelledError)
        self.assertTrue(work.ended.wait(60))

    def test_a_statement_ends_when_it_is_cancelled(self) -> None:
        database = self.store.database
        if not database.engine.rows_as_fetched:
            return
        begun, ended = threading.Event(), threading.Event()

        def count_txn(txn: Transaction) -> int:
            begun.set()
            try:
                return int(
                    txn.value("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
                )
            finally:
                ended.set()

        counting = database.read("count", count_txn, ANN)
        self.assertTrue(begun.wait(60))
        counting.cancel()
        self.failure(counting, CancelledError)
        self.assertTrue(ended.wait(60))
        self.assertEqual(self.result(database.read("short", lambda txn: txn.value("SELECT 1"))), 1)

    def test_a_store_that_closes_waits_for_no_long_read(self) -> None:
        at_work = [self.endless(ANN) for _ in range(5)]
        self.assertTrue(at_work[0][0].begun.wait(60))
        closed = self.store.close()
        self.result(closed)
        for _, deferred in at_work:
            self.failure(deferred, StoreUnavailable)

    def test_what_steps_fail_with_is_the_failure(self) -> None:
        def steps(txn: Transaction) -> Any:
            yield
            raise ZeroDivisionError

        self.failure(self.store.database.read_in_steps("x", steps, ANN), ZeroDivisionError)


class PiecesContract(StoreTestCase):
    def test_a_piece_ends_where_its_octets_are_reached(self) -> None:
        ann = self.account()
        self.append(ann, "INBOX", *[b"Subject: %d\r\n\r\n%b" % (number, b"x" * 10_000) for number in range(60)])
        mail = self.store.account_mail(ann.account_id)
        inbox = self.result(mail.mailbox("INBOX"))
        columns = (Column.UID, Column.OCTETS)
        found: list[int] = []
        below = 1
        while True:
            asked = type(ALL_UIDS)(((below, 1000),))
            piece = self.result(mail.read_piece(inbox.mailbox_id, asked, columns, 100_000, list))
            octets = sum(len(row[1]) for row in piece.result)
            self.assertLess(octets, 300_000)
            found += [row[0] for row in piece.result]
            if piece.last is None:
                break
            self.assertEqual(piece.last, found[-1])
            below = piece.last + 1
        self.assertEqual(found, list(range(1, 61)))

    def test_steps_are_given_rows_and_octets(self) -> None:
        ann = self.account()
        self.append(ann, "INBOX", b"Subject: hi\r\n\r\nbody\r\n")
        mail = self.store.account_mail(ann.account_id)
        inbox = self.result(mail.mailbox("INBOX"))

        def work(found: Any) -> Any:
            yield
            return found

        piece = self.result(mail.read_in_steps(inbox.mailbox_id, ALL_UIDS, (Column.UID, Column.SIZE), 100, work))
        self.assertEqual((list(piece.result), piece.last), ([(1, 21)], None))
        self.assertEqual(self.result(mail.octets_in_steps(inbox.mailbox_id, 1, 9, 11, work)), b"hi")
        self.assertEqual(self.result(mail.in_steps("think", work("so"))), "so")


class PiecesInMemoryTests(PiecesContract, InMemory):
    pass


class PiecesOnDiskTests(PiecesContract, OnDisk):
    pass


del PiecesContract
