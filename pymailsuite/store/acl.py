"""Access control lists: the entries of a mailbox, as users and operators see and change them.

Functions that work inside an open transaction. What stands for somebody, an account or a group, is locked before the
accounts whose mailboxes it has rights to.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import LimitReached, Refusal
from pymailsuite.interfaces.mail import Mailbox
from pymailsuite.interfaces.rights import ALL_RIGHTS, NO_RIGHTS, Right, Rights
from pymailsuite.interfaces.sharing import ANYONE, OWNER, AclEntry, Identifier, IdentifierKind, RightsChange
from pymailsuite.store.change_log import RIGHTS, log_mailboxes_txn
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.mailboxes import advance_txn, mailbox_txn
from pymailsuite.store.rights import check, rights_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, MailboxId

_ANYONE: Final = 0


def permitted_mailbox_txn(
    txn: Transaction, account_id: AccountId, name: str, user_id: AccountId | None, *needed: Right
) -> tuple[Mailbox, Rights]:
    """A mailbox by its name, and the rights of a user to it; None is an operator. Errors as of :func:`check`."""
    mailbox = mailbox_txn(txn, account_id, name)
    rights = ALL_RIGHTS if user_id is None else rights_txn(txn, account_id, mailbox.mailbox_id, user_id)
    check(rights, *needed)
    return mailbox, rights


# --- entries


def entries_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> list[AclEntry]:
    """The entries of a mailbox: that of the owner first, then by identifier."""
    rows = txn.rows(
        "SELECT r.grantee, r.negative, r.rights, a.login_name, g.name FROM mailbox_rights r"
        " LEFT JOIN accounts a ON a.account_id = r.grantee LEFT JOIN account_groups g ON g.group_id = -r.grantee"
        " WHERE r.account_id = ? AND r.mailbox_id = ?",
        (account_id, mailbox_id),
    )
    found = [
        AclEntry(identifier, Rights.parse(letters), bool(negative))
        for grantee, negative, letters, login_name, group in rows
        if (identifier := _identifier(grantee, login_name, group)) is not None
    ]
    found.sort(key=lambda entry: (str(entry.identifier), entry.negative))
    is_shared = txn.row("SELECT 1 FROM accounts WHERE account_id = ? AND shared = 1", (account_id,)) is not None
    return found if is_shared else [AclEntry(OWNER, ALL_RIGHTS), *found]


def _identifier(grantee: int, login_name: str | None, group: str | None) -> Identifier | None:
    if grantee == _ANYONE:
        return ANYONE
    if login_name is not None:
        return Identifier(IdentifierKind.USER, login_name)
    return None if group is None else Identifier(IdentifierKind.GROUP, group)


def _grantee_txn(txn: Transaction, identifier: Identifier) -> int | None:
    """The number for an identifier; None if it stands for nobody. What it stands for is locked: a transaction that
    removes it meanwhile waits, and removes the entry too."""
    if identifier == ANYONE:
        return _ANYONE
    if identifier.kind is IdentifierKind.GROUP:
        sql = f"SELECT -group_id FROM account_groups WHERE name = ?{txn.for_update}"
    else:
        sql = f"SELECT account_id FROM accounts WHERE login_name = ?{txn.for_update}"
    row = txn.row(sql, (identifier.name,))
    return None if row is None else int(row[0])


def change_entry_txn(
    txn: Transaction,
    account_id: AccountId,
    name: str,
    by: AccountId | None,
    entry: AclEntry,
    change: RightsChange,
    now: float,
    settings: StoreSection,
) -> None:
    """See :meth:`IMailSharing.set_rights`."""
    grantee = _grantee_txn(txn, entry.identifier)
    lock_accounts_txn(txn, [account_id])
    mailbox, _ = permitted_mailbox_txn(txn, account_id, name, by, Right.ADMINISTER)
    if entry.identifier == OWNER or grantee == account_id:
        raise Refusal("The owner always has all rights")
    if grantee is None:
        raise Refusal(f"There is no {entry.identifier}")
    is_given = bool(entry.rights) and change is not RightsChange.REMOVE and not entry.negative
    if entry.identifier == ANYONE and is_given and by is not None and not settings.share_with_anyone:
        raise Refusal("Only the administrator shares mailboxes with anyone")
    key = (account_id, mailbox.mailbox_id, grantee, int(entry.negative))
    where = "account_id = ? AND mailbox_id = ? AND grantee = ? AND negative = ?"
    row = txn.row(f"SELECT rights FROM mailbox_rights WHERE {where}", key)
    old = NO_RIGHTS if row is None else Rights.parse(row[0])
    if change is RightsChange.ADD:
        new = old | entry.rights
    elif change is RightsChange.REMOVE:
        new = old - entry.rights
    else:
        new = entry.rights
    if new == old:
        return
    if not new:
        txn.execute(f"DELETE FROM mailbox_rights WHERE {where}", key)
    else:
        txn.insert(
            "mailbox_rights",
            "account_id, mailbox_id, grantee, negative, rights",
            [(*key, str(new))],
            on_conflict="(account_id, mailbox_id, grantee, negative) DO UPDATE SET rights = excluded.rights",
        )
        count = "SELECT COUNT(*) FROM mailbox_rights WHERE account_id = ? AND mailbox_id = ?"
        if txn.value(count, (account_id, mailbox.mailbox_id)) > settings.mailbox_rights:
            raise LimitReached("Too many entries in the access control list")
    _note_txn(txn, account_id, [(mailbox.mailbox_id, mailbox.name)], now)


def _note_txn(txn: Transaction, account_id: AccountId, mailboxes: Iterable[tuple[MailboxId, str]], now: float) -> None:
    """Tell whoever watches the account that rights to its mailboxes have changed."""
    modseq = advance_txn(txn, account_id)
    log_mailboxes_txn(txn, account_id, modseq, RIGHTS, mailboxes, now)
    txn.announce(account_id, modseq)


# --- groups, and accounts that go


def note_group_txn(txn: Transaction, group_id: int, now: float) -> None:
    """A group, which is locked, is about to stand for others: tell the accounts whose mailboxes it has rights to."""
    select = (
        "SELECT r.account_id, r.mailbox_id, m.name FROM mailbox_rights r JOIN mailboxes m"
        " ON m.account_id = r.account_id AND m.mailbox_id = r.mailbox_id WHERE r.grantee = ? ORDER BY 1, 2"
    )
    lock_accounts_txn(txn, {row[0] for row in txn.rows(select, (-group_id,))})
    by_account: dict[AccountId, list[tuple[MailboxId, str]]] = {}
    for account_id, mailbox_id, name in txn.rows(select, (-group_id,)):
        by_account.setdefault(account_id, []).append((mailbox_id, name))
    for account_id, mailboxes in by_account.items():
        _note_txn(txn, account_id, mailboxes, now)


def forget_grantee_txn(txn: Transaction, grantee: int) -> None:
    """Drop all that an account, or with the other sign a group, was given."""
    txn.execute("DELETE FROM mailbox_rights WHERE grantee = ?", (grantee,))


def forget_account_txn(txn: Transaction, account_id: AccountId) -> None:
    """An account is about to go: nobody has rights to its mailboxes any more, and it has none to those of others."""
    forget_grantee_txn(txn, account_id)
    txn.execute("DELETE FROM group_members WHERE member_id = ?", (account_id,))
    txn.execute("DELETE FROM annotations WHERE user_id = ? AND account_id <> ?", (account_id, account_id))
    if txn.execute("DELETE FROM mailbox_rights WHERE account_id = ?", (account_id,)):
        txn.announce(account_id, advance_txn(txn, account_id))
