"""The changes to an account and its mailboxes since a modseq. Functions that work inside an open transaction.

The cost of these queries depends on the number of changes, not on the size of the mailbox;
:mod:`pymailsuite.store.change_log` describes the records they use. For an account they read the rows of its mailboxes,
25,000 at most (``store.account_mailboxes``): each delivery would have to update an index of them by modseq.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from pymailsuite.errors import NoSuchAccount
from pymailsuite.interfaces.mail import AccountChanges, ChangedMailbox, MailboxChanges
from pymailsuite.store.change_log import ANNOTATED, BLOCK, CREATED, DELETED, RIGHTS, SUBSCRIBED, UNSUBSCRIBED
from pymailsuite.store.mailboxes import MAILBOX_COLUMNS, mailbox_of_row
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import ALL_UIDS, UID_MAX, AccountId, MailboxId, ModSeq, Uid, UidSet

FLAG_COLUMNS: Final = "uid, system_flags, keywords, modseq"

PAGE_OCTETS: Final = 256 * 1024
"""Octets of names in a result about an account, more only where one command changed more."""

# The modseqs of arrivals ascend with UIDs: every message above the last one that is not new is new.
_LAST_OLD = (
    "SELECT e.uid FROM messages e WHERE e.account_id = {} AND e.mailbox_id = {} AND e.uid >= {} AND e.uid < {}"
    " AND COALESCE(e.arrival_modseq, e.modseq) <= ? ORDER BY e.uid DESC LIMIT 1"
)
_FIRST_STEP: Final = 64
_STEPS_GROW: Final = 16
_MAILBOX = (
    "SELECT a.modseq, m.highest_modseq, m.altered_modseq, m.expunge_floor, a.flags_floor, m.name, m.uid_next,"
    " CASE WHEN m.highest_modseq > ? THEN"
    f" ({_LAST_OLD.format('a.account_id', 'm.mailbox_id', f'm.uid_next - {_FIRST_STEP}', 'm.uid_next')}) END"
    " FROM account_state a LEFT JOIN mailboxes m ON m.account_id = a.account_id AND m.mailbox_id = ?"
    " WHERE a.account_id = ?"
)
_TRACES = (
    "SELECT 1, block FROM changed_flags WHERE account_id = ? AND mailbox_id = ? AND modseq > ? UNION ALL"
    " SELECT 0, uid FROM expunged WHERE account_id = ? AND mailbox_id = ? AND modseq > ?"
)
_RANGES_A_STATEMENT: Final = 16


def mailbox_changes_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, since: ModSeq
) -> MailboxChanges:
    """The changes to a mailbox after ``since``, complete up to the account's modseq at this moment."""
    row = txn.row(_MAILBOX, (since, since, mailbox_id, account_id))
    if row is None or row[1] is None:
        return MailboxChanges(ModSeq(row[0]) if row else since, exists=False)
    modseq, highest, altered, expunge_floor, flags_floor, name, uid_next, last_old = row
    is_complete = expunge_floor <= since <= modseq
    if highest <= since:
        return MailboxChanges(ModSeq(modseq), name=name, is_complete=is_complete)
    if last_old is None:
        last_old = _last_old_txn(txn, account_id, mailbox_id, since, uid_next - _FIRST_STEP)
    new = UidSet([(last_old + 1, UID_MAX)])
    uids, expunged = new, UidSet()
    if altered > since:
        key = (account_id, mailbox_id, since)
        traces = txn.rows(_TRACES, (*key, *key))
        expunged = UidSet.of(uid for is_block, uid in traces if not is_block)
        if since < flags_floor:
            # A change before the store had blocks, or before it was restored from a backup.
            uids = ALL_UIDS
        else:
            blocks = UidSet.of(block for is_block, block in traces if is_block)
            uids = UidSet([*((low * BLOCK, high * BLOCK + BLOCK - 1) for low, high in blocks.ranges), *new.ranges])
    changed = _changed_txn(txn, account_id, mailbox_id, uids, since)
    return MailboxChanges(ModSeq(modseq), changed, expunged, Uid(last_old + 1), name, is_complete)


def _last_old_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, since: int, below: int) -> int:
    """The last message below a UID that had arrived by ``since``, 0 if there is none. In growing steps, since a
    database that estimates the mailbox to be small would read and sort all of it."""
    size = _FIRST_STEP
    while below > 1:
        size *= _STEPS_GROW
        row = txn.row(_LAST_OLD.format("?", "?", "?", "?"), (account_id, mailbox_id, below - size, below, since))
        if row is not None:
            return Uid(row[0])
        below -= size
    return 0


