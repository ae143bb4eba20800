"""Groups of transaction functions on one connection: savepoints, one commit, and the handling of failures.

No threads and no reactor in here; :mod:`pymailsuite.store.database` decides which thread calls this, and when.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Sequence
from itertools import groupby
from threading import Event
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.store.engines.base import CommitUnknown, Connection, Cursor, Engine, ErrorKind
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.outage import Outage
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, ModSeq

log = Logger()

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0

_TURN_S = 0.03
"""Seconds for which a read in steps goes on before other reads have their turn."""

_LEAVES_OTHERS = frozenset({None, ErrorKind.DEFECT, ErrorKind.CONFLICT})
"""Errors of one function that do not affect the rest of its group."""


class Job:
    """A transaction function, and in the end its result or failure."""

    __slots__ = (
        "accounts",
        "asked_at",
        "deferred",
        "description",
        "failure",
        "function",
        "item",
        "lasting",
        "result",
        "together",
    )

    def __init__(
        self,
        description: str,
        function: Callable[..., Any],
        together: bool = False,
        item: Any = None,
        accounts: Sequence[AccountId] = (),
        lasting: bool = True,
    ) -> None:
        self.description = description
        self.function = function
        self.together = together
        """``function`` takes a list of items and returns a list of results; ``item`` is this job's."""
        self.accounts = accounts
        """The accounts that ``function`` locks."""
        self.lasting = lasting
        """Whether its writes must be on the disk before ``deferred`` fires."""
        self.asked_at = time.monotonic()
        self.item = item
        self.deferred: Deferred[Any] = Deferred()
        self.result: Any = None
        self.failure: Failure | None = None

    def fire(self) -> None:
        """Fire ``deferred`` with the outcome; in the reactor thread."""
        if self.failure is not None:
            self.deferred.errback(self.failure)
        else:
            self.deferred.callback(self.result)


class ReadJob(Job):
    """A function that only reads, on behalf of an ``owner``: an account, or with None the server itself.

    With ``in_steps`` the function returns a generator, which is run to its end after the transaction, in turns with
    those of others; its return value is the result. Cancelling ``deferred`` takes the job back: one that waits is not
    run, and one that runs ends at its next step, or within the statement if the database can be stopped there.
    """

    __slots__ = ("cancelled", "in_steps", "owner", "steps")

    def __init__(
        self,
        description: str,
        function: Callable[[Transaction], Any],
        owner: AccountId | None = None,
        in_steps: bool = False,
    ) -> None:
        # The initializer of Job is not called, since a read needs few of its attributes: reads are many and short.
        self.description = description
        self.function = function
        self.asked_at = time.monotonic()
        self.deferred = Deferred(self._cancel)
        self.result = None
        self.failure = None
        self.owner = owner
        self.in_steps = in_steps
        self.steps: Generator[None, None, Any] | None = None
        """The remaining steps, after the transaction."""
        self.cancelled = False

    def _cancel(self, _: Deferred[Any]) -> None:
        self.cancelled = True

    def drop(self) -> None:
        """Drop the remaining steps; in a reader thread."""
        if self.steps is not None:
            self.steps.close()

    def fire(self) -> None:
        """Fire with the outcome, unless the job was cancelled."""
        if self.cancelled:
            return
        if self.failure is not None:
            self.deferred.errback(self.failure)
        else:
            self.deferred.callback(self.result)


class Effects:
    """The effects to apply after a commit."""

    __slots__ = ("announced", "calls")

    def __init__(self) -> None:
        self.calls: dict[tuple[Callable[..., object], tuple[Any, ...]], None] = {}
        self.announced: dict[AccountId, ModSeq] = {}

    def clear(self) -> None:
        """Drop all effects."""
        self.calls.clear()
        self.announced.clear()

    def add(self, txn: Transaction) -> None:
        """Add the effects of a transaction, each call once, and the last modseq of each account."""
        self.calls.update(dict.fromkeys(txn.effects))
        self.announced.update(txn.announced)


