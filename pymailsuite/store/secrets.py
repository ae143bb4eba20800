"""Secrets that all nodes share. Their octets are in no message, log or error of this room."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.interfaces.secrets import ISecretStore, Secret
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.encryption import Encryption
from pymailsuite.store.transaction import Transaction

_OCTETS: Final = 32
_PLACE: Final = "secrets"
_RETIRED: Final = "SELECT secret, created_at, retired_at FROM retired_secrets WHERE name = ? ORDER BY retired_at DESC"


@implementer(ISecretStore)
class SecretStore:
    """The tables ``secrets`` and ``retired_secrets``."""

    def __init__(self, database: Database, clock: IReactorTime | StoreClock, encryption: Encryption) -> None:
        self._database = database
        self._clock = clock
        self._encryption = encryption

    def secrets(self, name: str) -> Deferred[Sequence[Secret]]:
        now = self._clock.seconds()

        def known_txn(txn: Transaction) -> list[Secret]:
            row = txn.row("SELECT secret, created_at FROM secrets WHERE name = ?", (name,))
            if row is None:
                return []
            # A retired secret whose key was lost affects a few old bounces only; the new one works.
            retired = [old for old in txn.rows(_RETIRED, (name,)) if not self._encryption.lacks_key_of(bytes(old[0]))]
            rows = [(*row, None), *retired]
            return [Secret(self._opened(kept, name), made_at, retired_at) for kept, made_at, retired_at in rows]

        def first_txn(txn: Transaction) -> list[Secret]:
            # Of several nodes that make a secret at the same time the first one's stays.
            txn.execute(
                "INSERT INTO secrets (name, secret, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (name, self._new(name), now),
            )
            return known_txn(txn)

        async def known_or_first() -> Sequence[Secret]:
            return await self._database.read("secrets", known_txn) or await self._database.run(
                "first secret", first_txn
            )

        return Deferred.fromCoroutine(known_or_first())

    def rotate(self, name: str, drop_before: float) -> Deferred[Secret]:
        now = self._clock.seconds()

        def rotate_txn(txn: Transaction) -> Secret:
            txn.execute("DELETE FROM retired_secrets WHERE name = ? AND retired_at < ?", (name, drop_before))
            txn.execute(
                "INSERT INTO retired_secrets (name, retired_at, secret, created_at)"
                " SELECT name, ?, secret, created_at FROM secrets WHERE name = ?",
                (now, name),
            )
            txn.execute("DELETE FROM secrets WHERE name = ?", (name,))
            kept = self._new(name)
            txn.execute("INSERT INTO secrets (name, secret, created_at) VALUES (?, ?, ?)", (name, kept, now))
            return Secret(self._opened(kept, name), now)

        return self._database.run("rotate secret", rotate_txn)

    def seal_anew(self) -> Deferred[int]:
        def seal_txn(txn: Transaction) -> int:
            rows = txn.rows("SELECT name, secret FROM secrets")
            stale = [(name, bytes(kept)) for name, kept in rows if not self._encryption.is_current(bytes(kept))]
            txn.execute_many(
                "UPDATE secrets SET secret = ? WHERE name = ?",
                [(self._sealed(self._opened(kept, name), name), name) for name, kept in stale],
            )
            rows = txn.rows("SELECT name, retired_at, secret FROM retired_secrets")
            retired = [
                (name, at, bytes(kept)) for name, at, kept in rows if not self._encryption.is_current(bytes(kept))
            ]
            txn.execute_many(
                "UPDATE retired_secrets SET secret = ? WHERE name = ? AND retired_at = ?",
                [(self._sealed(self._opened(kept, name), name), name, at) for name, at, kept in retired],
            )
            return len(stale) + len(retired)

        return self._database.run("seal secrets anew", seal_txn)

    def _new(self, name: str) -> bytes:
        return self._sealed(secrets.token_bytes(_OCTETS), name)

    def _sealed(self, octets: bytes, name: str) -> bytes:
        return self._encryption.sealed(octets, _PLACE, name)

    def _opened(self, kept: bytes, name: str) -> bytes:
        return self._encryption.opened(bytes(kept), _PLACE, name)
