"""Message rows: flags, copies, removal, changes. Functions that work inside an open transaction."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from pymailsuite.errors import NoSuchMailbox
from pymailsuite.interfaces.flag_rows import FlagRow, FlagRows
from pymailsuite.interfaces.mail import Appended, Copied, Mailbox, NewMessage, StoreResult
from pymailsuite.store.change_log import note_flags_txn
from pymailsuite.store.changes import FLAG_COLUMNS
from pymailsuite.store.contents import change_refs_txn, insert_contents_txn
from pymailsuite.store.flag_columns import MANY, flag_columns_txn
from pymailsuite.store.mailboxes import (
    advance_txn,
    arrive_txn,
    depart_txn,
    highest_modseq_txn,
    open_mailbox_txn,
    reflag_txn,
)
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.store.uid_ranges import conditions, rows_of_txn
from pymailsuite.values import (
    ALL_UIDS,
    AccountId,
    ContentId,
    FlagChange,
    Flags,
    MailboxId,
    ModSeq,
    SystemFlag,
    Uid,
    UidSet,
)

_SEEN, _DELETED = int(SystemFlag.SEEN), int(SystemFlag.DELETED)
_EXPUNGED_COLUMNS = (
    "account_id, mailbox_id, uid, system_flags, keywords, modseq, content_id, size, internal_date, save_date, prefix,"
    " extra_octets, expunged_at"
)
MESSAGE_COLUMNS = (
    "account_id, mailbox_id, uid, system_flags, keywords, modseq, content_id, size, internal_date, save_date, prefix,"
    " extra_octets"
)


def keyword_text(keywords: frozenset[str]) -> str:
    """Keywords as they are stored: ascending, one space between."""
    return " ".join(sorted(keywords))


# --- reading


def flag_rows_txn(txn: Transaction, account_id: AccountId, mailbox: Mailbox) -> Sequence[FlagRow]:
    """One row for each message of a mailbox, by ascending UID."""
    if mailbox.messages >= MANY:
        return flag_columns_txn(txn, account_id, mailbox.mailbox_id, *ALL_UIDS.ranges[0])
    rows: list[FlagRow] = txn.rows(
        f"SELECT {FLAG_COLUMNS} FROM messages WHERE account_id = ? AND mailbox_id = ? ORDER BY uid",
        (account_id, mailbox.mailbox_id),
    )
    return rows


def flag_rows_of_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet) -> Sequence[FlagRow]:
    """The rows of those of ``uids`` that exist, by ascending UID."""
    if len(uids.ranges) == 1 and len(uids) >= MANY:
        return flag_columns_txn(txn, account_id, mailbox_id, *uids.ranges[0])
    return rows_of_txn(txn, f"SELECT {FLAG_COLUMNS} FROM messages", account_id, mailbox_id, uids)


def deleted_size_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> int:
    """Octets of the messages that carry ``\\Deleted``."""
    size: int = txn.value(
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM messages"
        f" WHERE account_id = ? AND mailbox_id = ? AND (system_flags & {_DELETED}) <> 0",
        (account_id, mailbox_id),
    )
    return size


# --- flags


@frozen
class Settable:
    """The flags that somebody may set: bits of system flags, and whether keywords."""

    bits: int = sum(SystemFlag)
    keywords: bool = True

    def of(self, flags: Flags) -> Flags:
        """Those of some flags that may be set."""
        return Flags(SystemFlag(flags.system & self.bits), flags.keywords if self.keywords else frozenset())


ALL_FLAGS: Final = Settable()


def flag_change(
    change: FlagChange, flags: Flags, settable: Settable = ALL_FLAGS
) -> Callable[[int, str], tuple[int, str]]:
    """The function that applies a change to stored flags, as far as they may be set. Keywords match in any case and
    keep that of their first use."""
    bits, fixed = int(flags.system) & settable.bits, ~settable.bits
    if not settable.keywords:
        flags = Flags(flags.system)
    named = {keyword.lower(): keyword for keyword in sorted(flags.keywords)}

    def changed(system_flags: int, keywords: str) -> tuple[int, str]:
        there = {keyword.lower(): keyword for keyword in keywords.split()}
        if change is FlagChange.ADD:
            system_flags |= bits
            there = {**named, **there}
        elif change is FlagChange.REMOVE:
            system_flags &= ~bits
            there = {folded: keyword for folded, keyword in there.items() if folded not in named}
        else:
            system_flags = system_flags & fixed | bits
            if settable.keywords:
                there = {folded: there.get(folded, keyword) for folded, keyword in named.items()}
        return system_flags, " ".join(sorted(there.values()))

    return changed


def _by_number(rows: FlagRows) -> dict[int, Sequence[int]]:
    """The UIDs of rows for each combination of flags in use: combinations are few, messages may be many."""
    used = set(rows.numbers)
    if len(used) == 1:
        return dict.fromkeys(used, rows.uids)
    found: dict[int, list[int]] = {number: [] for number in used}
    for uid, number in zip(rows.uids, rows.numbers, strict=True):
        found[number].append(uid)
    return dict(found)


def store_flags_txn(
    txn: Transaction,
    account_id: AccountId,
    mailbox_id: MailboxId,
    uids: UidSet,
    change: FlagChange,
    flags: Flags,
    unchanged_since: ModSeq | None,
    check_keywords: Callable[[int], None],
    settable: Settable = ALL_FLAGS,
) -> StoreResult:
    """Change flags of all, those that may be set; a message whose flags do not change keeps its modseq.

    ``check_keywords`` is called with the number of keywords that a message gets, if it rises.
    """
    modseq = advance_txn(txn, account_id)
    before = highest_modseq_txn(txn, account_id, mailbox_id)
    rows = FlagRows.of(flag_rows_of_txn(txn, account_id, mailbox_id, uids))
    modified: list[int] = []
    if unchanged_since is not None:
        is_unchanged = [at <= unchanged_since for at in rows.modseqs]
        modified = [uid for uid, unchanged in zip(rows.uids, is_unchanged, strict=True) if not unchanged]
        rows = rows.only(is_unchanged)
    apply = flag_change(change, flags, settable)
    # New flags by combinations of old ones, which of these change, and the messages that get them.
    combinations = list(rows.combinations)
    changing: set[int] = set()
    altered: dict[tuple[int, str], list[int]] = {}
    unseen = deleted = 0
    for number, uids_of_old in _by_number(rows).items():
        old = rows.combinations[number]
        new = apply(*old)
        if len(new[1]) > len(old[1]):
            check_keywords(len(new[1].split()))
        if new != old:
            combinations[number] = new
            changing.add(number)
            altered.setdefault(new, []).extend(uids_of_old)
            unseen += len(uids_of_old) * ((old[0] & _SEEN) - (new[0] & _SEEN))
            deleted += len(uids_of_old) * ((new[0] & _DELETED) - (old[0] & _DELETED))
    changed = {new: UidSet.of(altered_uids) for new, altered_uids in altered.items()}
    modseqs = rows.modseqs
    if changing:
        pairs = zip(rows.numbers, modseqs, strict=True)
        modseqs = array("Q", [modseq if number in changing else as_before for number, as_before in pairs])
    answer = FlagRows(rows.uids, combinations, rows.numbers, modseqs)
    for (system_flags, keywords), changed_uids in changed.items():
        for condition, values in conditions(changed_uids):
            txn.execute(
                "UPDATE messages SET system_flags = ?, keywords = ?, modseq = ?,"
                " arrival_modseq = COALESCE(arrival_modseq, modseq)"
                f" WHERE account_id = ? AND mailbox_id = ? AND {condition}",
                [system_flags, keywords, modseq, account_id, mailbox_id, *values],
            )
    if changed:
        note_flags_txn(txn, account_id, mailbox_id, modseq, list(changed.values()))
        reflag_txn(txn, account_id, mailbox_id, modseq, unseen // _SEEN, deleted // _DELETED)
        txn.announce(account_id, modseq)
    return StoreResult(answer, UidSet.of(modified), before, modseq)


# --- leaving


def remove_messages_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet, now: float, *, only_deleted: bool
) -> UidSet:
    """Expunge those of ``uids`` that exist (and carry ``\\Deleted``): rows go to the undelete area."""
    modseq = advance_txn(txn, account_id)
    also = f" AND (system_flags & {_DELETED}) <> 0" if only_deleted else ""
    gone: list[Row] = []
    for condition, values in conditions(uids):
        where = f"WHERE account_id = ? AND mailbox_id = ? AND {condition}{also}"
        txn.execute(
            f"INSERT INTO expunged ({_EXPUNGED_COLUMNS}) SELECT account_id, mailbox_id, uid, system_flags, keywords, ?,"
            f" content_id, size, internal_date, save_date, prefix, extra_octets, ? FROM messages {where}",
            [modseq, now, account_id, mailbox_id, *values],
        )
        gone += txn.rows(
            f"DELETE FROM messages {where} RETURNING uid, system_flags, size", [account_id, mailbox_id, *values]
        )
    if gone:
        depart_txn(txn, account_id, mailbox_id, modseq, [(flags, size) for _, flags, size in gone])
        txn.announce(account_id, modseq)
    return UidSet.of(uid for uid, _, _ in gone)


def move_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet, target: str, now: float
) -> Copied:
    """Move to ``target``. The source keeps only the record of the expunge: the messages are not deleted."""
    modseq = advance_txn(txn, account_id)
    mailbox = open_mailbox_txn(txn, account_id, target)
    rows = rows_to_copy_txn(txn, account_id, mailbox_id, uids)
    copied = insert_copies_txn(txn, account_id, mailbox, rows, modseq, now)
    take_away_txn(txn, account_id, mailbox_id, rows, modseq, now)
    return copied


def take_away_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, rows: Sequence[Row], modseq: ModSeq, now: float
) -> None:
    """Take messages, rows of :func:`rows_to_copy_txn`, out of the mailbox that they were moved from."""
    for condition, values in conditions(UidSet.of(row[0] for row in rows)):
        where = f"WHERE account_id = ? AND mailbox_id = ? AND {condition}"
        txn.execute(
            f"INSERT INTO expunged ({_EXPUNGED_COLUMNS}) SELECT account_id, mailbox_id, uid, system_flags, '', ?, NULL,"
            f" size, internal_date, save_date, prefix, extra_octets, ? FROM messages {where}",
            [modseq, now, account_id, mailbox_id, *values],
        )
        txn.execute(f"DELETE FROM messages {where}", [account_id, mailbox_id, *values])
    if rows:
        depart_txn(txn, account_id, mailbox_id, modseq, [(row[1], row[4]) for row in rows])
        txn.announce(account_id, modseq)


# --- arriving


def copy_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet, target: str, now: float
) -> Copied:
    """Flags, keywords and date kept, save date now."""
    modseq = advance_txn(txn, account_id)
    mailbox = open_mailbox_txn(txn, account_id, target)
    rows = rows_to_copy_txn(txn, account_id, mailbox_id, uids)
    copied = insert_copies_txn(txn, account_id, mailbox, rows, modseq, now)
    refer_again_txn(txn, rows)
    return copied


def rows_to_copy_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet) -> list[Row]:
    """What copies are made of: (uid, system_flags, keywords, content_id, size, internal_date, prefix, extra_octets) of
    those that exist."""
    return rows_of_txn(
        txn,
        "SELECT uid, system_flags, keywords, content_id, size, internal_date, prefix, extra_octets FROM messages",
        account_id,
        mailbox_id,
        uids,
    )


def refer_again_txn(txn: Transaction, rows: Sequence[Row]) -> None:
    """Count the references of copies to their contents."""
    refs: dict[ContentId, int] = {}
    for row in rows:
        refs[row[3]] = refs.get(row[3], 0) + 1
    change_refs_txn(txn, refs)


def insert_copies_txn(
    txn: Transaction, account_id: AccountId, mailbox: Mailbox, rows: Sequence[Row], modseq: ModSeq, now: float
) -> Copied:
    """Insert messages into a mailbox of an account, of rows as :func:`rows_to_copy_txn` has them, with the flags they
    are to have there. The octets count for this account, whoever copies."""
    if not rows:
        return Copied(mailbox.uid_validity, (), ())
    arrivals = arrive_txn(txn, account_id, mailbox.mailbox_id, modseq, [(row[1], row[4]) for row in rows])
    assert arrivals is not None
    txn.insert(
        "messages",
        MESSAGE_COLUMNS,
        [
            (
                *(account_id, mailbox.mailbox_id, uid, flags, keywords, modseq, content_id, size),
                *(internal_date, now, prefix, extra_octets),
            )
            for uid, (_, flags, keywords, content_id, size, internal_date, prefix, extra_octets) in enumerate(
                rows, arrivals.first_uid
            )
        ],
    )
    txn.announce(account_id, modseq)
    source = tuple(Uid(row[0]) for row in rows)
    new = tuple(Uid(uid) for uid in range(arrivals.first_uid, arrivals.first_uid + len(rows)))
    return Copied(arrivals.uid_validity, source, new)


def append_txn(
    txn: Transaction, account_id: AccountId, mailbox: str, messages: Sequence[NewMessage], now: float
) -> Appended:
    """All or nothing. NoSuchMailbox."""
    modseq = advance_txn(txn, account_id)
    target = open_mailbox_txn(txn, account_id, mailbox)
    if not messages:
        return Appended(target.uid_validity, ())
    insert_contents_txn(txn, [(message.content, 1, b"") for message in messages], now)
    sizes = [(int(message.flags.system), message.content.size) for message in messages]
    arrivals = arrive_txn(txn, account_id, target.mailbox_id, modseq, sizes)
    if arrivals is None:
        raise NoSuchMailbox()
    txn.insert(
        "messages",
        MESSAGE_COLUMNS,
        [
            (
                account_id,
                target.mailbox_id,
                uid,
                int(message.flags.system),
                keyword_text(message.flags.keywords),
                modseq,
                message.content.content_id,
                message.content.size,
                now if message.internal_date is None else message.internal_date,
                now,
                b"",
                message.content.extra_octets,
            )
            for uid, message in enumerate(messages, arrivals.first_uid)
        ],
    )
    txn.announce(account_id, modseq)
    uids = range(arrivals.first_uid, arrivals.first_uid + len(messages))
    return Appended(arrivals.uid_validity, tuple(Uid(uid) for uid in uids))
