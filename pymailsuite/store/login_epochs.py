"""The end of login grants: a counter, and in each account's row its value at the last revocation.

The counter alone shows whether anything has changed, so that a check reads one short row however many accounts there
are. It is always incremented before the row of an account is changed, so that transactions never deadlock.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Collection, Sequence

from pymailsuite.errors import LoginEnded
from pymailsuite.interfaces.directory import LoginEpochs
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, LoginGrant


def next_epoch_txn(txn: Transaction) -> int:
    """An epoch that no account has had."""
    return int(txn.value("UPDATE counters SET value = value + 1 WHERE name = 'login_epoch' RETURNING value"))


def login_epochs_txn(txn: Transaction, account_ids: Sequence[AccountId]) -> LoginEpochs:
    """The epochs of these accounts; those that are gone or disabled have none."""
    latest = int(txn.value("SELECT value FROM counters WHERE name = 'login_epoch'"))
    return LoginEpochs(latest, _current_txn(txn, account_ids) if account_ids else {})


def check_grants_txn(txn: Transaction, grants: Collection[LoginGrant]) -> None:
    """LoginEnded if one of these grants is no longer valid."""
    current = _current_txn(txn, sorted({grant.account_id for grant in grants}))
    for grant in grants:
        if current.get(grant.account_id) != grant.epoch:
            raise LoginEnded(cause=f"login to account {grant.account_id}")


def _current_txn(txn: Transaction, account_ids: Sequence[AccountId]) -> dict[AccountId, int]:
    marks = ", ".join("?" * len(account_ids))
    return dict(
        txn.rows(
            f"SELECT account_id, login_epoch FROM accounts WHERE account_id IN ({marks}) AND enabled = 1", account_ids
        )
    )