class _TransactionLostError(Exception):
    """A function's error ended the whole transaction, not its own savepoint alone."""


def mail_error(engine: Engine, error: BaseException, description: str) -> BaseException:
    """The error for the caller: an error of the database becomes a MailError, and is logged."""
    error_kind = engine.error_kind(error)
    if error_kind is None:
        return error
    log.error(
        "{event} {description}: {error_kind.value}: {reason}",
        event="store.failed",
        description=description,
        error_kind=error_kind,
        reason=error,
    )
    cause = f"{description}: {error}"
    mapped = StorageFull(cause=cause) if error_kind is ErrorKind.FULL else StoreUnavailable(cause=cause)
    mapped.__cause__ = error
    return mapped


class Worker:
    """One connection and the jobs run on it. Connects when first needed, and again after it was lost.

    A database that is busy or unreachable is tried again, with growing pauses, until the oldest of the jobs has waited
    as long as it may, ``outage`` has lasted too long, or ``stopping`` is set.
    """

    def __init__(
        self,
        engine: Engine,
        connect: Callable[[], Connection],
        slow_s: float,
        stopping: Event | None = None,
        outage: Outage | None = None,
    ) -> None:
        self._engine = engine
        self._connect = connect
        self._slow_s = slow_s
        self._stopping = stopping or Event()
        self._outage = outage or Outage()
        self._connection: Connection | None = None
        self._cursor: Cursor | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._reading: ReadJob | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.stop_when(self._is_abandoned)
        return self._connection

    def _is_abandoned(self) -> bool:
        """Whether the result of the running statement is not needed any more."""
        job = self._reading
        return job is not None and (job.cancelled or (job.in_steps and self._stopping.is_set()))

    def transaction(self) -> Transaction:
        if self._cursor is None:
            self._cursor = self.connection.cursor()
        return Transaction(self._cursor, self._engine)

    def close(self) -> None:
        """Close the connection, if there is one; the next job makes another."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.close()

    # --- failures

    def _abandon(self, error: BaseException) -> None:
        """Abandon the transaction; and the connection too if ``error`` shows that it cannot be trusted."""
        if self._connection is None:
            return
        lost = self._engine.error_kind(error) in {ErrorKind.LOST, ErrorKind.UNAVAILABLE}
        try:
            self._connection.rollback()
        except Exception as second:
            if self._engine.error_kind(second) is None:
                raise
            lost = True
        if lost and not self._engine.in_memory:
            self.close()

    def _try_again(self, error: BaseException, deadline: float, in_doubt: bool = False) -> bool:
        """Wait a little after ``error``, if it is temporary and there is time."""
        error_kind = self._engine.error_kind(error)
        if error_kind is ErrorKind.UNAVAILABLE:
            self._outage.goes_on(error, self._pause_s)
            if not in_doubt:
                deadline = self._outage.deadline(deadline)
        elif error_kind is not ErrorKind.BUSY:
            return False
        left = deadline - time.monotonic()
        if left <= 0 or self._stopping.is_set():
            return False
        # Random, so that transactions that collided do not collide again.
        self._stopping.wait(min(left, self._pause_s * random.uniform(0.5, 1.0)))  # noqa: S311
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return True

    def _worked(self) -> None:
        self._outage.is_over()
        self._pause_s = _FIRST_PAUSE_S

    def _note_if_slow(self, description: str, started: float) -> None:
        duration = time.monotonic() - started
        if duration > self._slow_s:
            log.warn(
                "{event} {description}: {seconds:.3f} s",
                event="store.slow",
                description=description,
                seconds=duration,
            )

    # --- reading

    def read(self, job: ReadJob, busy_limit_s: float) -> bool:
        """Run one function in a transaction that reads one snapshot, and as many of its steps as fit into a turn.

        False: there are more steps, for another turn of any worker.
        """
        if job.steps is None:
            self._reading = job
            self._begin_reading(job, busy_limit_s)
            self._reading = None
            if job.failure is not None or not job.in_steps:
                return True
            job.steps, job.result = job.result, None
        return self._go_on(job, job.steps)

    def _begin_reading(self, job: ReadJob, busy_limit_s: float) -> None:
        deadline = job.asked_at + busy_limit_s
        while True:
            started = time.monotonic()
            try:
                self._outage.check(deadline)
                txn = self.transaction()
                self.connection.begin_read()
                job.result = job.function(txn)
                self.connection.end_read()
            except BaseException as error:
                self._abandon(error)
                if self._is_abandoned():
                    job.failure = Failure(CancelledError())
                    return
                if self._try_again(error, deadline):
                    continue
                job.failure = Failure(mail_error(self._engine, error, job.description))
                return
            self._worked()
            self._note_if_slow(job.description, started)
            return

    def _go_on(self, job: ReadJob, steps: Generator[None, None, Any]) -> bool:
        """A turn of the steps of a job; True once it has ended."""
        until = time.monotonic() + _TURN_S
        while True:
            if job.cancelled or self._stopping.is_set():
                job.drop()
                job.failure = Failure(StoreUnavailable(cause=f"{job.description}: the store is closing"))
                return True
            try:
                next(steps)
            except StopIteration as end:
                job.result = end.value
                return True
            except BaseException as error:
                job.failure = Failure(mail_error(self._engine, error, job.description))
                return True
            if time.monotonic() >= until:
                return False

    # --- writing

    def write(self, jobs: list[Job], busy_limit_s: float, latecomers: Callable[[], list[Job]] = lambda: []) -> Effects:
        """Run all jobs in one transaction and commit it; returns the effects to apply after the commit.

        ``latecomers`` is called once the transaction has begun, for jobs that came while it waited for other processes;
        they are added to ``jobs``.

        If the whole fails because the disk is full, each job is tried in a transaction of its own, so that a small
        change does not fail with a large message beside it. If the connection breaks during the commit another one
        checks whether it took place; only if this cannot be determined in time the jobs fail with an unknown outcome.
        """
        effects = Effects()
        deadline = min(job.asked_at for job in jobs) + busy_limit_s
        doubt: CommitUnknown | None = None
        while True:
            started = time.monotonic()
            try:
                if doubt is None:
                    self._outage.check(deadline)
                if doubt is None or not self._was_committed(doubt):
                    doubt = None
                    self._write_once(jobs, effects, latecomers)
            except BaseException as error:
                actual = error.__cause__ if isinstance(error, _TransactionLostError) and error.__cause__ else error
                self._abandon(actual)
                if isinstance(actual, CommitUnknown) and doubt is None:
                    doubt, deadline = actual, time.monotonic() + busy_limit_s
                if self._try_again(actual, deadline, in_doubt=doubt is not None):
                    continue
                if self._engine.error_kind(actual) is ErrorKind.FULL and len(jobs) > 1 and doubt is None:
                    return self._write_each_alone(jobs, busy_limit_s)
                for job in jobs:
                    job.failure = Failure(mail_error(self._engine, actual, job.description))
                return Effects()
            self._worked()
            self._note_if_slow(" + ".join(sorted({job.description for job in jobs})), started)
            return effects

    def _was_committed(self, doubt: CommitUnknown) -> bool:
        answer = self.connection.was_committed(doubt.witness)
        if answer is None:
            raise StoreUnavailable(cause="a commit was under way when the connection broke, and nothing is known of it")
        log.info("{event} committed={committed}", event="store.commit_resolved", committed=answer)
        return answer

    def _write_each_alone(self, jobs: Sequence[Job], busy_limit_s: float) -> Effects:
        effects = Effects()
        for job in jobs:
            single = self.write([job], busy_limit_s)
            effects.calls.update(single.calls)
            effects.announced.update(single.announced)
        return effects

    def _write_once(self, jobs: list[Job], effects: Effects, latecomers: Callable[[], list[Job]]) -> None:
        effects.clear()
        for job in jobs:
            job.result, job.failure = None, None
        txn = self.transaction()
        connection = self.connection
        lasting = any(job.lasting for job in jobs)
        connection.begin_write(lasting)
        if lasting:
            jobs += latecomers()
        if len(jobs) == 1:
            self._run_only(txn, jobs[0], effects)
        else:
            self._run_group(txn, jobs, effects)

    def _commit(self, txn: Transaction, effects: Effects) -> None:
        effects.clear()
        effects.add(txn)  # before the commit: it may turn out later that one with an unknown outcome took place
        self.connection.commit()

    def _run_group(self, txn: Transaction, jobs: Sequence[Job], effects: Effects) -> None:
        """Run all and commit.

        A function that is alone in the transaction is at fault too when the commit fails: the database may have held
        back its statements until then.
        """
        runs = [(function, list(members)) for function, members in groupby(jobs, _same_function)]
        if len(runs) == 1 and runs[0][0] is not None and self._run_whole(txn, jobs, effects):
            return
        if self._engine.for_update:
            # In one order whatever the order of the jobs: groups of two processes cannot deadlock.
            txn.locked = lock_accounts_txn(txn, {account_id for job in jobs for account_id in job.accounts})
        for function, members in runs:
            if function is not None and 1 < len(members) < len(jobs) and self._run_together(txn, members):
                continue
            for job in members:
                self._run_alone(txn, job)
        self._commit(txn, effects)

    def _run_whole(self, txn: Transaction, jobs: Sequence[Job], effects: Effects) -> bool:
        """Run one function for the whole group; False if it failed, and the transaction is as it began.

        Without a savepoint, since there is nothing else to keep: this saves two round trips to the database for each
        group.
        """
        mark = txn.mark()
        try:
            results = jobs[0].function(txn, [job.item for job in jobs])
            for job, result in zip(jobs, results, strict=True):
                job.result = result
            self._commit(txn, effects)
        except Exception as error:
            if self._engine.error_kind(error) not in _LEAVES_OTHERS:
                raise
            txn.forget_since(mark)
            self.connection.rollback()
            self.connection.begin_write()
            return False
        return True

    def _run_only(self, txn: Transaction, job: Job, effects: Effects) -> None:
        """A transaction of one job needs no savepoint: if it fails there is no other job in it."""
        for raced in (False, True):
            mark = txn.mark()
            try:
                job.result = job.function(txn, [job.item])[0] if job.together else job.function(txn)
                self._commit(txn, effects)
            except BaseException as error:
                error_kind = self._engine.error_kind(error)
                if error_kind not in _LEAVES_OTHERS:
                    raise
                txn.forget_since(mark)
                effects.clear()
                self.connection.rollback()
                if error_kind is ErrorKind.CONFLICT and not raced:
                    self.connection.begin_write()
                    continue
                job.failure = Failure(mail_error(self._engine, error, job.description))
            return

    def _run_alone(self, txn: Transaction, job: Job) -> None:
        for raced in (False, True):
            try:
                if job.together:
                    (job.result,) = self._in_savepoint(txn, lambda: job.function(txn, [job.item]))
                else:
                    job.result = self._in_savepoint(txn, lambda: job.function(txn))
            except _TransactionLostError:
                raise
            except BaseException as error:
                if self._engine.error_kind(error) is ErrorKind.CONFLICT and not raced:
                    continue
                job.failure = Failure(mail_error(self._engine, error, job.description))
            return

    def _run_together(self, txn: Transaction, jobs: Sequence[Job]) -> bool:
        """Run one function for all; False if it failed for them together, and nothing was changed."""
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
        connection = self.connection
        self._sure(connection.set_savepoint)
        try:
            result = function()
            connection.release_savepoint()
        except BaseException as error:
            if self._engine.error_kind(error) not in _LEAVES_OTHERS or not connection.in_transaction:
                raise _TransactionLostError from error
            txn.forget_since(mark)
            self._sure(connection.return_to_savepoint)
            raise
        return result

    def _sure(self, step: Callable[[], None]) -> None:
        """Savepoints do not fail for what one function did."""
        try:
            step()
        except Exception as error:
            raise _TransactionLostError from error


def _same_function(job: Job) -> Any:
    return job.function if job.together else None
