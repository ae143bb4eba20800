"""SQLite: a write-ahead log, one writing connection, any number of reading ones.

Durability: ``synchronous=FULL`` makes each commit one fsync of the log; a commit that need not be durable by itself has
none, and becomes durable with the next, as the log is synced whole. Automatic checkpoints are off on the writing
connection, since they would add two more fsyncs to a commit; a thread does them instead. It cannot finish while commits
go on (the log may only start over when all of it is in the database), so when the log has grown past its limit the
writing thread closes the small gap that is left, between two transactions.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.channel import IStoreChannel
from pymailsuite.store.engines.base import Connection, Cursor, ErrorKind

_BUSY_WAIT_S = 2.0
_FIRST_WAIT_S, _WAIT_FACTOR, _LONGEST_WAIT_S = 0.0003, 1.05, 0.01
_LOW_SPACE = 64 * 1024
_STATEMENTS_KEPT = 400
_ASK_EVERY = 200_000
"""Instructions of SQLite's virtual machine, a few milliseconds, between checks whether the result is still needed."""

_ERROR_KINDS: dict[int, ErrorKind] = {
    sqlite3.SQLITE_FULL: ErrorKind.FULL,
    sqlite3.SQLITE_BUSY: ErrorKind.BUSY,
    sqlite3.SQLITE_LOCKED: ErrorKind.BUSY,
    sqlite3.SQLITE_PROTOCOL: ErrorKind.BUSY,
    sqlite3.SQLITE_IOERR: ErrorKind.LOST,
    sqlite3.SQLITE_CORRUPT: ErrorKind.LOST,
    sqlite3.SQLITE_NOTADB: ErrorKind.LOST,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.LOST,
    sqlite3.SQLITE_READONLY: ErrorKind.LOST,
    sqlite3.SQLITE_NOMEM: ErrorKind.LOST,
}


class _Turns:
    """The order in which writers of several processes get their turn.

    SQLite itself lets them poll, after waits that grow to a tenth of a second, and the process that polls at the right
    moment wins. In the queue of a file lock they wait in order of arrival, and only the first polls, often. The lock is
    released as soon as the transaction has begun: a process that hangs in one blocks the others for no longer than they
    are willing to wait.
    """

    def __init__(self, path: str | None) -> None:
        self._descriptor = -1 if path is None else os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class SqliteConnection:
    """A connection in autocommit mode, so that transactions begin explicitly."""

    def __init__(self, connection: sqlite3.Connection, turns: _Turns) -> None:
        self._connection = connection
        self._turns = turns
        self._lasting = True

    def cursor(self) -> Cursor:
        return self._connection.cursor()

    def stop_when(self, abandoned: Callable[[], bool]) -> None:
        self._connection.set_progress_handler(abandoned, _ASK_EVERY)

    def begin_write(self, lasting: bool = True) -> None:
        if lasting is not self._lasting:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
            self._lasting = lasting
        with self._turns:
            self._begin_write()

    def _begin_write(self) -> None:
        deadline = time.monotonic() + _BUSY_WAIT_S
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(wait_s)
            wait_s = min(wait_s * _WAIT_FACTOR, _LONGEST_WAIT_S)

    def begin_read(self) -> None:
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def was_committed(self, witness: object) -> bool | None:
        return None  # the outcome of a commit is never unknown

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def end_read(self) -> None:
        self.rollback()

    def set_savepoint(self) -> None:
        self._connection.execute("SAVEPOINT job")

    def release_savepoint(self) -> None:
        self._connection.execute("RELEASE job")

    def return_to_savepoint(self) -> None:
        self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def checkpoint(self) -> tuple[int, int, int]:
        """Move the content of the log into the database without blocking readers or writers.

        Returns whether it was blocked, the frames in the log, and the frames moved.
        """
        row: tuple[int, int, int] = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return row

    def checkpoint_alone(self) -> None:
        """The same while no process writes, so that the log can start over."""
        with self._turns:
            self._begin_write()
            self.rollback()
            self.checkpoint()

    def close(self) -> None:
        self._connection.close()
        self._turns.close()


