"""Private keys of domains. Their octets are in no message, log or error of this room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.errors import AlreadyExists, NoSuchEntry
from pymailsuite.interfaces.keys import IKeyStore, StoredKey
from pymailsuite.store.database import Database
from pymailsuite.store.encryption import Encryption
from pymailsuite.store.transaction import Row, Transaction

_PLACE: Final = "signing_keys"
_KEY: Final = "SELECT domain, selector, private_key, created_at, active_from, active_until FROM signing_keys"


@implementer(IKeyStore)
class KeyStore:
    """The table ``signing_keys``. Domains and selectors are in lower case."""

    def __init__(self, database: Database, encryption: Encryption) -> None:
        self._database = database
        self._encryption = encryption

    def add(self, key: StoredKey) -> Deferred[None]:
        kept = self._encryption.sealed(key.private_key, _PLACE, key.domain, key.selector)
        values = (key.domain, key.selector, kept, key.created_at, key.active_from, key.active_until)

        def add_txn(txn: Transaction) -> None:
            if not txn.execute(
                "INSERT INTO signing_keys (domain, selector, private_key, created_at, active_from, active_until)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                values,
            ):
                raise AlreadyExists(cause=f"key {key.selector} of {key.domain}")

        return self._database.run("add key", add_txn)

    def keys(self, domains: Collection[str] | None = None) -> Deferred[Sequence[StoredKey]]:
        def keys_txn(txn: Transaction) -> list[StoredKey]:
            if domains is None:
                return [self._stored(row) for row in txn.rows(_KEY + " ORDER BY domain, selector")]
            found = []
            for domain in sorted(set(domains)):
                rows = txn.rows(_KEY + " WHERE domain = ? ORDER BY selector", (domain,))
                found += [self._stored(row) for row in rows]
            return found

        return self._database.read("keys", keys_txn)

    def are_there_any(self) -> Deferred[bool]:
        def any_txn(txn: Transaction) -> bool:
            return txn.row("SELECT 1 FROM signing_keys LIMIT 1") is not None

        return self._database.read("any key", any_txn)

    def set_period(
        self, domain: str, selector: str, active_from: float | None, active_until: float | None
    ) -> Deferred[StoredKey]:
        def set_txn(txn: Transaction) -> StoredKey:
            txn.execute(
                "UPDATE signing_keys SET active_from = ?, active_until = ? WHERE domain = ? AND selector = ?",
                (active_from, active_until, domain, selector),
            )
            return self._key_txn(txn, domain, selector)

        return self._database.run("set key period", set_txn)

    def activate(self, domain: str, selector: str, others: Collection[str], now: float) -> Deferred[StoredKey]:
        def activate_txn(txn: Transaction) -> StoredKey:
            txn.execute(
                "UPDATE signing_keys SET active_from = ?, active_until = NULL WHERE domain = ? AND selector = ?",
                (now, domain, selector),
            )
            activated = self._key_txn(txn, domain, selector)
            for other in others:
                txn.execute(
                    "UPDATE signing_keys SET active_until = ? WHERE domain = ? AND selector = ?"
                    " AND active_from IS NOT NULL AND (active_until IS NULL OR active_until > ?)",
                    (now, domain, other, now),
                )
            return activated

        return self._database.run("activate key", activate_txn)

    def remove(self, domain: str, selector: str) -> Deferred[None]:
        def remove_txn(txn: Transaction) -> None:
            if not txn.execute("DELETE FROM signing_keys WHERE domain = ? AND selector = ?", (domain, selector)):
                raise NoSuchEntry(cause=f"key {selector} of {domain}")

        return self._database.run("remove key", remove_txn)

    def seal_anew(self) -> Deferred[int]:
        encryption = self._encryption

        def seal_txn(txn: Transaction) -> int:
            rows = txn.rows("SELECT domain, selector, private_key FROM signing_keys")
            stale = [(*name, bytes(kept)) for *name, kept in rows if not encryption.is_current(bytes(kept))]
            changed = []
            for domain, selector, kept in stale:
                place = (_PLACE, domain, selector)
                changed.append((encryption.sealed(encryption.opened(kept, *place), *place), domain, selector))
            txn.execute_many("UPDATE signing_keys SET private_key = ? WHERE domain = ? AND selector = ?", changed)
            return len(changed)

        return self._database.run("seal keys anew", seal_txn)

    def _stored(self, row: Row) -> StoredKey:
        domain, selector, kept, created_at, active_from, active_until = row
        private_key = self._encryption.opened(bytes(kept), _PLACE, domain, selector)
        return StoredKey(domain, selector, private_key, created_at, active_from, active_until)

    def _key_txn(self, txn: Transaction, domain: str, selector: str) -> StoredKey:
        row = txn.row(_KEY + " WHERE domain = ? AND selector = ?", (domain, selector))
        if row is None:
            raise NoSuchEntry(cause=f"key {selector} of {domain}")
        return self._stored(row)
