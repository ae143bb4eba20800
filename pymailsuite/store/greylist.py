"""Triplets of greylisting, their clients, and the addresses that local users have written to."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from pymailsuite.interfaces.greylist import (
    GreylistClient,
    GreylistEntry,
    GreylistKnowledge,
    ICorrespondents,
    IGreylistStore,
    Triplet,
)
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.names import stored_name
from pymailsuite.store.state import StoredKey, put_txn, values_txn
from pymailsuite.store.transaction import Row, Transaction

_CORRESPONDENTS = "correspondents"
_ENTRY = "SELECT client, sender, recipient, first_seen, passed_at, expires_at FROM greylist"
_CLIENT = "SELECT client, passes, allowed, expires_at FROM greylist_clients"
_CLIENT_IS_OVER = "greylist_clients.expires_at > 0 AND greylist_clients.expires_at <= ?"
_KEY = "client = ? AND sender = ? AND recipient = ?"


def _key(triplet: Triplet) -> tuple[str, str, str]:
    return stored_name(triplet.client), stored_name(triplet.sender), stored_name(triplet.recipient)


def _entry(row: Row, triplet: Triplet | None = None) -> GreylistEntry:
    return GreylistEntry(triplet or Triplet(*row[:3]), *row[3:])


def _client(row: Row, client: str = "") -> GreylistClient:
    name, passes, allowed, expires_at = row
    return GreylistClient(client or name, passes, bool(allowed), expires_at)


@frozen
class _Beginning:
    triplets: Sequence[Triplet]
    now: float
    expires_at: float
    waiting_max: int


@frozen
class _Passing:
    triplets: Sequence[Triplet]
    now: float
    expires_at: float
    client_expires_at: float


@implementer(IGreylistStore)
class GreylistStore:
    """The tables ``greylist`` and ``greylist_clients``. Times are those of the store's clock."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock

    # --- while mail comes in

    def look_up(self, triplets: Sequence[Triplet]) -> Deferred[GreylistKnowledge]:
        now = self._clock.seconds()
        asked = {_key(triplet): triplet for triplet in triplets}
        clients = {stored_name(triplet.client): triplet.client for triplet in triplets}
        if not asked:
            return succeed(GreylistKnowledge(now))

        def look_up_txn(txn: Transaction) -> GreylistKnowledge:
            any_of = " OR ".join([f"({_KEY})"] * len(asked))
            words = [word for key in asked for word in key]
            entries = [
                _entry(row, asked[row[0], row[1], row[2]])
                for row in txn.rows(f"{_ENTRY} WHERE ({any_of}) AND expires_at > ?", (*words, now))
            ]
            marks = ", ".join("?" * len(clients))
            rows = txn.rows(
                f"{_CLIENT} WHERE client IN ({marks}) AND (expires_at = 0 OR expires_at > ?)", (*clients, now)
            )
            found = [_client(row, clients[row[0]]) for row in rows]
            return GreylistKnowledge(
                now, {entry.triplet: entry for entry in entries}, {client.client: client for client in found}
            )

        return self._database.read("look up greylist", look_up_txn)

    def begin(self, triplets: Sequence[Triplet], window_s: float, waiting_max: int) -> Deferred[bool]:
        now = self._clock.seconds()
        beginning = _Beginning(tuple(triplets), now, now + window_s, waiting_max)
        return self._database.run_together("begin greylist", _begin_txn, beginning)

    def passed(self, triplets: Sequence[Triplet], keep_s: float, client_keep_s: float) -> Deferred[None]:
        now = self._clock.seconds()
        passing = _Passing(tuple(triplets), now, now + keep_s, now + client_keep_s)
        return self._database.run_together("pass greylist", _passed_txn, passing)

    def refresh(
        self, triplets: Sequence[Triplet], keep_s: float, clients: Sequence[str], client_keep_s: float
    ) -> Deferred[None]:
        now = self._clock.seconds()
        refreshing = _Passing(tuple(triplets), now, now + keep_s, now + client_keep_s), tuple(clients)
        return self._database.run_together("refresh greylist", _refresh_txn, refreshing)

    # --- for operators

    def entries(self, client: str | None, limit: int) -> Deferred[Sequence[GreylistEntry]]:
        now = self._clock.seconds()
        where, values = ("", ()) if client is None else (" AND client = ?", (stored_name(client),))

        def entries_txn(txn: Transaction) -> list[GreylistEntry]:
            rows = txn.rows(
                f"{_ENTRY} WHERE expires_at > ?{where} ORDER BY first_seen DESC, client, sender, recipient LIMIT ?",
                (now, *values, limit),
            )
            return [_entry(row) for row in rows]

        return self._database.read("greylist entries", entries_txn)

    def clients(self, limit: int) -> Deferred[Sequence[GreylistClient]]:
        now = self._clock.seconds()

        def clients_txn(txn: Transaction) -> list[GreylistClient]:
            rows = txn.rows(
                f"{_CLIENT} WHERE expires_at = 0 OR expires_at > ? ORDER BY allowed DESC, passes DESC, client LIMIT ?",
                (now, limit),
            )
            return [_client(row) for row in rows]

        return self._database.read("greylist clients", clients_txn)

    def allow(self, client: str, expires_at: float) -> Deferred[None]:
        def allow_txn(txn: Transaction) -> None:
            txn.execute(
                "INSERT INTO greylist_clients (client, passes, allowed, expires_at) VALUES (?, 0, 1, ?)"
                " ON CONFLICT (client) DO UPDATE SET allowed = 1, expires_at = excluded.expires_at",
                (stored_name(client), expires_at),
            )

        return self._database.run("allow greylist client", allow_txn)

    def forget(self, client: str, address: str) -> Deferred[int]:
        def forget_txn(txn: Transaction) -> int:
            if client:
                return sum(
                    txn.execute(f"DELETE FROM {table} WHERE client = ?", (stored_name(client),))
                    for table in ("greylist", "greylist_clients")
                )
            name = stored_name(address)
            return txn.execute("DELETE FROM greylist WHERE sender = ? OR recipient = ?", (name, name))

        return self._database.run("forget greylist", forget_txn)


