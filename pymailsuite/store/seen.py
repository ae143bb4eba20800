r"""``\Seen`` of those who read mailboxes of others: each has their own, the owner's is in the rows of the messages.

What a reader has changed is kept in blocks of UIDs, as changes of flags are (:mod:`pymailsuite.store.change_log`): a
row holds for each of its 64 UIDs whether the message is seen, and the modseq of the last change. The modseqs are of
the owner's account, so that a session that follows the mailbox finds changes of its own user by one number. Nobody's
own mailboxes have such rows, and nothing is done here when mail arrives or is expunged: how many messages a reader has
seen is kept beside the blocks, and the expunges since then are looked up when somebody asks.

Functions that work inside an open transaction.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pymailsuite.interfaces.flag_rows import FlagRow
from pymailsuite.store.change_log import BLOCK
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.store.uid_ranges import conditions
from pymailsuite.values import AccountId, MailboxId, ModSeq, SystemFlag, UidSet

_STATES: Final = struct.Struct(f"<{BLOCK}Q")
_NOTHING: Final = (0,) * BLOCK
_SEEN: Final = int(SystemFlag.SEEN)
_KEY: Final = "account_id = ? AND mailbox_id = ? AND reader_id = ?"
_EXPUNGED: Final = "SELECT uid FROM expunged WHERE account_id = ? AND mailbox_id = ? AND modseq > ?"

States = Mapping[int, Sequence[int]]
"""The states of a reader by block, 64 numbers each: 0, or twice the modseq of the change and 1 more for seen."""

ReaderKey = tuple[AccountId, MailboxId, AccountId]
"""The owner, the mailbox, the reader."""


def _blocks(uids: UidSet) -> UidSet:
    return UidSet((low // BLOCK, high // BLOCK) for low, high in uids.ranges)


def states_txn(txn: Transaction, key: ReaderKey, uids: UidSet) -> dict[int, Sequence[int]]:
    """What a reader has changed of these, and of others in the same blocks."""
    states: dict[int, Sequence[int]] = {}
    for condition, values in conditions(_blocks(uids), "block"):
        rows = txn.rows(f"SELECT block, states FROM reader_seen WHERE {_KEY} AND {condition}", [*key, *values])
        states |= {block: _STATES.unpack(octets) for block, octets in rows}
    return states


def changed_since_txn(txn: Transaction, key: ReaderKey, since: int) -> tuple[dict[int, Sequence[int]], UidSet]:
    """The states of blocks that a reader has changed after a modseq, and the UIDs of which they were changed."""
    rows = txn.rows(f"SELECT block, states FROM reader_seen WHERE {_KEY} AND modseq > ?", (*key, since))
    states: dict[int, Sequence[int]] = {block: _STATES.unpack(octets) for block, octets in rows}
    uids = UidSet.of(
        block * BLOCK + place
        for block, numbers in states.items()
        for place, number in enumerate(numbers)
        if number >> 1 > since
    )
    return states, uids


def state_of(states: States, uid: int) -> int:
    """That of one message."""
    block = states.get(uid // BLOCK)
    return block[uid % BLOCK] if block is not None else 0


def as_seen(rows: Iterable[Row], states: States, uid_at: int, flags_at: int | None, modseq_at: int | None) -> list[Row]:
    r"""Rows of messages as the reader is to have them: with their own ``\Seen``, and its modseq if it is newer. The
    places are those of the columns; None: it is not among them."""
    seen_rows = []
    for row in rows:
        state = state_of(states, row[uid_at])
        values = list(row)
        if flags_at is not None:
            values[flags_at] = values[flags_at] & ~_SEEN | state & _SEEN
        if modseq_at is not None and state >> 1 > values[modseq_at]:
            values[modseq_at] = state >> 1
        seen_rows.append(tuple(values))
    return seen_rows


def flag_rows_as_seen(rows: Iterable[FlagRow], states: States) -> list[FlagRow]:
    """The same for rows (uid, system_flags, keywords, modseq) by ascending UID: there may be very many."""
    seen_rows: list[FlagRow] = []
    add = seen_rows.append
    at, numbers = -1, states.get(-1)
    for row in rows:
        uid, flags, keywords, modseq = row
        if uid // BLOCK != at:
            at = uid // BLOCK
            numbers = states.get(at)
        state = numbers[uid % BLOCK] if numbers is not None else 0
        if flags & _SEEN != state & _SEEN or state >> 1 > modseq:
            add((uid, flags & ~_SEEN | state & _SEEN, keywords, max(modseq, state >> 1)))
        else:
            add(row)
    return seen_rows


def set_seen_txn(txn: Transaction, key: ReaderKey, uids: UidSet, seen: bool, modseq: ModSeq) -> None:
    r"""Set or take away a reader's ``\Seen`` of messages of which it was otherwise, at a modseq that was just taken.

    The mailbox's highest modseq rises, so that its sessions look; that of no message of others does."""
    states = {block: list(numbers) for block, numbers in _settled_txn(txn, key, modseq).items()}
    for block, numbers in states_txn(txn, key, uids).items():
        states.setdefault(block, list(numbers))
    new = modseq << 1 | seen
    count = 0
    for uid in uids:
        numbers = states.setdefault(uid // BLOCK, list(_NOTHING))
        count += seen - (numbers[uid % BLOCK] & _SEEN)
        numbers[uid % BLOCK] = new
    _store_txn(txn, key, states)
    txn.execute(f"UPDATE mailbox_readers SET seen = seen + ? WHERE {_KEY}", (count, *key))
    txn.execute(
        "UPDATE mailboxes SET highest_modseq = ? WHERE account_id = ? AND mailbox_id = ?", (modseq, key[0], key[1])
    )


def _settled_txn(txn: Transaction, key: ReaderKey, modseq: ModSeq) -> dict[int, Sequence[int]]:
    """Forget a reader's states of messages that are expunged by now; the blocks that this changes. The reader's row is
    there afterwards."""
    row = txn.row(f"SELECT settled_modseq FROM mailbox_readers WHERE {_KEY}", key)
    if row is None:
        txn.insert("mailbox_readers", "account_id, mailbox_id, reader_id, seen, settled_modseq", [(*key, 0, modseq)])
        return {}
    states, count = _without_txn(txn, key, [uid for (uid,) in txn.rows(_EXPUNGED, (*key[:2], row[0]))])
    txn.execute(f"UPDATE mailbox_readers SET settled_modseq = ?, seen = seen - ? WHERE {_KEY}", (modseq, count, *key))
    return states


def _without_txn(txn: Transaction, key: ReaderKey, uids: Iterable[int]) -> tuple[dict[int, Sequence[int]], int]:
    """The blocks of a reader without the states of some messages, those that this changes; and how many of the messages
    were seen."""
    gone = sorted(uids)
    changed: dict[int, Sequence[int]] = {}
    count = 0
    states = states_txn(txn, key, UidSet.of(gone)) if gone else {}
    for uid in gone:
        state = state_of(states, uid)
        if state:
            block = uid // BLOCK
            numbers = changed.setdefault(block, list(states[block]))
            assert isinstance(numbers, list)
            numbers[uid % BLOCK] = 0
            count += state & _SEEN
    return changed, count


def _store_txn(txn: Transaction, key: ReaderKey, states: States) -> None:
    rows = [(*key, block, max(numbers) >> 1, _STATES.pack(*numbers)) for block, numbers in sorted(states.items())]
    txn.insert(
        "reader_seen",
        "account_id, mailbox_id, reader_id, block, modseq, states",
        rows,
        on_conflict="(account_id, mailbox_id, reader_id, block) DO UPDATE SET modseq = excluded.modseq,"
        " states = excluded.states",
    )


# --- how many


def seen_counts_txn(
    txn: Transaction, reader_id: AccountId, account_id: AccountId | None = None, mailbox_id: MailboxId | None = None
) -> dict[tuple[AccountId, MailboxId], int]:
    """How many messages a reader has seen, of those that are there: in one mailbox, in those of one account, or in all
    of others. Without those of which nothing was ever changed."""
    where, values = "r.reader_id = ?", [int(reader_id)]
    if account_id is not None:
        where, values = f"{where} AND r.account_id = ?", [*values, int(account_id)]
    if mailbox_id is not None:
        where, values = f"{where} AND r.mailbox_id = ?", [*values, int(mailbox_id)]
    counts = {
        (AccountId(owner), MailboxId(mailbox)): int(seen)
        for owner, mailbox, seen in txn.rows(
            f"SELECT r.account_id, r.mailbox_id, r.seen FROM mailbox_readers r WHERE {where}", values
        )
    }
    gone: dict[tuple[AccountId, MailboxId], list[int]] = {}
    for owner, mailbox, uid in txn.rows(
        "SELECT e.account_id, e.mailbox_id, e.uid FROM mailbox_readers r JOIN expunged e ON e.account_id = r.account_id"
        f" AND e.mailbox_id = r.mailbox_id AND e.modseq > r.settled_modseq WHERE {where}",
        values,
    ):
        gone.setdefault((AccountId(owner), MailboxId(mailbox)), []).append(uid)
    for place, uids in gone.items():
        counts[place] -= _without_txn(txn, (*place, reader_id), uids)[1]
    return counts


# --- what goes


def forget_expunged_seen_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: Sequence[int]
) -> None:
    """The records of these expunges go: forget what readers have seen of the messages."""
    for (reader_id,) in txn.rows(
        "SELECT reader_id FROM mailbox_readers WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id)
    ):
        key = (account_id, mailbox_id, reader_id)
        states, count = _without_txn(txn, key, uids)
        _store_txn(txn, key, states)
        txn.execute(f"UPDATE mailbox_readers SET seen = seen - ? WHERE {_KEY}", (count, *key))
        txn.execute(f"DELETE FROM reader_seen WHERE {_KEY} AND modseq = 0", key)


