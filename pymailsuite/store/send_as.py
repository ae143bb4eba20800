"""The addresses that accounts may send as beside their own addresses and aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.errors import AlreadyExists, NoSuchAccount, NoSuchEntry
from pymailsuite.interfaces.send_as import ISendAsStore, SendAsGrant
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId

_GRANTS: Final = "FROM send_as_grants g JOIN accounts a ON a.account_id = g.account_id"


@implementer(ISendAsStore)
class SendAsStore:
    """The table ``send_as_grants``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def grant(self, account_id: AccountId, grant: SendAsGrant) -> Deferred[None]:
        def grant_txn(txn: Transaction) -> None:
            # A transaction that removes the account meanwhile waits, and removes the grant too.
            found = txn.row(f"SELECT 1 FROM accounts WHERE account_id = ?{txn.for_update}", (account_id,))  # noqa: S608
            if found is None:
                raise NoSuchAccount(cause=f"account {account_id}")
            if not txn.execute(
                "INSERT INTO send_as_grants (account_id, domain, local_part) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (account_id, grant.domain, grant.local_part),
            ):
                raise AlreadyExists(f"It may send as {grant} already")

        return self._database.run("grant send-as", grant_txn)

    def revoke(self, account_id: AccountId, grant: SendAsGrant) -> Deferred[None]:
        def revoke_txn(txn: Transaction) -> None:
            if not txn.execute(
                "DELETE FROM send_as_grants WHERE account_id = ? AND domain = ? AND local_part = ?",
                (account_id, grant.domain, grant.local_part),
            ):
                raise NoSuchEntry(f"There is no grant to send as {grant}")

        return self._database.run("revoke send-as", revoke_txn)

    def grants_of(self, login_name: str) -> Deferred[Sequence[SendAsGrant]]:
        def grants_txn(txn: Transaction) -> list[SendAsGrant]:
            rows = txn.rows(
                f"SELECT g.domain, g.local_part {_GRANTS} WHERE a.login_name = ? ORDER BY 1, 2",
                (login_name.lower(),),
            )
            return [SendAsGrant(domain, local_part) for domain, local_part in rows]

        return self._database.read("send-as grants", grants_txn)

    def all_grants(self) -> Deferred[Sequence[tuple[str, SendAsGrant]]]:
        def grants_txn(txn: Transaction) -> list[tuple[str, SendAsGrant]]:
            rows = txn.rows(f"SELECT a.login_name, g.domain, g.local_part {_GRANTS} ORDER BY 1, 2, 3")
            return [(login_name, SendAsGrant(domain, local_part)) for login_name, domain, local_part in rows]

        return self._database.read("all send-as grants", grants_txn)
