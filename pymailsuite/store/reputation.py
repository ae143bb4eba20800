"""The reputation of senders, by identity: a row each."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from pymailsuite.interfaces.reputation import Event, Identity, IdentityKind, IReputationStore, Reputation
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.names import stored_name
from pymailsuite.store.transaction import Row, Transaction

_COLUMNS = "kind, name, accepted, refused, junk, not_junk, first_seen, noted_at"
_SELECT = f"SELECT {_COLUMNS} FROM reputations"

_INSERT = (
    f"INSERT INTO reputations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET"
    # Another node has made the row meanwhile: what both have counted is there after the second of them.
    " accepted = reputations.accepted + excluded.accepted, refused = reputations.refused + excluded.refused,"
    " junk = reputations.junk + excluded.junk, not_junk = reputations.not_junk + excluded.not_junk"
)
_UPDATE = (
    f"INSERT INTO reputations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET"
    " accepted = excluded.accepted, refused = excluded.refused, junk = excluded.junk, not_junk = excluded.not_junk,"
    " noted_at = excluded.noted_at"
)


def _key(identity: Identity) -> tuple[str, str]:
    return identity.kind, stored_name(identity.name)


def _reputation(row: Row, identity: Identity | None = None) -> Reputation:
    return Reputation(identity or Identity(row[0], row[1]), *row[2:])


@frozen
class _Addition:
    events: Mapping[tuple[Identity, Event], float]
    half_life_s: float
    now: float


@implementer(IReputationStore)
class ReputationStore:
    """The table ``reputations``. Times are those of the store's clock."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock

    def look_up(self, identities: Iterable[Identity], half_life_s: float) -> Deferred[Mapping[Identity, Reputation]]:
        asked = {_key(identity): identity for identity in identities}
        now = self._clock.seconds()
        if not asked:
            return succeed({})

        def look_up_txn(txn: Transaction) -> Mapping[Identity, Reputation]:
            any_of = " OR ".join(["(kind = ? AND name = ?)"] * len(asked))
            rows = txn.rows(f"{_SELECT} WHERE {any_of}", [word for key in asked for word in key])
            found = [_reputation(row, asked[row[0], row[1]]) for row in rows]
            return {one.identity: one.at(now, half_life_s) for one in found}

        return self._database.read("look up reputations", look_up_txn)

    def add(self, events: Mapping[tuple[Identity, Event], float], half_life_s: float) -> Deferred[None]:
        addition = _Addition(dict(events), half_life_s, self._clock.seconds())
        return self._database.run_together("add to reputations", _add_txn, addition)

    def meet(self, identities: Sequence[Identity]) -> Deferred[None]:
        now = self._clock.seconds()
        rows = sorted({(*_key(identity), now, now) for identity in identities})
        return self._database.run(
            "meet senders",
            lambda txn: txn.execute_many(
                f"INSERT INTO reputations ({_COLUMNS}) VALUES (?, ?, 0, 0, 0, 0, ?, ?) ON CONFLICT DO NOTHING", rows
            ),
        )

    def all(
        self, kind: IdentityKind | None, name: str, half_life_s: float, limit: int
    ) -> Deferred[Sequence[Reputation]]:
        now = self._clock.seconds()
        conditions = {"kind = ?": kind or "", "name = ?": stored_name(name)}
        wanted = {text: value for text, value in conditions.items() if value}
        where = f" WHERE {' AND '.join(wanted)}" if wanted else ""

        def all_txn(txn: Transaction) -> list[Reputation]:
            rows = txn.rows(f"{_SELECT}{where} ORDER BY noted_at DESC, kind, name LIMIT ?", (*wanted.values(), limit))
            return [_reputation(row).at(now, half_life_s) for row in rows]

        return self._database.read("reputations", all_txn)

    def forget(self, name: str) -> Deferred[int]:
        return self._database.run(
            "forget reputation",
            lambda txn: txn.execute("DELETE FROM reputations WHERE name = ?", (stored_name(name),)),
        )


def _add_txn(txn: Transaction, additions: Sequence[_Addition]) -> list[None]:
    """In order of the keys, so that two nodes never deadlock."""
    added: defaultdict[tuple[tuple[str, str], Event], float] = defaultdict(float)
    identities: dict[tuple[str, str], tuple[Identity, _Addition]] = {}
    for addition in additions:
        for (identity, event), number in addition.events.items():
            key = _key(identity)
            added[key, event] += number
            identities[key] = identity, addition
    for key in sorted(identities):
        identity, addition = identities[key]
        row = txn.row(f"{_SELECT} WHERE kind = ? AND name = ?{txn.for_update}", key)
        before = Reputation(identity, first_seen=addition.now) if row is None else _reputation(row)
        now = max(addition.now, before.noted_at)
        after = before.at(now, addition.half_life_s)
        after = evolve(after, **{event.value: getattr(after, event.value) + added[key, event] for event in Event})
        numbers = (after.accepted, after.refused, after.junk, after.not_junk)
        statement = _INSERT if row is None else _UPDATE
        txn.execute(statement, (*key, *numbers, after.first_seen, now))
    return [None] * len(additions)


def drop_forgotten_txn(txn: Transaction, before: float, limit: int) -> int:
    """Drop some rows without additions since a time; returns their number."""
    return txn.execute(
        "DELETE FROM reputations WHERE (kind, name) IN"
        f" (SELECT kind, name FROM reputations WHERE noted_at < ? LIMIT {limit}) AND noted_at < ?",
        (before, before),
    )
