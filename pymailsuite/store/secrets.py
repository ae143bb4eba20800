"""Secrets that all nodes share. Their octets are in no message, log or error of this room."""

from __future__ import annotations

import secrets
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction

_OCTETS: Final = 32


@implementer(ISecretStore)
class SecretStore:
    """The table ``secrets``."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock

    def secret(self, name: str) -> Deferred[bytes]:
        now = self._clock.seconds()

        def secret_txn(txn: Transaction) -> bytes:
            # Of several nodes that ask at the same time the first one's stays.
            txn.execute(
                "INSERT INTO secrets (name, secret, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (name, secrets.token_bytes(_OCTETS), now),
            )
            return bytes(txn.value("SELECT secret FROM secrets WHERE name = ?", (name,)))

        return self._database.run("secret", secret_txn)