def forget_mailbox_seen_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> None:
    """Forget what readers have seen of a mailbox that is deleted."""
    for table in ("mailbox_readers", "reader_seen"):
        txn.execute(f"DELETE FROM {table} WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id))


def forget_reader_txn(txn: Transaction, reader_id: AccountId) -> None:
    """Forget what somebody who is gone has seen."""
    readers = txn.rows(
        "SELECT account_id, mailbox_id, reader_id FROM mailbox_readers WHERE reader_id = ?", (reader_id,)
    )
    for table in ("reader_seen", "mailbox_readers"):
        txn.execute_many(f"DELETE FROM {table} WHERE {_KEY}", readers)


# --- checking


def wrong_counts_txn(txn: Transaction) -> list[tuple[ReaderKey, int, int]]:
    """Readers of whom another number of seen messages is noted than there are, or were expunged since it was noted: the
    key, both numbers."""
    found: dict[ReaderKey, tuple[int, int]] = {
        (account_id, mailbox_id, reader_id): (seen, settled_modseq)
        for account_id, mailbox_id, reader_id, seen, settled_modseq in txn.rows(
            "SELECT account_id, mailbox_id, reader_id, seen, settled_modseq FROM mailbox_readers"
        )
    }
    blocks = "SELECT DISTINCT account_id, mailbox_id, reader_id FROM reader_seen"
    wrong: list[tuple[ReaderKey, int, int]] = []
    for key in sorted({*found, *[(row[0], row[1], row[2]) for row in txn.rows(blocks)]}):
        noted, settled_modseq = found.get(key, (0, 0))
        counted = {
            uid
            for (uid,) in txn.rows(
                f"SELECT uid FROM messages WHERE account_id = ? AND mailbox_id = ? UNION ALL {_EXPUNGED}",
                (*key[:2], *key[:2], settled_modseq),
            )
        }
        true = sum(
            number & _SEEN
            for block, octets in txn.rows(f"SELECT block, states FROM reader_seen WHERE {_KEY}", key)
            for uid, number in enumerate(_STATES.unpack(octets), block * BLOCK)
            if uid in counted
        )
        if noted != true:
            wrong.append((key, noted, true))
    return wrong


def set_count_txn(txn: Transaction, key: ReaderKey, seen: int) -> None:
    """Correct a number that was wrong."""
    txn.insert(
        "mailbox_readers",
        "account_id, mailbox_id, reader_id, seen, settled_modseq",
        [(*key, seen, 0)],
        on_conflict="(account_id, mailbox_id, reader_id) DO UPDATE SET seen = excluded.seen",
    )
