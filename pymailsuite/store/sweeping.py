"""Drops expired data, a bounded piece in each transaction. Functions that work inside an open transaction.

Several processes may sweep at once, and mail goes on meanwhile: rows of accounts are selected again once their accounts
are locked, other rows are locked as they are found.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pymailsuite.store.change_log import forget_blocks_txn, raise_floor_txn
from pymailsuite.store.contents import change_refs_txn
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.mailboxes import lock_account_txn
from pymailsuite.store.seen import forget_expunged_seen_txn, forget_reader_txn
from pymailsuite.store.text_index import drop_pieces_txn, forget_texts_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, ContentId, MailboxId

PIECE = 500
"""Rows dropped in one transaction, so that others do not wait long for it."""

_OF_ACCOUNTS = (
    *("changed_flags", "mailboxes", "deleted_mailboxes", "subscriptions", "change_log", "maildrop_locks"),
    *("threaded_mailboxes", "thread_links", "threads", "mailbox_rights", "mailbox_readers", "reader_seen"),
    "annotations",
    "text_accounts",
    "quota_warnings",
    "account_state",
)
_ROW_KEY = "account_id = ? AND mailbox_id = ? AND uid = ?"


def _release_txn(txn: Transaction, content_ids: list[ContentId]) -> None:
    change_refs_txn(txn, {content_id: -count for content_id, count in Counter(content_ids).items()})


def _locked_rows_txn(txn: Transaction, select: str, values: Sequence[object]) -> list[Row]:
    """Rows of a select, the first column an account: of those accounts that could be locked before, as they are now."""
    locked = lock_accounts_txn(txn, {row[0] for row in txn.rows(select, values)})
    return [row for row in txn.rows(select, values) if row[0] in locked]


def forget_expunged_txn(txn: Transaction, before: float) -> int:
    """Release the octets of messages expunged before a time; the record of the expunge stays."""
    rows = _locked_rows_txn(
        txn,
        "SELECT account_id, mailbox_id, uid, content_id FROM expunged"
        f" WHERE expunged_at < ? AND content_id IS NOT NULL ORDER BY expunged_at LIMIT {PIECE}",
        (before,),
    )
    _release_txn(txn, [row[3] for row in rows])
    forget_texts_txn(txn, rows)
    txn.execute_many(
        f"UPDATE expunged SET content_id = NULL, keywords = '', prefix = ? WHERE {_ROW_KEY}",
        [(b"", *row[:3]) for row in rows],
    )
    return len(rows)


def drop_expunge_log_txn(txn: Transaction, before: float) -> int:
    """Drop the records of expunges before a time; each mailbox notes the modseq up to which records are missing."""
    rows = _locked_rows_txn(
        txn,
        "SELECT account_id, mailbox_id, uid, modseq FROM expunged"
        f" WHERE expunged_at < ? AND content_id IS NULL ORDER BY expunged_at LIMIT {PIECE}",
        (before,),
    )
    txn.execute_many(f"DELETE FROM expunged WHERE {_ROW_KEY}", [row[:3] for row in rows])
    floors: dict[tuple[AccountId, MailboxId], int] = {}
    uids: dict[tuple[AccountId, MailboxId], list[int]] = {}
    for account_id, mailbox_id, uid, modseq in rows:
        key = (account_id, mailbox_id)
        floors[key] = max(modseq, floors.get(key, 0))
        uids.setdefault(key, []).append(uid)
    txn.execute_many(
        "UPDATE mailboxes SET expunge_floor = ? WHERE account_id = ? AND mailbox_id = ? AND expunge_floor < ?",
        [(floor, *key, floor) for key, floor in sorted(floors.items())],
    )
    for key, gone in uids.items():
        forget_blocks_txn(txn, *key, gone)
        forget_expunged_seen_txn(txn, *key, gone)
    return len(rows)


def drop_change_log_txn(txn: Transaction, before: float) -> int:
    """Drop the records of changes to mailboxes and subscriptions before a time."""
    rows = _locked_rows_txn(
        txn,
        "SELECT account_id, modseq, mailbox_id, name FROM change_log"
        f" WHERE logged_at < ? ORDER BY logged_at LIMIT {PIECE}",
        (before,),
    )
    txn.execute_many("DELETE FROM change_log WHERE account_id = ? AND modseq = ? AND mailbox_id = ? AND name = ?", rows)
    floors: dict[AccountId, int] = {}
    for account_id, modseq, *_ in rows:
        floors[account_id] = max(modseq, floors.get(account_id, 0))
    for account_id, floor in sorted(floors.items()):
        raise_floor_txn(txn, account_id, floor)
    return len(rows)


def drop_deleted_mailbox_txn(txn: Transaction, before: float) -> int:
    """Drop a mailbox deleted before a time, once none of its messages can be undeleted."""
    row = txn.row(
        "SELECT account_id, mailbox_id FROM deleted_mailboxes d WHERE deleted_at < ? AND NOT EXISTS"
        " (SELECT 1 FROM expunged e WHERE e.account_id = d.account_id AND e.mailbox_id = d.mailbox_id"
        " AND e.content_id IS NOT NULL) LIMIT 1",
        (before,),
    )
    if row is None:
        return 0
    lock_account_txn(txn, row[0])
    for table in ("expunged", "deleted_mailboxes", "text_words", "text_pieces"):
        txn.execute(f"DELETE FROM {table} WHERE account_id = ? AND mailbox_id = ?", row)
    return 1


def drop_account_mail_txn(txn: Transaction, before: float) -> tuple[int, int]:
    """Drop some messages of an account removed before a time, or finally the account; returns the number of each."""
    row = txn.row(f"SELECT account_id FROM account_state WHERE removed_at < ? LIMIT 1{txn.for_update}", (before,))
    if row is None:
        return 0, 0
    (account_id,) = row
    drop_pieces_txn(txn, "account_id = ?", (account_id,))
    for table in ("messages", "expunged"):
        rows: list[Row] = txn.rows(
            f"SELECT account_id, mailbox_id, uid, content_id FROM {table} WHERE account_id = ? LIMIT {PIECE}",
            (account_id,),
        )
        if rows:
            _release_txn(txn, [row[3] for row in rows if row[3] is not None])
            txn.execute_many(f"DELETE FROM {table} WHERE {_ROW_KEY}", [row[:3] for row in rows])
            return len(rows), 0
    forget_reader_txn(txn, account_id)
    while drop_pieces_txn(txn, "account_id = ?", (account_id,)):
        pass
    for table in _OF_ACCOUNTS:
        txn.execute(f"DELETE FROM {table} WHERE account_id = ?", (account_id,))
    return 0, 1


def drop_contents_txn(txn: Transaction) -> int:
    """Drop contents nothing refers to."""
    rows = txn.rows(f"SELECT content_id FROM contents WHERE refs = 0 LIMIT {PIECE}{txn.skip_locked}")
    for table in ("content_chunks", "content_headers", "contents"):
        txn.execute_many(f"DELETE FROM {table} WHERE content_id = ?", rows)
    return len(rows)


def drop_staged_txn(txn: Transaction, before: float) -> int:
    """Drop octets that came before a time and never became a message."""
    # Locked, so that none of them becomes a message after all.
    rows = txn.rows(
        f"SELECT content_id FROM staged_contents WHERE created_at < ? LIMIT {PIECE}{txn.skip_locked}", (before,)
    )
    for table in ("content_chunks", "staged_contents"):
        txn.execute_many(f"DELETE FROM {table} WHERE content_id = ?", rows)
    return len(rows)
