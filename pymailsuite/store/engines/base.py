"""The abilities a database must have to carry the store."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol


class Trouble(enum.Enum):
    """What an error of the database means for the requests that met it."""

    FULL = "full"
    """No room on the disk: nothing was stored; the same may succeed later."""
    BUSY = "busy"
    """Another process was in the way: nothing was stored; try again at once."""
    LOST = "lost"
    """The connection cannot be trusted any more; whether a commit under way took place is not known."""
    DEFECT = "defect"
    """The statement itself failed (a constraint, a mistake in SQL); the transaction around it stands."""


class Cursor(Protocol):
    """The part of a DB-API cursor that transactions use. Placeholders are ``?`` whatever the database."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Any: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """A connection used by one thread at a time."""

    def cursor(self) -> Cursor:
        """A cursor to run statements with."""

    def begin_write(self) -> None:
        """Open a transaction that may write; waits a little for another process."""

    def begin_read(self) -> None:
        """Open a transaction that sees one moment throughout."""

    def commit(self) -> None:
        """End the transaction; when it returns, what was written has reached the disk."""

    def rollback(self) -> None:
        """End the transaction if one is open, as if it had never been."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; an error may have ended it."""

    def close(self) -> None:
        """Let go of the database."""


class Engine(Protocol):
    """One database: makes connections and knows its own ways. Safe to call from any thread."""

    in_memory: bool
    """The database lives in one connection and dies with it."""

    schema_words: ClassVar[Mapping[str, str]]
    """What the words in braces of the schema files stand for."""

    clock: ClassVar[str]
    """Expression for the database's own time in POSIX seconds, by which leases are judged; empty: it runs on this
    machine and has no other."""

    skip_locked: ClassVar[str]
    """Clause that makes a sub-select of rows to claim pass over rows that another transaction is claiming."""

    def connect(self) -> Connection:
        """A connection that reads and writes. Makes the database if it is not there."""

    def connect_reader(self) -> Connection:
        """A connection that only reads."""

    def table_names(self, cursor: Cursor) -> set[str]:
        """The tables there are."""

    def trouble(self, error: BaseException) -> Trouble | None:
        """What an exception means; None if it is not an error of the database."""

    def tend(self) -> bool:
        """Called now and then in a thread of its own while there are commits.

        True asks for :meth:`tend_between` on the writing connection, between two transactions.
        """

    def tend_between(self, connection: Connection) -> None:
        """What must be done while nothing is being written."""

    def stop_tending(self) -> None:
        """The store is closing: called in the thread that called :meth:`tend`."""
