"""Locks on accounts, always taken in the same order."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Collection

from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId


def lock_accounts_txn(txn: Transaction, account_ids: Collection[AccountId]) -> frozenset[AccountId]:
    """Lock accounts against other transactions until the commit; returns the locked ones.

    A function that changes the mail of several accounts calls this first, with all of them.
    """
    wanted = sorted(set(account_ids) - txn.locked)
    if wanted and txn.for_update:
        length = 1 << (len(wanted) - 1).bit_length()
        txn.send(
            f"SELECT account_id FROM account_state WHERE account_id IN ({', '.join('?' * length)})"
            f" ORDER BY account_id{txn.for_update}",
            [*wanted, *[wanted[-1]] * (length - len(wanted))],
        )
    return txn.locked | frozenset(wanted)
