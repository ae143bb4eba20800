"""Addresses that return paths of ours name by a token."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import Address


@implementer(IKeptPaths)
class KeptPathStore:
    """The table ``kept_paths``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, token: str, address: Address, until: float, at_least: float) -> Deferred[None]:
        def is_kept_txn(txn: Transaction) -> bool:
            return (
                txn.row("SELECT 1 FROM kept_paths WHERE token = ? AND expires_at >= ?", (token, at_least)) is not None
            )

        def keep_txn(txn: Transaction) -> None:
            txn.execute(
                "INSERT INTO kept_paths (token, local_part, domain, expires_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (token) DO UPDATE SET expires_at = excluded.expires_at"
                " WHERE kept_paths.expires_at < excluded.expires_at",
                (token, address.local_part, address.domain, until),
            )

        async def keep() -> None:
            # Who has sent once sends again, and a read costs less than a write.
            if not await self._database.read("is return path kept", is_kept_txn):
                await self._database.run("keep return path", keep_txn)

        return Deferred.fromCoroutine(keep())

    def kept(self, token: str, now: float) -> Deferred[Address | None]:
        def kept_txn(txn: Transaction) -> Address | None:
            row = txn.row("SELECT local_part, domain FROM kept_paths WHERE token = ? AND expires_at > ?", (token, now))
            return None if row is None else Address(*row)

        return self._database.read("kept return path", kept_txn)


def drop_kept_paths_txn(txn: Transaction, now: float, limit: int) -> int:
    """Drop some of those to which nothing comes back any more; how many."""
    return txn.execute(
        "DELETE FROM kept_paths WHERE token IN (SELECT token FROM kept_paths WHERE expires_at <= ? LIMIT ?)"
        " AND expires_at <= ?",
        (now, limit, now),
    )
