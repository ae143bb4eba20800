"""The abilities a database must have to carry the store."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from pymailsuite.interfaces.channel import IStoreChannel


class ErrorKind(enum.Enum):
    """The meaning of a database error for the requests that failed with it."""

    FULL = "full"
    """No room on the disk: nothing was stored; the same may succeed later."""
    BUSY = "busy"
    """Another process was in the way: nothing was stored; try again at once."""
    CONFLICT = "raced"
    """Another transaction was faster: run again, the same function sees its result, and may return another one."""
    UNAVAILABLE = "away"
    """The database cannot be reached just now. Nothing was stored, unless :class:`CommitUnknown` says more; another
    connection may do."""
    LOST = "lost"
    """The connection cannot be trusted any more, and another one would fail too."""
    DEFECT = "defect"
    """The statement itself failed (a constraint, an error in SQL); the transaction around it goes on."""


class CommitUnknown(Exception):
    """The connection broke while a commit was under way: it took place or it did not.

    ``witness`` is for :meth:`Connection.was_committed` of another connection.
    """

    def __init__(self, witness: object) -> None:
        self.witness = witness
        super().__init__("the connection broke during a commit")


class Cursor(Protocol):
    """The part of a DB-API cursor that transactions use. Placeholders are ``?`` whatever the database."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Any: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def fetchmany(self, size: int = ..., /) -> list[Any]: ...


class Connection(Protocol):
    """A connection used by one thread at a time."""

    def cursor(self) -> Cursor:
        """A cursor to run statements with."""

    def stop_when(self, abandoned: Callable[[], bool]) -> None:
        """End a long statement with an error when ``abandoned`` says that its result is not needed any more.

        It is called now and then, in the thread that uses the connection. A database that cannot call it lets its
        statements end.
        """

    def begin_write(self, lasting: bool = True) -> None:
        """Open a transaction that may write; waits a little for another process.

        With ``lasting`` False its commit may return before the data has reached the disk; the next lasting commit makes
        it durable too.
        """

    def begin_read(self) -> None:
        """Open a transaction that reads one snapshot."""

    def commit(self) -> None:
        """End the transaction; when it returns, what was written has reached the disk.

        CommitUnknown: this connection cannot determine whether it has.
        """

    def was_committed(self, witness: object) -> bool | None:
        """Whether the commit took place during which another connection was lost; None if this cannot be determined.

        The answer is final: a commit that has not taken place by now never will.
        """

    def rollback(self) -> None:
        """End the transaction if one is open, as if it had never been."""

    def end_read(self) -> None:
        """End a transaction that has only read; the database may do so while this process goes on."""

    def set_savepoint(self) -> None:
        """Mark where the open transaction stands. There is one mark at a time."""

    def release_savepoint(self) -> None:
        """Forget the mark."""

    def return_to_savepoint(self) -> None:
        """Undo what was done since the mark, and forget it."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; an error may have ended it."""

    def close(self) -> None:
        """Close the connection."""


class Engine(Protocol):
    """One database: makes connections and provides its specifics. Safe to call from any thread."""

    in_memory: bool
    """The database lives in one connection and dies with it."""

    schema_words: ClassVar[Mapping[str, str]]
    """The replacements for the words in braces in the schema files."""

    clock: ClassVar[str]
    """Expression for the database's own time in POSIX seconds, the clock of leases; empty: the database runs on this
    machine and has no other clock."""

    own_statements: ClassVar[Sequence[str]]
    """Statements that create, if missing, the tables that only this database needs."""

    skip_locked: ClassVar[str]
    """Clause that makes a sub-select of rows to claim skip rows that another transaction is claiming."""

    for_update: ClassVar[str]
    """Clause that makes a select wait for transactions that change its rows, and lock the rows until the commit.

    Empty where one transaction writes at a time, since a writing transaction is alone anyway.
    """

    writes_in_turn: ClassVar[bool]
    """One transaction writes at a time, over all processes: writes of several processes are committed separately, and
    cost more than those of one process."""

    join_text: ClassVar[str]
    """Aggregate that joins a column of messages by ascending UID to one text. In braces: the column, the separator."""

    rows_as_fetched: ClassVar[bool]
    """A statement yields its rows as they are fetched; otherwise all of them are in memory before the first."""

    writers: int
    """The greatest useful number of connections that write at the same time."""

    def connect(self) -> Connection:
        """A connection that reads and writes. Creates the database if it does not exist."""

    def connect_reader(self) -> Connection:
        """A connection that only reads."""

    def lock_schema(self, cursor: Cursor) -> None:
        """Keep other processes from changing the schema until the commit."""

    def stop_writers(self, cursor: Cursor, tables: Sequence[str]) -> None:
        """Keep all others from writing to tables until the commit."""

    def table_names(self, cursor: Cursor) -> set[str]:
        """The tables there are."""

    def load(self, cursor: Cursor, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows in the quickest way there is, in the transaction that is open."""

    def send(self, cursor: Cursor, sql: str, values: Sequence[Any]) -> None:
        """Execute a statement, in its turn, whose result is not needed.

        It may be sent only with the next one that is waited for, or with the commit; its error comes from there then.
        """

    def error_kind(self, error: BaseException) -> ErrorKind | None:
        """The kind of an exception; None if it is not an error of the database."""

    def channel(self, reactor: Any) -> IStoreChannel | None:
        """A channel for messages between all processes that have the database open; None if there is none."""

    def maintain(self) -> bool:
        """Called now and then in a thread of its own while there are commits.

        True asks for :meth:`maintain_between` on the writing connection, between two transactions.
        """

    def maintain_between(self, connection: Connection) -> None:
        """Maintenance that must run while nothing is being written."""

    def stop_maintenance(self) -> None:
        """The store is closing: called in the thread that called :meth:`maintain`."""
