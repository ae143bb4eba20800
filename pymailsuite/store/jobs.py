"""Groups of transaction functions on one connection: savepoints, one commit, and what to do when it fails.

No threads and no reactor in here; :mod:`pymailsuite.store.database` decides who calls this, and when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.store.engines.base import Connection, Cursor, Engine, Trouble
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, ModSeq

log = Logger()


class Job:
    """A transaction function, and in the end its result or failure."""

    __slots__ = ("deferred", "description", "failure", "function", "item", "result", "together")

    def __init__(
        self, description: str, function: Callable[..., Any], together: bool = False, item: Any = None
    ) -> None:
        self.description = description
        self.function = function
        self.together = together
        """``function`` takes a list of items and answers a list of results; ``item`` is this job's."""
        self.item = item
        self.deferred: Deferred[Any] = Deferred()
        self.result: Any = None
        self.failure: Failure | None = None

    def fire(self) -> None:
        """Hand the outcome to whoever asked; in the reactor thread."""
        if self.failure is not None:
            self.deferred.errback(self.failure)
        else:
            self.deferred.callback(self.result)


class Effects:
    """What is to be done after a commit."""

    __slots__ = ("announced", "calls")

    def __init__(self) -> None:
        self.calls: dict[tuple[Callable[..., object], tuple[Any, ...]], None] = {}
        self.announced: dict[AccountId, ModSeq] = {}

    def add(self, txn: Transaction) -> None:
        """Take over what a transaction asked for, each call once, and the last modseq of each account."""
        self.calls.update(dict.fromkeys(txn.effects))
        self.announced.update(txn.announced)


class _TransactionLostError(Exception):
    """A function's error ended the whole transaction, not its own savepoint alone."""


def mail_error(engine: Engine, error: BaseException, description: str) -> BaseException:
    """What the asker is told for ``error``: an error of the database becomes one with a wire form, and is logged."""
    trouble = engine.trouble(error)
    if trouble is None:
        return error
    log.error(
        "{event} {description}: {trouble.value}: {error}",
        event="store.failed",
        description=description,
        trouble=trouble,
        error=error,
    )
    cause = f"{description}: {error}"
    mapped = StorageFull(cause=cause) if trouble is Trouble.FULL else StoreUnavailable(cause=cause)
    mapped.__cause__ = error
    return mapped