def _begin_txn(txn: Transaction, beginnings: Sequence[_Beginning]) -> list[bool]:
    """In order of the keys, so that two nodes never deadlock."""
    wanted = {_key(triplet): one for one in beginnings for triplet in one.triplets}
    waiting: dict[str, int] = {}
    refused = set()
    for key in sorted(wanted):
        one, client = wanted[key], key[0]
        if client not in waiting:
            waiting[client] = txn.value(
                "SELECT COUNT(*) FROM"
                " (SELECT 1 FROM greylist WHERE client = ? AND passed_at = 0 AND expires_at > ? LIMIT ?) w",
                (client, one.now, one.waiting_max),
            )
        if waiting[client] >= one.waiting_max:
            refused.add(key)
            continue
        waiting[client] += txn.execute(
            "INSERT INTO greylist (client, sender, recipient, first_seen, passed_at, expires_at)"
            " VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (client, sender, recipient) DO UPDATE"
            " SET first_seen = excluded.first_seen, passed_at = 0, expires_at = excluded.expires_at"
            " WHERE greylist.expires_at <= excluded.first_seen",
            (*key, one.now, one.expires_at),
        )
    return [refused.isdisjoint(map(_key, one.triplets)) for one in beginnings]


def _passed_txn(txn: Transaction, passings: Sequence[_Passing]) -> list[None]:
    wanted = {_key(triplet): one for one in passings for triplet in one.triplets}
    passes: Counter[str] = Counter()
    last: dict[str, _Passing] = {}
    for key in sorted(wanted):
        one = wanted[key]
        # Another node may have seen the same retry at the same moment: it counts once.
        changed = txn.execute(
            f"UPDATE greylist SET passed_at = ?, expires_at = ? WHERE {_KEY} AND passed_at = 0",
            (one.now, one.expires_at, *key),
        )
        if changed:
            passes[key[0]] += 1
            last[key[0]] = one
    for client in sorted(passes):
        one = last[client]
        txn.execute(
            "INSERT INTO greylist_clients (client, passes, allowed, expires_at) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (client) DO UPDATE SET"
            f" passes = CASE WHEN {_CLIENT_IS_OVER} THEN 0 ELSE greylist_clients.passes END + excluded.passes,"
            f" allowed = CASE WHEN {_CLIENT_IS_OVER} THEN 0 ELSE greylist_clients.allowed END,"
            f" expires_at = CASE WHEN greylist_clients.allowed = 1 AND NOT ({_CLIENT_IS_OVER})"
            " THEN greylist_clients.expires_at ELSE excluded.expires_at END",
            (client, passes[client], one.client_expires_at, one.now, one.now, one.now),
        )
    return [None] * len(passings)


