"""Addresses that the server's return paths name by a token."""

from __future__ import annotations

import math
from typing import Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.store.database import Database
from pymailsuite.store.state import put_txn, values_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import Address

_NAMESPACE: Final = "return_path"


@implementer(IKeptPaths)
class KeptPathStore:
    """State by token, the address as octets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, token: str, address: Address, until: float, at_least: float) -> Deferred[None]:
        key = _NAMESPACE, token

        def is_kept_txn(txn: Transaction) -> bool:
            # A row kept until exactly that moment is enough.
            return key in values_txn(txn, [key], math.nextafter(at_least, 0.0))

        def keep_txn(txn: Transaction) -> None:
            put_txn(txn, [(*key, f"{address.local_part}@{address.domain}".encode(), until)], no_sooner=True)

        async def keep() -> None:
            # Senders send again, and a read costs less than a write.
            if not await self._database.read("is return path kept", is_kept_txn):
                await self._database.run("keep return path", keep_txn)

        return Deferred.fromCoroutine(keep())

    def kept(self, token: str, now: float) -> Deferred[Address | None]:
        key = _NAMESPACE, token

        def kept_txn(txn: Transaction) -> Address | None:
            value = values_txn(txn, [key], now).get(key)
            if value is None:
                return None
            local_part, _, domain = value.decode().rpartition("@")
            return Address(local_part, domain)

        return self._database.read("kept return path", kept_txn)
