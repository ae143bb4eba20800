"""The modseqs of accounts, whichever process has changed them."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred

from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, ModSeq


def read_modseqs(database: Database, account_ids: Sequence[AccountId]) -> Deferred[Mapping[AccountId, ModSeq]]:
    """The modseq of each account that exists."""

    def modseqs_txn(txn: Transaction) -> Mapping[AccountId, ModSeq]:
        marks = ", ".join("?" * len(account_ids))
        return dict(
            txn.rows(f"SELECT account_id, modseq FROM account_state WHERE account_id IN ({marks})", account_ids)
        )

    return database.read("modseqs", modseqs_txn)