class SqliteEngine:
    """A file, or with ``path`` None a database in memory that lives in a single connection."""

    schema_words: ClassVar[Mapping[str, str]] = {
        "key": "INTEGER PRIMARY KEY",
        "text": "TEXT",
        "octets": "BLOB",
        "clustered": "WITHOUT ROWID",
        "encode": "CAST(",
        "encoded": " AS BLOB)",
        "hex": "hex(",
        "hexed": ")",
    }
    clock: ClassVar[str] = ""
    own_statements: ClassVar[Sequence[str]] = ()
    skip_locked: ClassVar[str] = ""
    for_update: ClassVar[str] = ""
    writes_in_turn: ClassVar[bool] = True
    # Messages are read in the order of their key.
    join_text: ClassVar[str] = "group_concat({}, '{}')"
    rows_as_fetched: ClassVar[bool] = True
    writers = 1

    def __init__(self, path: str | None, settings: StoreSection) -> None:
        self._path = path
        self._settings = settings
        self._tending: SqliteConnection | None = None
        self.in_memory = path is None

    def connect(self) -> SqliteConnection:
        return self._connect(read_only=False)

    def connect_reader(self) -> SqliteConnection:
        return self._connect(read_only=True)

    def _connect(self, *, read_only: bool) -> SqliteConnection:
        settings = self._settings
        if self._path is not None and not os.path.exists(self._path):
            if read_only:
                raise ConfigError(f"there is no store at {self._path}")
            # Other users must not read mail; SQLite gives the log files the mode of the database.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            ":memory:" if self._path is None else self._path,
            timeout=_BUSY_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS_KEPT,
        )
        pragmas = [
            f"page_size={settings.sqlite_page_size}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "wal_autocheckpoint=0",
            f"journal_size_limit={settings.sqlite_wal_limit}",
            f"cache_size=-{settings.sqlite_cache_size // 1024}",
            f"mmap_size={settings.sqlite_mmap_size}",
            "temp_store=MEMORY",
            # Writers wait in the queue of _Turns instead.
            "query_only=1" if read_only else "busy_timeout=0",
        ]
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        return SqliteConnection(connection, _Turns(None if read_only else self._path))

    def lock_schema(self, cursor: Cursor) -> None:
        """Nothing: a transaction that may write keeps all others from it."""

    def stop_writers(self, cursor: Cursor, tables: Sequence[str]) -> None:
        """Nothing: there is one writer at a time."""

    def table_names(self, cursor: Cursor) -> set[str]:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in cursor.fetchall()}

    def load(self, cursor: Cursor, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(columns))
        cursor.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608

    def send(self, cursor: Cursor, sql: str, values: Sequence[Any]) -> None:
        cursor.execute(sql, values)

    def error_kind(self, error: BaseException) -> ErrorKind | None:
        if not isinstance(error, sqlite3.Error):
            return None
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            return ErrorKind.DEFECT
        error_kind = _ERROR_KINDS.get(code & 0xFF, ErrorKind.DEFECT)
        if error_kind is ErrorKind.LOST and self._space_left() < _LOW_SPACE:
            return ErrorKind.FULL
        return error_kind

    def _space_left(self) -> int:
        """Octets free on the file system; SQLite reports some failures for want of space as plain I/O errors."""
        if self._path is None:
            return _LOW_SPACE
        try:
            status = os.statvfs(os.path.dirname(os.path.abspath(self._path)))
        except OSError:
            return _LOW_SPACE
        return status.f_bavail * status.f_frsize

    def channel(self, reactor: Any) -> IStoreChannel | None:
        return None

    def maintain(self) -> bool:
        if self._tending is None:
            self._tending = self.connect()
        try:
            _, frames, _ = self._tending.checkpoint()
        except sqlite3.Error:
            self.stop_maintenance()  # a new connection next time
            raise
        return frames * self._settings.sqlite_page_size > self._settings.sqlite_wal_limit

    def maintain_between(self, connection: Connection) -> None:
        assert isinstance(connection, SqliteConnection)
        connection.checkpoint_alone()

    def stop_maintenance(self) -> None:
        if self._tending is not None:
            self._tending.close()
            self._tending = None
