"""The argument of a transaction function: statements, and effects that wait for the commit."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

from pymailsuite.store.engines.base import Cursor, Engine
from pymailsuite.values import AccountId, ModSeq

Row = tuple[Any, ...]

_ROWS_A_STATEMENT = 32
_ROWS_AT_ONCE = 64
"""The number of rows measured together, which may all turn out large."""


class Transaction:
    """An open transaction.

    A function that takes one has no other side effects, since it may run twice: effects outside the database are
    registered with :meth:`call_after` and :meth:`announce`, and happen once, after the commit, in the reactor thread.
    """

    __slots__ = (
        *("_cursor", "_engine", "announced", "effects", "for_update", "join_text", "locked", "rows_as_fetched"),
        *("skip_locked", "totals"),
    )

    def __init__(self, cursor: Cursor, engine: Engine) -> None:
        self._cursor = cursor
        self._engine = engine
        self.skip_locked = engine.skip_locked
        self.for_update = engine.for_update
        self.join_text = engine.join_text
        self.rows_as_fetched = engine.rows_as_fetched
        self.locked: frozenset[AccountId] = frozenset()
        """Accounts whose locks were taken before any function of the group ran, so that they outlast its savepoint."""
        self.effects: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.announced: list[tuple[AccountId, ModSeq]] = []
        self.totals: dict[AccountId, str] = {}
        """Of accounts whose next modseq was taken, those whose mail is counted for the total of their domain."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement."""
        self._cursor.execute(sql, values)
        return self._cursor.fetchall()

    def rows_within(
        self, sql: str, values: Sequence[Any], rows: list[Row], heavy: Sequence[int], most_octets: int
    ) -> int:
        """Add rows of a statement to ``rows`` until their columns ``heavy``, octets or None each, hold ``most_octets``.

        There is one row at least. Returns the octets left; 0 or less: there may be more rows.
        """
        cursor = self._cursor
        cursor.execute(sql, values)
        getters = [itemgetter(place) for place in heavy]
        count = 2
        while some := cursor.fetchmany(count):
            # Most rows are small: several are measured at once, without a step of Python for each.
            weight = sum([sum(map(len, filter(None, map(getter, some)))) for getter in getters])
            if weight >= most_octets:
                return self._cut(some, rows, getters, most_octets)
            rows += some
            most_octets -= weight
            if 4 * weight <= most_octets:
                count = min(2 * count, _ROWS_AT_ONCE)
        return most_octets

    def _cut(self, some: list[Row], rows: list[Row], getters: Sequence[Callable[[Row], Any]], most_octets: int) -> int:
        """Add those of some rows that are within the octets; none are left after that."""
        for row in some:
            most_octets -= sum(len(getter(row) or b"") for getter in getters)
            if most_octets >= 0 or not rows:
                rows.append(row)
            if most_octets <= 0:
                break
        self._cursor.execute("SELECT 1")  # ends the statement, which would hold the transaction open
        self._cursor.fetchall()
        return 0

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        self._cursor.execute(sql, values)
        rows = self._cursor.fetchall()  # all of them: an unfinished statement would hold the transaction open
        return rows[0] if rows else None

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The only value of the only row."""
        self._cursor.execute(sql, values)
        ((value,),) = self._cursor.fetchall()
        return value

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        self._cursor.execute(sql, values)
        return self._cursor.rowcount

    def send(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement whose result is not needed; its error may come later, even from the commit."""
        self._engine.send(self._cursor, sql, values)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of values."""
        self._cursor.executemany(sql, rows)

    def insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]], *, on_conflict: str = "") -> None:
        """Insert many rows in few statements: each statement costs a switch of the interpreter lock.

        ``on_conflict`` is the SQL after these words, for rows whose key exists already."""
        start, left, width = 0, len(rows), columns.count(",") + 1
        while left:
            count = min(_ROWS_A_STATEMENT, 1 << (left.bit_length() - 1))
            self.send(
                _insert_statement(table, columns, width, count, on_conflict),
                list(chain.from_iterable(rows[start : start + count])) if count > 1 else rows[start],
            )
            start += count
            left -= count

    def lock_schema(self) -> None:
        """Keep other processes from changing the schema until the commit."""
        self._engine.lock_schema(self._cursor)

    def stop_writers(self, *tables: str) -> None:
        """Keep all others from writing to tables until the commit, for code that needs them unchanged."""
        self._engine.stop_writers(self._cursor, tables)

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert very many rows, in the quickest way the database knows."""
        self._engine.load(self._cursor, table, columns, rows)

    def call_after(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call ``function`` once after the commit, however often a group of transactions asks for the same call."""
        self.effects.append((function, arguments))

    def announce(self, account_id: AccountId, modseq: ModSeq) -> None:
        """Announce after the commit that the account has advanced to ``modseq``."""
        self.announced.append((account_id, modseq))

    def mark(self) -> tuple[int, int]:
        """The present position in the effects; for :meth:`forget_since` when a part of the transaction is rolled
        back."""
        return len(self.effects), len(self.announced)

    def forget_since(self, mark: tuple[int, int]) -> None:
        """Drop the effects asked for since ``mark``."""
        del self.effects[mark[0] :]
        del self.announced[mark[1] :]


@lru_cache(maxsize=256)
def _insert_statement(table: str, columns: str, width: int, count: int, on_conflict: str) -> str:
    """Counts are powers of two, so that few statements serve all and stay prepared."""
    row = f"({', '.join('?' * width)})"
    conflict = f" ON CONFLICT {on_conflict}" if on_conflict else ""
    return f"INSERT INTO {table} ({columns}) VALUES {', '.join([row] * count)}{conflict}"
