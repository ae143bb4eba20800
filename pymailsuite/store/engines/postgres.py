"""PostgreSQL 14 or newer, by psycopg: any number of processes on any number of machines write at once.

Transactions that write run at READ COMMITTED: each statement sees what was committed before it, so data read after its
row was locked stays true until the commit. Invariants between rows are kept by locks on rows, in one order everywhere:
the account's row (of all accounts concerned, ascending), then its mailboxes and messages, then contents, ascending.
Readers see one snapshot (REPEATABLE READ) and never wait.

If a connection breaks during COMMIT, the outcome is unknown. Each writing connection therefore has a row of its own in
``commit_marks``, which counts its commits within them. Another connection reads there whether the last one took place,
and by taking the row over ensures that it cannot take place later. (``pg_xact_status`` does not prove this: after a
crash of the server the number of a transaction that was not yet on the disk may be given to another one.)

A round trip to the server costs more than most statements do, the more so while other processes compete for the
processor. A statement whose result is not needed at once (BEGIN, an INSERT) is therefore held back and sent with the
next one whose result is needed, in one pipeline; the commit sends the rest.
"""

from __future__ import annotations

import re
import secrets
import select
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, ClassVar

import psycopg
from attrs import frozen
from psycopg import RawCursor, pq
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8BinaryDumper, NumericBinaryLoader
from psycopg.types.string import StrDumperUnknown

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.channel import IStoreChannel
from pymailsuite.store.engines.base import CommitUnknown, Connection, Cursor, ErrorKind
from pymailsuite.store.engines.postgres_channel import PostgresChannel

_STATEMENTS_KEPT = 400
_UNUSED_MARKS_KEPT_S = 7 * 86400.0

_ERROR_KINDS: dict[str, ErrorKind] = {
    "23505": ErrorKind.CONFLICT,  # unique_violation
    "25P03": ErrorKind.UNAVAILABLE,  # idle_in_transaction_session_timeout
    "40001": ErrorKind.BUSY,  # serialization_failure
    "40P01": ErrorKind.BUSY,  # deadlock_detected
    "53100": ErrorKind.FULL,  # disk_full
    "53200": ErrorKind.BUSY,  # out_of_memory
    "53300": ErrorKind.UNAVAILABLE,  # too_many_connections
    "55P03": ErrorKind.BUSY,  # lock_not_available
    "57P01": ErrorKind.UNAVAILABLE,  # admin_shutdown
    "57P02": ErrorKind.UNAVAILABLE,  # crash_shutdown
    "57P03": ErrorKind.UNAVAILABLE,  # cannot_connect_now
    "57P05": ErrorKind.UNAVAILABLE,  # idle_session_timeout
    "58P01": ErrorKind.UNAVAILABLE,  # undefined_file: a server whose files were removed
}
_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)

