"""A store opened for a whole move: one connection, used where it is called, no reactor and no threads."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import ConfigError
from pymailsuite.store.engines.base import Engine
from pymailsuite.store.jobs import Job, ReadJob, Worker
from pymailsuite.store.migrate import UNFINISHED, migrate_txn, schema_steps
from pymailsuite.store.tables import declared_tables
from pymailsuite.store.transaction import Transaction

T = TypeVar("T")

_NO_LIMIT_S = 86400.0
"""A transaction of a move may take long, without a warning in the log."""

_TEND_EVERY_S = 0.5
"""There is no maintenance thread here, and a move writes much."""

_MADE_AT_THE_START = frozenset({"counters", "domains"})
"""Tables that have rows in an empty store too."""


class StoreSession:
    """Transactions on a store. Raises MailError, as the store itself does. ``writable``: may be written to, and is made
    if it is not there."""

    def __init__(self, engine: Engine, settings: StoreSection, *, writable: bool) -> None:
        self.engine = engine
        self._busy_limit_s = settings.busy_limit
        self._tended = time.monotonic()
        self._worker = Worker(engine, engine.connect if writable else engine.connect_reader, _NO_LIMIT_S)

    def read(self, description: str, function: Callable[[Transaction], T], *, once: bool = False) -> T:
        """The result of ``function``, which reads one snapshot of the store. It is called again if the connection is
        lost, unless ``once`` says that it cannot be repeated."""
        job = ReadJob(description, function)
        self._worker.read(job, 0.0 if once else self._busy_limit_s)
        return cast("T", self._outcome(job))

    def write(self, description: str, function: Callable[[Transaction], T]) -> T:
        """The result of ``function``, after its writes have reached the disk."""
        job = Job(description, function)
        self._worker.write([job], self._busy_limit_s)
        outcome = cast("T", self._outcome(job))
        if time.monotonic() > self._tended + _TEND_EVERY_S:
            if self.engine.maintain():
                self.engine.maintain_between(self._worker.connection)
            self._tended = time.monotonic()
        return outcome

    @staticmethod
    def _outcome(job: Job) -> Any:
        if job.failure is not None:
            job.failure.raiseException()
        return job.result

    def table_names(self) -> set[str]:
        """The existing tables; none if there is no store yet."""
        return self.engine.table_names(self._worker.connection.cursor())

    def close(self) -> None:
        """Let go of the database."""
        self.engine.stop_maintenance()
        self._worker.close()


def schema_version_txn(txn: Transaction) -> int:
    """The version of a whole store. ConfigError if it is newer than this code, or half made."""
    version: int = txn.value("SELECT COALESCE(MAX(version), 0) FROM schema_version")
    if version == UNFINISHED:
        raise ConfigError("that store is itself a copy that was never finished")
    if not 1 <= version <= max(schema_steps()):
        raise ConfigError(f"that store's schema is version {version}; this release knows {max(schema_steps())}")
    return version


def identity_txn(txn: Transaction) -> str:
    """The identity of the store: the time of its creation. A copy keeps it."""
    return repr(float(txn.value("SELECT applied_at FROM schema_version WHERE version = 1")))


class HalfMade:
    """A store that is being filled, and not to be opened by a server before that is done.

    The mark is a schema version that no release knows, so even one that has never heard of copies refuses. Its source
    is stored beside it; both are removed when it is complete.
    """

    def __init__(self, session: StoreSession, version: int, identity: str, what: str, now: float) -> None:
        self._session = session
        self._version = version
        self._identity = identity
        self._what = what
        self._now = now

    def begin(self) -> bool:
        """Make it, or go on with it; whether it was begun before. ConfigError if there is something else."""
        names = self._session.table_names()

        def begin_txn(txn: Transaction) -> bool:
            if "unfinished" in names:
                row = txn.row("SELECT what, identity, version FROM unfinished")
                if row is not None and row != (self._what, self._identity, self._version):
                    raise ConfigError(f"the target is half made from something else: {row[0]}")
                if row is not None:
                    return True
            if "schema_version" in names:
                self._check_empty_txn(txn, names)
            migrate_txn(txn, self._session.engine, self._now, upto=self._version)
            txn.execute(
                "CREATE TABLE IF NOT EXISTS unfinished"
                " (what TEXT NOT NULL PRIMARY KEY, identity TEXT NOT NULL, version INTEGER NOT NULL)"
            )
            txn.execute(
                "INSERT INTO unfinished (what, identity, version) VALUES (?, ?, ?)",
                (self._what, self._identity, self._version),
            )
            txn.execute("INSERT INTO schema_version (version, applied_at) VALUES (?, ?)", (UNFINISHED, self._now))
            return False

        return self._session.write("begin to fill a store", begin_txn)

    def _check_empty_txn(self, txn: Transaction, names: set[str]) -> None:
        found = schema_version_txn(txn)
        full = [
            name
            for name in sorted(names & declared_tables().keys() - _MADE_AT_THE_START)
            if txn.row(f"SELECT 1 FROM {name} LIMIT 1") is not None
        ]
        if full:
            raise ConfigError(f"the target is not empty: there are rows in {', '.join(full)}")
        if found != self._version:
            raise ConfigError(
                f"the target's schema is version {found}, the source's {self._version}; give a target that is not there"
            )

    def finish(self, last_txn: Callable[[Transaction], None] | None = None) -> None:
        """The store is complete: ``last_txn`` and the removal of the mark are one transaction. Brings the schema up to
        date."""

        def finish_txn(txn: Transaction) -> None:
            if last_txn is not None:
                last_txn(txn)
            txn.execute("DELETE FROM schema_version WHERE version = ?", (UNFINISHED,))
            txn.execute("UPDATE schema_version SET applied_at = ? WHERE version = 1", (float(self._identity),))
            txn.execute("DROP TABLE unfinished")
            migrate_txn(txn, self._session.engine, self._now)

        self._session.write("finish a store", finish_txn)
