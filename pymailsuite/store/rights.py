"""Rows of rights: who may do what with mailboxes of others. Functions that work inside an open transaction.

The rights of an account are those of all entries that stand for it, less those of the negative ones. An owner has all
rights and no entry. Whoever changes entries, or who stands for a group, locks the accounts concerned, as everybody does
who changes their mail: what a transaction finds permitted stays permitted until its commit.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymailsuite.errors import MailError, NoPermission, NoSuchMailbox
from pymailsuite.interfaces.rights import ALL_RIGHTS, NO_RIGHTS, Right, Rights
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, MailboxId

_STANDS_FOR: Final = "(r.grantee IN (0, ?) OR r.grantee IN (SELECT -group_id FROM group_members WHERE member_id = ?))"


def _combined(rows: Iterable[tuple[int, str]]) -> Rights:
    """The rights that entries give together, each (negative, rights)."""
    given = taken = NO_RIGHTS
    for negative, letters in rows:
        rights = Rights.parse(letters)
        if negative:
            taken |= rights
        else:
            given |= rights
    return given - taken


# --- what somebody may do


def rights_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, user_id: AccountId) -> Rights:
    """The rights of a user to a mailbox; none to one that is not there."""
    if user_id == account_id:
        return ALL_RIGHTS
    rows = txn.rows(
        "SELECT r.negative, r.rights FROM mailbox_rights r"
        f" WHERE r.account_id = ? AND r.mailbox_id = ? AND {_STANDS_FOR}",
        (account_id, mailbox_id, user_id, user_id),
    )
    return _combined((negative, letters) for negative, letters in rows)


def takes_post_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> bool:
    """Whether mail that names a mailbox in its address goes there. Whose account it is gets it as the settings say;
    that of a shared account is for those who have been given the right, and who sends mail from elsewhere is nobody in
    particular."""
    if txn.row("SELECT 1 FROM accounts WHERE account_id = ? AND shared = 1", (account_id,)) is None:
        return True
    rows = txn.rows(
        "SELECT negative, rights FROM mailbox_rights WHERE account_id = ? AND mailbox_id = ? AND grantee = 0",
        (account_id, mailbox_id),
    )
    return Right.POST in _combined((negative, letters) for negative, letters in rows)


def all_rights_txn(txn: Transaction, account_id: AccountId, user_id: AccountId) -> dict[MailboxId, Rights]:
    """The rights of a user to all mailboxes of another account, without those to which there are none."""
    rows: dict[MailboxId, list[tuple[int, str]]] = {}
    for mailbox_id, negative, letters in txn.rows(
        f"SELECT r.mailbox_id, r.negative, r.rights FROM mailbox_rights r WHERE r.account_id = ? AND {_STANDS_FOR}",
        (account_id, user_id, user_id),
    ):
        rows.setdefault(MailboxId(mailbox_id), []).append((negative, letters))
    found = {mailbox_id: _combined(some) for mailbox_id, some in rows.items()}
    return {mailbox_id: rights for mailbox_id, rights in found.items() if rights}


def rights_everywhere_txn(txn: Transaction, user_id: AccountId) -> dict[tuple[AccountId, MailboxId], Rights]:
    """The same for the mailboxes of all other accounts."""
    select = "SELECT r.account_id, r.mailbox_id, r.negative, r.rights FROM mailbox_rights r WHERE r.grantee"
    rows: dict[tuple[AccountId, MailboxId], list[tuple[int, str]]] = {}
    # Two selects: with OR between them no index would be used.
    for account_id, mailbox_id, negative, letters in txn.rows(
        f"{select} IN (0, ?) UNION ALL {select} IN (SELECT -group_id FROM group_members WHERE member_id = ?)",
        (user_id, user_id),
    ):
        if account_id != user_id:
            rows.setdefault((AccountId(account_id), MailboxId(mailbox_id)), []).append((negative, letters))
    found = {key: _combined(some) for key, some in rows.items()}
    return {key: rights for key, rights in found.items() if rights}


def check(rights: Rights, *needed: Right) -> None:
    """NoPermission if one of these is missing; NoSuchMailbox if the right to know of the mailbox is missing too."""
    if not rights.rights.issuperset(needed):
        raise refusal(rights)


def refusal(rights: Rights) -> MailError:
    """The error for somebody with too few rights."""
    return NoPermission() if Right.LOOKUP in rights else NoSuchMailbox()


# --- mailboxes that come and go


def inherit_rights_txn(txn: Transaction, account_id: AccountId, above: str, mailbox_id: MailboxId) -> None:
    """Give a mailbox that was just made the rights that are set for the one above it, a name. Source: RFC 4314 §4."""
    txn.execute(
        "INSERT INTO mailbox_rights (account_id, mailbox_id, grantee, negative, rights)"
        " SELECT r.account_id, CAST(? AS BIGINT), r.grantee, r.negative, r.rights FROM mailboxes m"
        " JOIN mailbox_rights r ON r.account_id = m.account_id AND r.mailbox_id = m.mailbox_id"
        " WHERE m.account_id = ? AND m.name = ?",
        (mailbox_id, account_id, above),
    )


def pass_rights_txn(txn: Transaction, account_id: AccountId, old: MailboxId, new: MailboxId) -> None:
    """A mailbox takes the place of another of its name: the rights are those of the name."""
    forget_rights_txn(txn, account_id, new)
    txn.execute(
        "UPDATE mailbox_rights SET mailbox_id = ? WHERE account_id = ? AND mailbox_id = ?", (new, account_id, old)
    )


def forget_rights_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> None:
    """Drop all rights to a mailbox."""
    txn.execute("DELETE FROM mailbox_rights WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id))
