"""Copies and moves of messages between accounts, or within one by somebody else. Inside an open transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pymailsuite.interfaces.mail import Copied
from pymailsuite.interfaces.rights import Right, Rights
from pymailsuite.store.acl import permitted_mailbox_txn
from pymailsuite.store.limits import UserLimits
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.mailboxes import advance_txn, open_mailbox_txn
from pymailsuite.store.messages import (
    Settable,
    insert_copies_txn,
    refer_again_txn,
    rows_to_copy_txn,
    take_away_txn,
)
from pymailsuite.store.rights import check, rights_txn
from pymailsuite.store.seen import as_seen, set_seen_txn, states_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, MailboxId, ModSeq, SystemFlag, Uid, UidSet

_SEEN: Final = int(SystemFlag.SEEN)


def settable_flags(rights: Rights) -> Settable:
    r"""The flags that rights let a user set for all who use the mailbox of another; ``\Seen`` is apart."""
    bits = 0
    if Right.WRITE in rights:
        bits |= SystemFlag.ANSWERED | SystemFlag.FLAGGED | SystemFlag.DRAFT
    if Right.DELETE_MESSAGES in rights:
        bits |= SystemFlag.DELETED
    return Settable(int(bits), Right.WRITE in rights)


def transfer_txn(
    txn: Transaction,
    by: AccountId,
    source: tuple[AccountId, MailboxId, UidSet],
    target: tuple[AccountId, str],
    now: float,
    limits: UserLimits,
    *,
    moves: bool,
) -> Copied:
    """Copy messages into a mailbox, or move them. See :meth:`IMailSharing.copy`."""
    source_id, mailbox_id, uids = source
    target_id, name = target
    lock_accounts_txn(txn, [source_id, target_id])
    modseqs = {account_id: advance_txn(txn, account_id) for account_id in sorted({source_id, target_id})}
    needed = (Right.READ, Right.DELETE_MESSAGES, Right.EXPUNGE) if moves else (Right.READ,)
    check(rights_txn(txn, source_id, mailbox_id, by), *needed)
    mailbox, rights = permitted_mailbox_txn(txn, target_id, name, by, Right.INSERT)
    open_mailbox_txn(txn, target_id, name)
    found = rows_to_copy_txn(txn, source_id, mailbox_id, uids)
    rows = found
    if source_id != by:
        rows = as_seen(found, states_txn(txn, (source_id, mailbox_id, by), uids), 0, 1, None)
    given = rows if target_id == by else _for_another(rows, settable_flags(rights))
    copied = insert_copies_txn(txn, target_id, mailbox, given, modseqs[target_id], now)
    if copied.target:
        limits.check_copied_keywords_txn(txn, target_id, mailbox.name, copied.target[0], copied.target[-1])
    if moves:
        take_away_txn(txn, source_id, mailbox_id, found, modseqs[source_id], now)
    else:
        refer_again_txn(txn, found)
    if target_id != by and Right.KEEP_SEEN in rights:
        # After what was moved within a mailbox has gone: it is to be forgotten at this modseq.
        seen = [uid for uid, row in zip(copied.target, rows, strict=True) if row[1] & _SEEN]
        keep_seen_txn(txn, target_id, mailbox.mailbox_id, by, seen, modseqs[target_id])
    if copied.target:
        # They count for whose mailbox they are in now.
        moved_from = mailbox_id if moves and source_id == target_id else None
        limits.quotas.check_put_txn(txn, target_id, mailbox.name, copied.target[0], copied.target[-1], moved_from)
    return copied


def _for_another(rows: Sequence[Row], settable: Settable) -> list[Row]:
    """Rows with the flags that may be set in the mailbox of another."""
    return [(row[0], row[1] & settable.bits, row[2] if settable.keywords else "", *row[3:]) for row in rows]


def keep_seen_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, by: AccountId, uids: Sequence[Uid], modseq: ModSeq
) -> None:
    r"""Give messages that came just now the ``\Seen`` of somebody else than the owner."""
    if uids:
        set_seen_txn(txn, (account_id, mailbox_id, by), UidSet.of(uids), True, modseq)
