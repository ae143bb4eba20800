"""The table ``state``: octets and counts that expire, a row a key, the same on every node.

For small values that are known by name and needed for a time. Data that must be found in another way (by client, by
age, by two names) has a table of its own. Functions that end in ``_txn`` work inside any transaction of the store. They
change rows in the order of their keys, so that two nodes never deadlock.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from pymailsuite.errors import LimitReached
from pymailsuite.interfaces.state import Count, IExpiringState, IStateStore, StateKey
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.names import stored_name
from pymailsuite.store.transaction import Row, Transaction

_KEYS_A_STATEMENT: Final = 100
_INSERT: Final = "INSERT INTO state (namespace, name, value, total, expires_at)"
_ON_CONFLICT: Final = "ON CONFLICT (namespace, name) DO UPDATE SET"
_PUT: Final = (
    f"{_INSERT} VALUES (?, ?, ?, 0, ?)"
    f" {_ON_CONFLICT} value = excluded.value, total = 0, expires_at = excluded.expires_at"
)
# A row that has expired, or whose name had octets, starts over.
_BEGINS: Final = "state.expires_at <= ? OR state.value IS NOT NULL"
_ADD: Final = (
    f"{_INSERT} VALUES (?, ?, NULL, ?, ?) {_ON_CONFLICT} value = NULL,"
    f" total = CASE WHEN {_BEGINS} THEN 0 ELSE state.total END + excluded.total,"
    f" expires_at = CASE WHEN {_BEGINS} THEN excluded.expires_at ELSE state.expires_at END"
    " RETURNING total, expires_at"
)

StoredKey = tuple[str, str]
"""Namespace and name, as they are in the table."""


def _stored(key: StateKey) -> StoredKey:
    return key.namespace, stored_name(key.name)


@frozen
class _Addition:
    keys: Sequence[StateKey]
    window_s: float
    amount: int
    now: float


@implementer(IStateStore)
class StateStore:
    """The table ``state``. Time is that of the store's clock."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock

    def namespace(self, name: str) -> ExpiringState:
        return ExpiringState(self, name)

    # --- octets

    def get(self, key: StateKey) -> Deferred[bytes | None]:
        return self.get_many([key]).addCallback(lambda found: found.get(key))

    def get_many(self, keys: Iterable[StateKey]) -> Deferred[Mapping[StateKey, bytes]]:
        asked = {_stored(key): key for key in keys}
        if not asked:
            return succeed({})
        now = self._clock.seconds()

        def get_txn(txn: Transaction) -> Mapping[StateKey, bytes]:
            return {asked[key]: value for key, value in values_txn(txn, asked, now).items()}

        return self._database.read("state", get_txn)

    def put(self, key: StateKey, value: bytes, keep_s: float) -> Deferred[None]:
        if error := self._over_limit(key, value):
            return fail(error)
        row = (*_stored(key), value, self._clock.seconds() + keep_s)
        return self._database.run_together("put state", _put_together_txn, row)

    def put_if_absent(self, key: StateKey, value: bytes, keep_s: float) -> Deferred[bool]:
        if error := self._over_limit(key, value):
            return fail(error)
        now = self._clock.seconds()
        row = (*_stored(key), value, now + keep_s)
        return self._database.run("put state if absent", lambda txn: put_if_absent_txn(txn, row, now))

    def _over_limit(self, key: StateKey, value: bytes) -> LimitReached | None:
        limit = self._database.settings.state_value
        if len(value) <= limit:
            return None
        return LimitReached(cause=f"state of {key.namespace}: {len(value)} octets, where {limit} are allowed")

    # --- counts

    def counted(self, keys: Iterable[StateKey]) -> Deferred[Mapping[StateKey, Count]]:
        asked = {_stored(key): key for key in keys}
        if not asked:
            return succeed({})
        now = self._clock.seconds()

        def counted_txn(txn: Transaction) -> Mapping[StateKey, Count]:
            rows = _rows_txn(txn, "total, expires_at", "value IS NULL", asked, now)
            return {asked[row[0], row[1]]: Count(row[2], row[3]) for row in rows}

        return self._database.read("counts", counted_txn)

    def add(
        self, keys: Sequence[StateKey], window_s: float, amount: int = 1, lasting: bool = True
    ) -> Deferred[Mapping[StateKey, Count]]:
        addition = _Addition(tuple(keys), window_s, amount, self._clock.seconds())
        return self._database.run_together("add to counts", _add_together_txn, addition, lasting=lasting)

    def take_back(self, keys: Sequence[StateKey], amount: int = 1) -> Deferred[None]:
        now = self._clock.seconds()
        rows = [(amount, amount, *key, now) for key in sorted(set(map(_stored, keys)))]
        return self._database.run(
            "take back from counts",
            lambda txn: txn.execute_many(
                "UPDATE state SET total = CASE WHEN total < ? THEN 0 ELSE total - ? END"
                " WHERE namespace = ? AND name = ? AND expires_at > ?",
                rows,
            ),
            lasting=False,
        )

    def delete(self, keys: Sequence[StateKey]) -> Deferred[None]:
        stored = list(map(_stored, keys))
        return self._database.run("delete state", lambda txn: delete_txn(txn, stored))