class Worker:
    """One connection and the jobs run on it. Connects when first needed, and again after it was lost."""

    def __init__(self, engine: Engine, connect: Callable[[], Connection], slow_s: float) -> None:
        self._engine = engine
        self._connect = connect
        self._slow_s = slow_s
        self._connection: Connection | None = None
        self._cursor: Cursor | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def transaction(self) -> Transaction:
        if self._cursor is None:
            self._cursor = self.connection.cursor()
        return Transaction(self._cursor, self._engine.skip_locked)

    def close(self) -> None:
        """Let go of the connection, if there is one; the next job makes another."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.close()

    def read(self, job: Job, busy_limit_s: float) -> None:
        """Run one function in a transaction that sees one moment."""
        started = time.monotonic()
        while True:
            try:
                txn = self.transaction()
                self.connection.begin_read()
                job.result = job.function(txn)
                self.connection.rollback()
            except BaseException as error:
                self._abandon(error)
                if self._engine.trouble(error) is Trouble.BUSY and time.monotonic() < started + busy_limit_s:
                    continue
                job.failure = Failure(mail_error(self._engine, error, job.description))
            break
        self._note_if_slow(job.description, started)

    def _abandon(self, error: BaseException) -> None:
        """Leave the transaction; and the connection too if ``error`` says that it cannot be trusted."""
        if self._connection is None:
            return
        lost = self._engine.trouble(error) is Trouble.LOST and not self._engine.in_memory
        try:
            self._connection.rollback()
        except Exception as second:
            if self._engine.trouble(second) is None:
                raise
            lost = not self._engine.in_memory
        if lost:
            self.close()

    def _note_if_slow(self, description: str, started: float) -> None:
        duration = time.monotonic() - started
        if duration > self._slow_s:
            log.warn(
                "{event} {description}: {duration:.3f} s",
                event="store.slow",
                description=description,
                duration=duration,
            )

    # --- writing

    def write(self, jobs: Sequence[Job], busy_limit_s: float) -> Effects:
        """Run all jobs in one transaction and commit it; what is to be done now that it is on the disk.

        When the whole fails for want of room, each job is tried in a transaction of its own, so that a small change
        need not suffer for a large message beside it.
        """
        effects = Effects()
        deadline = time.monotonic() + busy_limit_s
        while True:
            started = time.monotonic()
            try:
                self._write_once(jobs, effects)
            except BaseException as error:
                actual = error.__cause__ if isinstance(error, _TransactionLostError) and error.__cause__ else error
                self._abandon(actual)
                trouble = self._engine.trouble(actual)
                if trouble is Trouble.BUSY and time.monotonic() < deadline:
                    continue
                if trouble is Trouble.FULL and len(jobs) > 1:
                    return self._write_each_alone(jobs, busy_limit_s)
                for job in jobs:
                    job.failure = Failure(mail_error(self._engine, actual, job.description))
                return Effects()
            self._note_if_slow(" + ".join(sorted({job.description for job in jobs})), started)
            return effects

    def _write_each_alone(self, jobs: Sequence[Job], busy_limit_s: float) -> Effects:
        effects = Effects()
        for job in jobs:
            single = self.write([job], busy_limit_s)
            effects.calls.update(single.calls)
            effects.announced.update(single.announced)
        return effects

    def _write_once(self, jobs: Sequence[Job], effects: Effects) -> None:
        for job in jobs:
            job.result, job.failure = None, None
        txn = self.transaction()
        connection = self.connection
        connection.begin_write()
        if len(jobs) == 1:
            self._run_only(txn, jobs[0])
        else:
            for function, group in groupby(jobs, _same_function):
                members = list(group)
                if function is not None and len(members) > 1 and self._run_together(txn, members):
                    continue
                for job in members:
                    self._run_alone(txn, job)
        if connection.in_transaction:
            connection.commit()
            effects.add(txn)

    def _run_only(self, txn: Transaction, job: Job) -> None:
        """A transaction of one needs no savepoint: if it fails there is nobody else in it."""
        try:
            job.result = job.function(txn, [job.item])[0] if job.together else job.function(txn)
        except BaseException as error:
            if self._engine.trouble(error) not in {None, Trouble.DEFECT}:
                raise
            job.failure = Failure(mail_error(self._engine, error, job.description))
            self.connection.rollback()

    def _run_alone(self, txn: Transaction, job: Job) -> None:
        try:
            if job.together:
                (job.result,) = self._in_savepoint(txn, lambda: job.function(txn, [job.item]))
            else:
                job.result = self._in_savepoint(txn, lambda: job.function(txn))
        except _TransactionLostError:
            raise
        except BaseException as error:
            job.failure = Failure(mail_error(self._engine, error, job.description))

    def _run_together(self, txn: Transaction, jobs: Sequence[Job]) -> bool:
        """Run one function for all; False if it did not work for them together, and nothing has been done."""
        try:
            results = self._in_savepoint(txn, lambda: jobs[0].function(txn, [job.item for job in jobs]))
        except _TransactionLostError:
            raise
        except Exception:
            return False  # one of them is at fault: the same error comes again when they are run one by one
        for job, result in zip(jobs, results, strict=True):
            job.result = result
        return True

    def _in_savepoint(self, txn: Transaction, function: Callable[[], Any]) -> Any:
        mark = txn.mark()
        txn.execute("SAVEPOINT job")
        try:
            result = function()
        except BaseException as error:
            if self._engine.trouble(error) not in {None, Trouble.DEFECT} or not self.connection.in_transaction:
                raise _TransactionLostError from error
            txn.forget_since(mark)
            txn.execute("ROLLBACK TO SAVEPOINT job")
            txn.execute("RELEASE SAVEPOINT job")
            raise
        txn.execute("RELEASE SAVEPOINT job")
        return result


def _same_function(job: Job) -> Any:
    return job.function if job.together else None
