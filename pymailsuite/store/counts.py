"""Counts within windows of time that all nodes share: a row a key, dropped when its window is over."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from pymailsuite.interfaces.counts import Count, CountKey, ISharedCounts
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.names import stored_name
from pymailsuite.store.transaction import Transaction


@frozen
class _Addition:
    keys: Sequence[CountKey]
    window_s: float
    amount: int
    now: float


@implementer(ISharedCounts)
class SharedCounts:
    """The table ``shared_counts``. Windows end by the clock of the store."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock

    def counted(self, keys: Iterable[CountKey]) -> Deferred[Mapping[CountKey, Count]]:
        asked = {(key.kind, stored_name(key.name)): key for key in keys}
        if not asked:
            return succeed({})
        now = self._clock.seconds()

        def counted_txn(txn: Transaction) -> Mapping[CountKey, Count]:
            any_of = " OR ".join(["(kind = ? AND name = ?)"] * len(asked))
            rows = txn.rows(
                f"SELECT kind, name, total, ends_at FROM shared_counts WHERE ({any_of}) AND ends_at > ?",
                (*(word for key in asked for word in key), now),
            )
            return {asked[kind, name]: Count(total, ends_at) for kind, name, total, ends_at in rows}

        return self._database.read("shared counts", counted_txn)

    def add(
        self, keys: Sequence[CountKey], window_s: float, amount: int = 1, lasting: bool = True
    ) -> Deferred[Mapping[CountKey, Count]]:
        addition = _Addition(tuple(keys), window_s, amount, self._clock.seconds())
        return self._database.run_together("add to shared counts", _add_txn, addition, lasting=lasting)

    def take_back(self, keys: Sequence[CountKey], amount: int = 1) -> Deferred[None]:
        now = self._clock.seconds()
        rows = [(amount, amount, *row, now) for row in sorted({(key.kind, stored_name(key.name)) for key in keys})]
        return self._database.run(
            "take back from shared counts",
            lambda txn: txn.execute_many(
                "UPDATE shared_counts SET total = CASE WHEN total < ? THEN 0 ELSE total - ? END"
                " WHERE kind = ? AND name = ? AND ends_at > ?",
                rows,
            ),
            lasting=False,
        )

    def forget(self, keys: Sequence[CountKey]) -> Deferred[None]:
        rows = sorted((key.kind, stored_name(key.name)) for key in keys)
        return self._database.run(
            "forget shared counts",
            lambda txn: txn.execute_many("DELETE FROM shared_counts WHERE kind = ? AND name = ?", rows),
        )


def _add_txn(txn: Transaction, additions: Sequence[_Addition]) -> list[Mapping[CountKey, Count]]:
    """A statement for each key, however often it was seen; in order, so that two nodes never wait for each other."""
    amounts: Counter[tuple[str, str]] = Counter()
    windows: dict[tuple[str, str], tuple[float, float]] = {}
    for addition in additions:
        for key in addition.keys:
            row = key.kind, stored_name(key.name)
            amounts[row] += addition.amount
            windows[row] = addition.now, addition.now + addition.window_s
    made: dict[tuple[str, str], Count] = {}
    for row in sorted(amounts):
        now, ends_at = windows[row]
        counted = txn.row(
            "INSERT INTO shared_counts (kind, name, total, ends_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (kind, name) DO UPDATE SET"
            " total = CASE WHEN shared_counts.ends_at <= ? THEN 0 ELSE shared_counts.total END + excluded.total,"
            " ends_at = CASE WHEN shared_counts.ends_at <= ? THEN excluded.ends_at ELSE shared_counts.ends_at END"
            " RETURNING total, ends_at",
            (*row, amounts[row], ends_at, now, now),
        )
        assert counted is not None
        made[row] = Count(*counted)
    # As if they had come one after the other: of those that pass a limit together only the last ones have passed it.
    answers: list[Mapping[CountKey, Count]] = []
    for addition in additions:
        answer = {}
        for key in addition.keys:
            row = key.kind, stored_name(key.name)
            amounts[row] -= addition.amount
            answer[key] = Count(made[row].total - amounts[row], made[row].ends_at)
        answers.append(answer)
    return answers


def drop_ended_txn(txn: Transaction, now: float, limit: int) -> int:
    """Drop windows that are over; how many."""
    return txn.execute(
        "DELETE FROM shared_counts WHERE (kind, name) IN"
        f" (SELECT kind, name FROM shared_counts WHERE ends_at <= ? LIMIT {limit}) AND ends_at <= ?",
        (now, now),
    )
