"""Entries of local lists. The matcher reads all of them at once after a change."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.interfaces.lists import EntryKind, IListStore, ListEntry
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction

_COLUMNS = "scope, kind, value, verdict, action, comment, created_at, expires_at"


def _changed_txn(txn: Transaction) -> None:
    txn.execute("UPDATE counters SET value = value + 1 WHERE name = 'lists'")


@implementer(IListStore)
class ListStore:
    """Local lists in the store's own table; expired entries are dropped when one is added."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock

    def revision(self) -> Deferred[int]:
        def revision_txn(txn: Transaction) -> int:
            return int(txn.value("SELECT value FROM counters WHERE name = 'lists'"))

        return self._database.read("revision of lists", revision_txn)

    def entries(self, scope: str | None) -> Deferred[Sequence[ListEntry]]:
        now = self._clock.seconds()
        where, values = ("", ()) if scope is None else (" AND scope = ?", (scope,))

        def entries_txn(txn: Transaction) -> list[ListEntry]:
            rows = txn.rows(
                "SELECT verdict, kind, value, scope, action, comment, expires_at FROM list_entries"
                f" WHERE (expires_at = 0 OR expires_at > ?){where} ORDER BY scope, kind, value, verdict",
                (now, *values),
            )
            return [ListEntry(*row) for row in rows]

        return self._database.read("list entries", entries_txn)

    def add(self, entries: Sequence[ListEntry]) -> Deferred[None]:
        now = self._clock.seconds()
        rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for one in entries:
            key = (one.scope, one.kind, one.value, one.verdict)
            rows[key] = (*key, one.action, one.comment, now, one.expires_at)

        def add_txn(txn: Transaction) -> None:
            txn.execute("DELETE FROM list_entries WHERE expires_at > 0 AND expires_at <= ?", (now,))
            txn.execute_many(
                "DELETE FROM list_entries WHERE scope = ? AND kind = ? AND value = ? AND verdict = ?", list(rows)
            )
            txn.insert("list_entries", _COLUMNS, list(rows.values()))
            _changed_txn(txn)

        return self._database.run("add list entries", add_txn)

    def remove(self, scope: str, kind: EntryKind, value: str) -> Deferred[int]:
        def remove_txn(txn: Transaction) -> int:
            count = txn.execute(
                "DELETE FROM list_entries WHERE scope = ? AND kind = ? AND value = ?", (scope, kind, value)
            )
            if count:
                _changed_txn(txn)
            return count

        return self._database.run("remove list entries", remove_txn)