@implementer(IExpiringState)
@frozen
class ExpiringState:
    """One namespace of a store's state."""

    _store: IStateStore
    name: str

    def _key(self, name: str) -> StateKey:
        return StateKey(self.name, name)

    def get(self, name: str) -> Deferred[bytes | None]:
        return self._store.get(self._key(name))

    def get_many(self, names: Iterable[str]) -> Deferred[Mapping[str, bytes]]:
        found = self._store.get_many(map(self._key, names))
        return found.addCallback(lambda values: {key.name: value for key, value in values.items()})

    def put(self, name: str, value: bytes, keep_s: float) -> Deferred[None]:
        return self._store.put(self._key(name), value, keep_s)

    def put_if_absent(self, name: str, value: bytes, keep_s: float) -> Deferred[bool]:
        return self._store.put_if_absent(self._key(name), value, keep_s)

    def total(self, name: str) -> Deferred[int]:
        key = self._key(name)
        return self._store.counted([key]).addCallback(lambda counts: counts[key].total if key in counts else 0)

    def add(self, name: str, window_s: float, amount: int = 1) -> Deferred[int]:
        key = self._key(name)
        return self._store.add([key], window_s, amount).addCallback(lambda counts: counts[key].total)

    def delete(self, *names: str) -> Deferred[None]:
        return self._store.delete(list(map(self._key, names)))


# --- inside an open transaction


def _rows_txn(txn: Transaction, columns: str, kind: str, keys: Iterable[StoredKey], now: float) -> Iterator[Row]:
    asked = list(keys)
    for start in range(0, len(asked), _KEYS_A_STATEMENT):
        piece = asked[start : start + _KEYS_A_STATEMENT]
        any_of = " OR ".join(["(namespace = ? AND name = ?)"] * len(piece))
        yield from txn.rows(
            f"SELECT namespace, name, {columns} FROM state WHERE ({any_of}) AND expires_at > ? AND {kind}",
            (*(word for key in piece for word in key), now),
        )


def values_txn(txn: Transaction, keys: Iterable[StoredKey], now: float) -> dict[StoredKey, bytes]:
    """The octets of those keys that have any."""
    rows = _rows_txn(txn, "value", "value IS NOT NULL", keys, now)
    return {(namespace, name): bytes(value) for namespace, name, value in rows}


def put_txn(txn: Transaction, rows: Iterable[tuple[str, str, bytes, float]], *, no_sooner: bool = False) -> None:
    """Keep octets: rows of namespace, name, octets and when they expire (POSIX seconds), each key once.

    ``no_sooner``: a value that would expire sooner than the present one is left out."""
    condition = " WHERE state.expires_at < excluded.expires_at" if no_sooner else ""
    txn.execute_many(_PUT + condition, sorted(rows))


def put_if_absent_txn(txn: Transaction, row: tuple[str, str, bytes, float], now: float) -> bool:
    """Store octets if the key has no value; returns whether it did."""
    return txn.execute(f"{_PUT} WHERE state.expires_at <= ?", (*row, now)) > 0


def add_txn(txn: Transaction, key: StoredKey, amount: int, now: float, ends_at: float) -> Count:
    """Count so many more, in a window that ends at ``ends_at`` if it begins now."""
    counted = txn.row(_ADD, (*key, amount, ends_at, now, now))
    assert counted is not None
    return Count(*counted)


def delete_txn(txn: Transaction, keys: Iterable[StoredKey]) -> None:
    """Forget octets and counts of these keys."""
    txn.execute_many("DELETE FROM state WHERE namespace = ? AND name = ?", sorted(keys))


def _put_together_txn(txn: Transaction, rows: Sequence[tuple[str, str, bytes, float]]) -> list[None]:
    put_txn(txn, {row[:2]: row for row in rows}.values())
    return [None] * len(rows)


def _add_together_txn(txn: Transaction, additions: Sequence[_Addition]) -> list[Mapping[StateKey, Count]]:
    """A statement for each key, however often it was seen."""
    amounts: Counter[StoredKey] = Counter()
    windows: dict[StoredKey, tuple[float, float]] = {}
    for addition in additions:
        for key in addition.keys:
            row = _stored(key)
            amounts[row] += addition.amount
            windows[row] = addition.now, addition.now + addition.window_s
    made = {row: add_txn(txn, row, amounts[row], *windows[row]) for row in sorted(amounts)}
    # As if they had come one after the other: of those that pass a limit together only the last ones have passed it.
    answers: list[Mapping[StateKey, Count]] = []
    for addition in additions:
        answer = {}
        for key in addition.keys:
            row = _stored(key)
            amounts[row] -= addition.amount
            answer[key] = Count(made[row].total - amounts[row], made[row].ends_at)
        answers.append(answer)
    return answers


# --- expired rows


def _namespaces_txn(txn: Transaction) -> Iterator[str]:
    """The existing namespaces: a handful, each found by the index."""
    name = txn.value("SELECT MIN(namespace) FROM state")
    while name is not None:
        yield name
        name = txn.value("SELECT MIN(namespace) FROM state WHERE namespace > ?", (name,))


def drop_expired_txn(txn: Transaction, now: float, limit: int) -> int:
    """Drop some expired rows; returns their number."""
    return sum(
        txn.execute(
            "DELETE FROM state WHERE namespace = ? AND name IN"
            " (SELECT name FROM state WHERE namespace = ? AND expires_at <= ? LIMIT ?) AND expires_at <= ?",
            (namespace, namespace, now, limit, now),
        )
        for namespace in list(_namespaces_txn(txn))
    )


def drop_surplus_txn(txn: Transaction, keys_max: int, limit: int) -> int:
    """Drop some of plugins' rows above ``keys_max`` in a namespace, those that expire first; returns their number."""
    dropped = 0
    for namespace in list(_namespaces_txn(txn)):
        if ":" not in namespace:
            continue
        surplus = txn.value("SELECT COUNT(*) FROM state WHERE namespace = ?", (namespace,)) - keys_max
        if surplus > 0:
            dropped += txn.execute(
                "DELETE FROM state WHERE namespace = ? AND name IN"
                " (SELECT name FROM state WHERE namespace = ? ORDER BY expires_at LIMIT ?)",
                (namespace, namespace, min(surplus, limit)),
            )
    return dropped