def _changed_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet, since: int) -> list[Row]:
    """Those of ``uids`` that changed after ``since``. A select for each range: in a join, the database would read all
    messages if its estimate of their number is wrong."""
    rows: list[Row] = []
    for start in range(0, len(uids.ranges), _RANGES_A_STATEMENT):
        ranges = uids.ranges[start : start + _RANGES_A_STATEMENT]
        # Lengths are powers of two, padded with empty ranges: few statements serve all.
        length = 1 << (len(ranges) - 1).bit_length()
        values: list[int] = []
        for low, high in (*ranges, *[_NO_RANGE] * (length - len(ranges))):
            values += (account_id, mailbox_id, low, high, since)
        rows += txn.rows(_ranges_statement(length), values)
    rows.sort()
    return rows


_NO_RANGE: Final = (1, 0)


@cache
def _ranges_statement(count: int) -> str:
    select = (
        f"SELECT {FLAG_COLUMNS} FROM messages"
        " WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? AND modseq > ?"
    )
    return " UNION ALL ".join([select] * count)


_LOG = "SELECT modseq, mailbox_id, name, kind FROM change_log WHERE account_id = ? AND modseq"
_BOXES = f"SELECT highest_modseq, {MAILBOX_COLUMNS} FROM mailboxes WHERE account_id = ? AND highest_modseq"


def account_changes_txn(txn: Transaction, account_id: AccountId, since: ModSeq) -> AccountChanges:
    """The changes to an account after ``since``. NoSuchAccount."""
    state = txn.row(
        "SELECT modseq, change_floor FROM account_state WHERE account_id = ? AND removed_at IS NULL", (account_id,)
    )
    if state is None:
        raise NoSuchAccount(cause=f"account {account_id}")
    now, floor = state
    is_complete = floor <= since <= now
    if since >= now:
        return AccountChanges(ModSeq(now), is_complete=is_complete)
    log, log_upto = _page_txn(txn, f"{_LOG} {{}} ? ORDER BY modseq, mailbox_id", 2, account_id, since)
    boxes, boxes_upto = _page_txn(txn, f"{_BOXES} {{}} ? ORDER BY highest_modseq", 2, account_id, since)
    upto = min([now, *log_upto, *boxes_upto])
    log = [row for row in log if row[0] <= upto]
    mailboxes, gone = _mailboxes_txn(txn, account_id, since, upto, log)
    return AccountChanges(
        ModSeq(upto),
        mailboxes,
        gone,
        {name: kind == SUBSCRIBED for _, _, name, kind in log if kind in {SUBSCRIBED, UNSUBSCRIBED}},
        [mailbox_of_row(row[1:]) for row in boxes if row[0] <= upto],
        is_complete,
        upto < now,
        frozenset(MailboxId(mailbox_id) for _, mailbox_id, _, kind in log if kind == RIGHTS),
        frozenset(MailboxId(mailbox_id) for _, mailbox_id, _, kind in log if kind == ANNOTATED),
    )


def _page_txn(
    txn: Transaction, select: str, name_at: int, account_id: AccountId, since: ModSeq
) -> tuple[list[Row], list[int]]:
    """Rows of a select whose first column is a modseq, in its order; if there are too many, also the modseq up to which
    they are complete, as a list of one."""
    rows: list[Row] = []
    if txn.rows_within(select.format(">"), (account_id, since), rows, (name_at,), PAGE_OCTETS) > 0:
        return rows, []
    last = rows[-1][0]
    whole = [row for row in rows if row[0] < last]
    if whole:
        return whole, [last - 1]
    return txn.rows(select.format("="), (account_id, last)), [last]


def _mailboxes_txn(
    txn: Transaction, account_id: AccountId, since: ModSeq, upto: int, log: Sequence[Row]
) -> tuple[list[ChangedMailbox], dict[MailboxId, str]]:
    """The mailboxes in rows of the log: those that exist, and names of those that were deleted or renamed."""
    created: set[int] = set()
    first_names: dict[int, str] = {}
    gone: dict[MailboxId, str] = {}
    for _, mailbox_id, name, kind in log:
        if kind in {SUBSCRIBED, UNSUBSCRIBED, RIGHTS, ANNOTATED}:
            continue
        if kind == CREATED:
            created.add(mailbox_id)
        first_names.setdefault(mailbox_id, name)
        if kind == DELETED and mailbox_id not in created:
            gone[MailboxId(mailbox_id)] = first_names[mailbox_id]
    if not first_names:
        return [], gone
    rows = txn.rows(
        f"SELECT {MAILBOX_COLUMNS} FROM mailboxes WHERE account_id = ? AND mailbox_id IN (SELECT mailbox_id"
        " FROM change_log WHERE account_id = ? AND modseq > ? AND modseq <= ?) ORDER BY mailbox_id",
        (account_id, account_id, since, upto),
    )
    changed = []
    for mailbox in map(mailbox_of_row, rows):
        if mailbox.mailbox_id not in first_names:
            continue
        is_new, first_name = mailbox.mailbox_id in created, first_names[mailbox.mailbox_id]
        changed.append(ChangedMailbox(mailbox, is_new, None if is_new or first_name == mailbox.name else first_name))
    return changed, gone
