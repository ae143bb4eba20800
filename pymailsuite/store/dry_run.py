"""A store whose writes are all rolled back: for showing what would happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from pymailsuite.store.database import Database
from pymailsuite.store.jobs import Job, ReadJob
from pymailsuite.store.transaction import Transaction

T = TypeVar("T")


class _UndoneError(Exception):
    """Rolls back a successful transaction, and carries its result."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class DryRunDatabase(Database):
    """A wrapper of an open database: each write returns its result, and is rolled back."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.engine, database.settings, lambda moved: None)
        self._database = database

    def open(self, prepare: Callable[[Transaction], T]) -> Deferred[T]:
        """The wrapped database is open already; the writes of ``prepare`` are rolled back."""
        return self.run("open", prepare)

    def close(self) -> Deferred[None]:
        """Nothing: the owner of the wrapped database closes it."""
        return succeed(None)

    def _submit_write(self, job: Job) -> Deferred[Any]:
        def undone_txn(txn: Transaction) -> None:
            result = job.function(txn, [job.item])[0] if job.together else job.function(txn)
            raise _UndoneError(result)

        def answer(failure: Failure) -> Any:
            failure.trap(_UndoneError)
            error: Any = failure.value
            return error.result

        return self._database.run(f"{job.description}, dry run", undone_txn, job.accounts).addErrback(answer)

    def _submit_read(self, job: ReadJob) -> Deferred[Any]:
        return self._database._submit_read(job)