def _refresh_txn(txn: Transaction, refreshings: Sequence[tuple[_Passing, Sequence[str]]]) -> list[None]:
    entries = {_key(triplet): one for one, _ in refreshings for triplet in one.triplets}
    for key in sorted(entries):
        txn.execute(
            f"UPDATE greylist SET expires_at = ? WHERE {_KEY} AND passed_at > 0", (entries[key].expires_at, *key)
        )
    clients = {stored_name(client): one for one, names in refreshings for client in names}
    for client in sorted(clients):
        txn.execute(
            "UPDATE greylist_clients SET expires_at = ? WHERE client = ? AND allowed = 0",
            (clients[client].client_expires_at, client),
        )
    return [None] * len(refreshings)


# --- correspondents


def _pair(own: str, other: str) -> StoredKey:
    digest = hashlib.blake2b(f"{own}\0{other}".encode("utf-8", "surrogatepass"), digest_size=16)
    return _CORRESPONDENTS, digest.hexdigest().upper()


@implementer(ICorrespondents)
class Correspondents:
    """Pairs of addresses as state without octets, each by a digest of both, which does not reveal the addresses."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock

    def note(self, own: str, others: Iterable[str], keep_s: float) -> Deferred[None]:
        expires_at = self._clock.seconds() + keep_s
        rows = [(*_pair(own, other), b"", expires_at) for other in others]
        return self._database.run_together("note correspondents", _note_txn, rows)

    def knows(self, pairs: Sequence[tuple[str, str]]) -> Deferred[frozenset[tuple[str, str]]]:
        now = self._clock.seconds()
        asked = {_pair(*pair): pair for pair in pairs}
        if not asked:
            return succeed(frozenset())

        def knows_txn(txn: Transaction) -> frozenset[tuple[str, str]]:
            return frozenset(asked[key] for key in values_txn(txn, asked, now))

        return self._database.read("look up correspondents", knows_txn)


def _note_txn(txn: Transaction, noted: Sequence[Sequence[tuple[str, str, bytes, float]]]) -> list[None]:
    put_txn(txn, {row[:2]: row for rows in noted for row in rows}.values())
    return [None] * len(noted)


# --- expired rows


def drop_expired_txn(txn: Transaction, now: float, limit: int) -> int:
    """Drop some expired rows; returns their number."""
    dropped = 0
    for table, key in (("greylist", "client, sender, recipient"), ("greylist_clients", "client")):
        dropped += txn.execute(
            f"DELETE FROM {table} WHERE ({key}) IN"
            f" (SELECT {key} FROM {table} WHERE expires_at > 0 AND expires_at <= ? LIMIT {limit})"
            " AND expires_at > 0 AND expires_at <= ?",
            (now, now),
        )
    return dropped


def drop_surplus_txn(txn: Transaction, entries_max: int, limit: int) -> int:
    """Drop some triplets if there are more than ``entries_max``, those that expire first; returns their number."""
    surplus = min(txn.value("SELECT COUNT(*) FROM greylist") - entries_max, limit)
    if surplus <= 0:
        return 0
    return txn.execute(
        "DELETE FROM greylist WHERE (client, sender, recipient) IN"
        " (SELECT client, sender, recipient FROM greylist ORDER BY expires_at LIMIT ?)",
        (surplus,),
    )