_DEFAULTS: Mapping[str, str] = {
    "application_name": "pymailsuite",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    # A host that disappears is noticed within half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}

# The server too must notice a client that has disappeared, and release its locks.
_SESSION = b"".join(
    b"SET %s;" % setting
    for setting in (
        b"synchronous_commit = on",
        b"client_min_messages = warning",
        b"idle_in_transaction_session_timeout = '60s'",
        b"client_connection_check_interval = '5s'",
        b"tcp_keepalives_idle = 10",
        b"tcp_keepalives_interval = 5",
        b"tcp_keepalives_count = 3",
        b"lock_timeout = %d",
    )
)


class _TextDumper(StrDumperUnknown):
    """PostgreSQL stores no NUL in text; text from outside with a NUL must not make a settlement fail."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class _WholeNumberLoader(NumericBinaryLoader):
    """Sums of 64-bit numbers come as numeric; all sums in this store are integers."""

    def load(self, data: Any) -> Any:
        return int(super().load(data))


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    # One type for all numbers: a statement stays one prepared statement.
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(str, _TextDumper)
    adapters.register_loader("numeric", _WholeNumberLoader)
    return adapters


class _Context:
    """The source of the connections' type conversions."""

    adapters = _adapters()
    connection = None


_QUOTED_OR_MARK = re.compile(r"'[^']*'|\?")


@lru_cache(maxsize=4096)
def numbered(sql: str) -> str:
    """The statement with ``$1``, ``$2``, ... for each ``?`` outside of quotes."""
    number = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal number
        if match[0] != "?":
            return match[0]
        number += 1
        return f"${number}"

    return _QUOTED_OR_MARK.sub(replace, sql)


class PostgresCursor:
    """Statements with ``?`` on a connection; each is prepared when it is first used."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._cursor = connection.raw_cursor()

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> None:
        with self._connection.after_what_is_owed():
            self._cursor.execute(numbered(sql).encode(), values or None)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self._connection.after_what_is_owed():
            self._cursor.executemany(numbered(sql).encode(), rows)

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    def fetchmany(self, size: int = 1, /) -> list[Any]:
        return self._cursor.fetchmany(size)

    def send(self, sql: str, values: Sequence[Any]) -> None:
        """Execute it with the next statement."""
        self._connection.owe(numbered(sql).encode(), values or None)

    def load(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Hand rows to a COPY."""
        with self._connection.after_what_is_owed():
            pass
        with self._cursor.copy(sql.encode()) as copy:
            for row in rows:
                copy.write_row(row)


@frozen
class _Witness:
    """Identifies a commit of a connection."""

    mark: int
    commits: int


# Division by zero ends the transaction of a connection whose row was taken over.
_COUNT_COMMIT = (
    b"WITH counted AS (UPDATE commit_marks SET commits = $2, marked_at = now()"
    b" WHERE mark = $1 AND commits = $2 - 1 AND NOT taken RETURNING 1) SELECT 1 / count(*) FROM counted"
)


class PostgresConnection:
    """A connection with explicit begin and end of transactions."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._mark = 0
        self._commits = 0
        self._owed: list[tuple[bytes, Sequence[Any] | None]] = []
        self._savepoint_owed_at: int | None = None
        self._is_ending = False
        """Whether the end of a transaction was sent whose result has not been read."""
        self._unheard = self.raw_cursor()
        self._unread = select.poll()
        self._unread.register(connection.fileno(), select.POLLIN)

    def cursor(self) -> Cursor:
        return PostgresCursor(self)

    def stop_when(self, abandoned: Callable[[], bool]) -> None:
        """Nothing: the thread is blocked while it waits for the server. Reads are bounded by rows and octets, and end
        soon."""

    def raw_cursor(self) -> RawCursor[Any]:
        """A cursor whose values and results are transferred in binary form."""
        cursor = RawCursor(self._connection)
        cursor.format = pq.Format.BINARY
        return cursor

    def owe(self, statement: bytes, values: Sequence[Any] | None = None) -> None:
        """Execute it before the next statement whose result is needed."""
        self._owed.append((statement, values))

    @contextmanager
    def after_what_is_owed(self) -> Iterator[None]:
        """Statements executed inside are sent together with those held back; at the end all results have arrived.

        Raises the error of the first that failed.
        """
        self._await_end()
        if not self._owed:
            yield
            return
        owed, self._owed, self._savepoint_owed_at = self._owed, [], None
        failed: psycopg.Error | None = None
        try:
            with self._connection.pipeline():
                try:
                    for statement, values in owed:
                        self._unheard.execute(statement, values)
                    yield
                except psycopg.Error as error:
                    failed = error  # hidden from psycopg, which would log the results of the rest of the pipeline
        except psycopg.Error as error:
            raise failed or error from None
        if failed is not None:
            raise failed

    def begin_write(self, lasting: bool = True) -> None:
        # All commits are lasting: the server may restart while this process goes on, and would lose the others.
        self._await_end()
        self._check_there()
        if not self._mark:
            self._take_mark()
        self.owe(b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")

    def begin_read(self) -> None:
        self._await_end()
        self.owe(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def _check_there(self) -> None:
        """Check that the server has not closed this connection: noticed only at a commit, the outcome would be
        unknown."""
        while self._unread.poll(0):
            self._connection.pgconn.consume_input()

    def _take_mark(self) -> None:
        """Insert this connection's row in commit_marks, once the table exists: the first transaction creates it."""
        cursor = self._connection.cursor()
        if cursor.execute("SELECT to_regclass('commit_marks')").fetchall() == [(None,)]:
            return
        mark = secrets.randbits(62) + 1
        cursor.execute(
            "INSERT INTO commit_marks (mark, commits, taken, marked_at) VALUES (%s, 0, false, now())", (mark,)
        )
        cursor.execute(
            "DELETE FROM commit_marks WHERE marked_at < now() - make_interval(secs => %s)", (_UNUSED_MARKS_KEPT_S,)
        )
        self._mark = mark

    def commit(self) -> None:
        if not self._mark:
            self._end(None)
            return
        witness = self.next_commit()
        try:
            self._end(witness)
        except psycopg.Error as error:
            if self._connection.pgconn.status == pq.ConnStatus.OK:
                raise
            raise CommitUnknown(witness) from error
        self._commits = witness.commits

    def next_commit(self) -> _Witness:
        """The witness for another connection if the outcome of the next commit is unknown."""
        return _Witness(self._mark, self._commits + 1)

    def _end(self, witness: _Witness | None) -> None:
        """Send the statements held back, the count of the commit, and the commit itself, in one pipeline."""
        if witness is not None:
            self.owe(_COUNT_COMMIT, (witness.mark, witness.commits))
        with self.after_what_is_owed():
            self._unheard.execute(b"COMMIT")
        # COMMIT of a transaction in which a statement failed is a ROLLBACK, and no error.
        if self._unheard.statusmessage != "COMMIT":
            raise psycopg.errors.InFailedSqlTransaction("the transaction could not be committed")

    def was_committed(self, witness: object) -> bool | None:
        assert isinstance(witness, _Witness)
        cursor = self._connection.cursor()
        # Waits for the end of the other connection's transaction, if it is still open.
        rows = cursor.execute(
            "UPDATE commit_marks SET taken = true WHERE mark = %s RETURNING commits", (witness.mark,)
        ).fetchall()
        return rows[0][0] == witness.commits if rows else None

    def rollback(self) -> None:
        self._await_end()
        self._owed.clear()
        self._savepoint_owed_at = None
        if self.in_transaction:
            self._command(b"ROLLBACK")

    def end_read(self) -> None:
        # Its result is of no interest: waiting for it would take as long as most reads themselves.
        self._owed.clear()
        if self.in_transaction:
            self._connection.pgconn.send_query(b"ROLLBACK")
            self._is_ending = True

    def _await_end(self) -> None:
        """Read the result of what :meth:`end_read` sent, which has come by the time that this connection is used
        again."""
        if self._is_ending:
            self._is_ending = False
            while (result := self._connection.pgconn.get_result()) is not None:
                _check(result)

    def set_savepoint(self) -> None:
        self._savepoint_owed_at = len(self._owed)
        self.owe(b"SAVEPOINT job")

    def release_savepoint(self) -> None:
        with self.after_what_is_owed():
            self._unheard.execute(b"RELEASE job")

    def return_to_savepoint(self) -> None:
        if self._savepoint_owed_at is not None:
            del self._owed[self._savepoint_owed_at :]
            self._savepoint_owed_at = None
            return
        self._owed.clear()
        self._command(b"ROLLBACK TO job; RELEASE job")

    @property
    def in_transaction(self) -> bool:
        if self._is_ending:
            return False
        return bool(self._owed) or self._connection.pgconn.transaction_status in {
            pq.TransactionStatus.ACTIVE,
            pq.TransactionStatus.INTRANS,
            pq.TransactionStatus.INERROR,
        }

    def close(self) -> None:
        self._connection.close()

    def _command(self, command: bytes) -> pq.abc.PGresult:
        """Bypasses psycopg's own list of prepared statements, which a ROLLBACK would clear; they all stay prepared."""
        return _run(self._connection.pgconn, command)


def _run(connection: pq.abc.PGconn, command: bytes) -> pq.abc.PGresult:
    result = connection.exec_(command)
    _check(result)
    return result


def _check(result: pq.abc.PGresult) -> None:
    """Raise the error that a result says."""
    if result.status not in _DONE:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        text = result.error_message.decode("utf-8", "replace").strip()
        try:
            kind = psycopg.errors.lookup(state)
        except KeyError:
            kind = psycopg.OperationalError
        raise kind(text)


class PostgresEngine:
    """One database, or one schema in it (``?options=-csearch_path%3Dname``)."""

    in_memory = False
    schema_words: ClassVar[Mapping[str, str]] = {
        "key": "BIGINT PRIMARY KEY",
        "text": 'TEXT COLLATE "C"',
        "octets": "BYTEA",
        "clustered": "",
        "encode": "convert_to(",
        "encoded": ", 'UTF8')",
        "hex": "upper(encode(",
        "hexed": ", 'hex'))",
    }
    clock: ClassVar[str] = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
    own_statements: ClassVar[Sequence[str]] = (
        "CREATE TABLE IF NOT EXISTS commit_marks (mark BIGINT PRIMARY KEY, commits BIGINT NOT NULL,"
        " taken BOOLEAN NOT NULL, marked_at TIMESTAMP WITH TIME ZONE NOT NULL)",
    )
    skip_locked: ClassVar[str] = " FOR UPDATE SKIP LOCKED"
    for_update: ClassVar[str] = " FOR UPDATE"
    writes_in_turn: ClassVar[bool] = False
    join_text: ClassVar[str] = "string_agg(CAST({} AS TEXT), '{}' ORDER BY uid)"
    rows_as_fetched: ClassVar[bool] = False

    def __init__(self, url: str, settings: StoreSection) -> None:
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.ProgrammingError as error:
            raise ConfigError(f"store.url: {error}") from None
        self._conninfo = make_conninfo(**{**_DEFAULTS, **given})
        self._lock_wait_ms = int(settings.postgres_lock_wait * 1000)
        self.writers = settings.postgres_writers

    def connect(self) -> PostgresConnection:
        # Of several hosts the one that accepts writes; a standby does not.
        return self._connect(target_session_attrs="read-write")

    def connect_reader(self) -> PostgresConnection:
        connection = self._connect()
        connection._command(b"SET default_transaction_read_only = on")
        return connection

    def _connect(self, **more: str) -> PostgresConnection:
        connection = psycopg.connect(
            make_conninfo(self._conninfo, **more), autocommit=True, context=_Context(), prepare_threshold=0
        )
        connection.prepared_max = _STATEMENTS_KEPT
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise ConfigError(f"store.url: the database's encoding is {encoding}; it must be UTF8")
        connected = PostgresConnection(connection)
        connected._command(_SESSION % self._lock_wait_ms)
        return connected

    def lock_schema(self, cursor: Cursor) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('pymailsuite ' || current_schema()))")

    def stop_writers(self, cursor: Cursor, tables: Sequence[str]) -> None:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")

    def table_names(self, cursor: Cursor) -> set[str]:
        cursor.execute("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()")
        return {name for (name,) in cursor.fetchall()}

    def load(self, cursor: Cursor, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        assert isinstance(cursor, PostgresCursor)
        cursor.load(f"COPY {table} ({', '.join(columns)}) FROM STDIN", rows)

    def send(self, cursor: Cursor, sql: str, values: Sequence[Any]) -> None:
        assert isinstance(cursor, PostgresCursor)
        cursor.send(sql, values)

    def error_kind(self, error: BaseException) -> ErrorKind | None:
        if isinstance(error, CommitUnknown):
            return ErrorKind.UNAVAILABLE
        if not isinstance(error, psycopg.Error):
            return None
        state = error.sqlstate
        if state is None:
            # From libpq: no server, or a lost one. psycopg's own refusals are a DataError, ProgrammingError, ...
            return ErrorKind.UNAVAILABLE if isinstance(error, psycopg.OperationalError) else ErrorKind.DEFECT
        if state.startswith("08"):
            return ErrorKind.UNAVAILABLE
        return _ERROR_KINDS.get(state, ErrorKind.DEFECT)

    def channel(self, reactor: Any) -> IStoreChannel | None:
        return PostgresChannel(partial(psycopg.connect, self._conninfo, autocommit=True), reactor)

    def maintain(self) -> bool:
        return False

    def maintain_between(self, connection: Connection) -> None:
        """Nothing: the server does its own maintenance."""

    def stop_maintenance(self) -> None:
        """Nothing."""
