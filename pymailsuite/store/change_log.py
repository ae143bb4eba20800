"""The records of changes, by which later queries find them by index. Functions that work inside an open transaction.

The rows of ``messages`` and ``expunged`` record arrivals, changes and expunges of messages, with ascending modseqs:
arrivals ascend with their UIDs, expunges have an index. Flags change anywhere in a mailbox, so a change of flags writes
a row for each block of UIDs it touched: an index of all messages by modseq would cost every delivery more than it saves
watching sessions. A change of a mailbox, of the rights to it or of a subscription writes a row in ``change_log``.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, MailboxId, ModSeq, UidSet

BLOCK: Final = 64
"""UIDs of a block: so many messages are read to find one change of flags; a STORE of n consecutive messages writes n /
64 rows."""

CREATED: Final = "created"
RENAMED: Final = "renamed"
DELETED: Final = "deleted"
SUBSCRIBED: Final = "subscribed"
UNSUBSCRIBED: Final = "unsubscribed"
RIGHTS: Final = "rights"
ANNOTATED: Final = "annotated"

_NO_MAILBOX: Final = MailboxId(0)


def log_mailboxes_txn(
    txn: Transaction,
    account_id: AccountId,
    modseq: ModSeq,
    kind: str,
    mailboxes: Iterable[tuple[MailboxId, str]],
    now: float,
) -> None:
    """Log that mailboxes, each an id and a name, were created, renamed (from that name) or deleted, or that the rights
    to them or their annotations have changed."""
    txn.insert(
        "change_log",
        "account_id, modseq, mailbox_id, name, kind, logged_at",
        [(account_id, modseq, mailbox_id, name, kind, now) for mailbox_id, name in mailboxes],
    )


def log_subscriptions_txn(
    txn: Transaction, account_id: AccountId, modseq: ModSeq, kind: str, names: Iterable[str], now: float
) -> None:
    """Log that names were subscribed or unsubscribed."""
    log_mailboxes_txn(txn, account_id, modseq, kind, [(_NO_MAILBOX, name) for name in names], now)


def note_flags_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, modseq: ModSeq, changed: Sequence[UidSet]
) -> None:
    """Record that flags of these messages have changed, at this modseq."""
    blocks: set[int] = set()
    for uids in changed:
        for low, high in uids.ranges:
            blocks.update(range(low // BLOCK, high // BLOCK + 1))
    txn.insert(
        "changed_flags",
        "account_id, mailbox_id, block, modseq",
        [(account_id, mailbox_id, block, modseq) for block in sorted(blocks)],
        on_conflict="(account_id, mailbox_id, block) DO UPDATE SET modseq = excluded.modseq",
    )


def forget_flags_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> None:
    """Drop the blocks of a deleted mailbox."""
    txn.execute("DELETE FROM changed_flags WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id))


def forget_blocks_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: Iterable[int]) -> None:
    """Drop the blocks of ``uids``, whose expunge records are gone, if no message and no expunge record is left in
    them."""
    nobody = " AND NOT EXISTS (SELECT 1 FROM {} WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ?)"
    txn.execute_many(
        "DELETE FROM changed_flags WHERE account_id = ? AND mailbox_id = ? AND block = ?"
        f"{nobody.format('messages')}{nobody.format('expunged')}",
        [
            (account_id, mailbox_id, block, *(account_id, mailbox_id, block * BLOCK, block * BLOCK + BLOCK - 1) * 2)
            for block in sorted({uid // BLOCK for uid in uids})
        ],
    )


def raise_floor_txn(txn: Transaction, account_id: AccountId, modseq: int) -> None:
    """Note that rows of ``change_log`` are missing up to a modseq."""
    txn.execute(
        "UPDATE account_state SET change_floor = ? WHERE account_id = ? AND change_floor < ?",
        (modseq, account_id, modseq),
    )


def trim_log_txn(txn: Transaction, account_id: AccountId, most: int) -> None:
    """Keep no more than the newest rows of ``change_log``, ``most`` or a little less."""
    oldest = txn.row(
        "SELECT modseq FROM change_log WHERE account_id = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?",
        (account_id, most),
    )
    if oldest is not None:
        txn.execute("DELETE FROM change_log WHERE account_id = ? AND modseq <= ?", (account_id, oldest[0]))
        raise_floor_txn(txn, account_id, oldest[0])
