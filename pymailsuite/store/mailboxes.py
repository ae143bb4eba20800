"""Mailbox rows: names and hierarchy, counters, UIDs. Functions that work inside an open transaction."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

from attrs import frozen

from pymailsuite.errors import AlreadyExists, MailboxHasChildren, NoSuchAccount, NoSuchMailbox, Refusal
from pymailsuite.interfaces.mail import Mailbox
from pymailsuite.store.change_log import (
    CREATED,
    DELETED,
    RENAMED,
    SUBSCRIBED,
    UNSUBSCRIBED,
    forget_flags_txn,
    log_mailboxes_txn,
    log_subscriptions_txn,
)
from pymailsuite.store.quota import count_txn
from pymailsuite.store.rights import forget_rights_txn, inherit_rights_txn, pass_rights_txn
from pymailsuite.store.seen import forget_mailbox_seen_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import DELIMITER, INBOX, AccountId, MailboxId, ModSeq, SpecialUse, Uid, UidSet

INBOX_ID = MailboxId(1)
"""INBOX is made first, never deleted and never renamed: deliveries need not look it up."""

_USES_REMEMBERED: Final = 100
"""Combinations of special uses, far more than there are in practice."""

MAILBOX_COLUMNS = (
    "mailbox_id, name, uid_validity, uid_next, highest_modseq, messages, unseen, deleted, size, first_recent,"
    " special_use, selectable, account_id"
)
_INBOX_LEVEL = re.compile(rf"inbox(?={re.escape(DELIMITER)}|\Z)", re.IGNORECASE)


def canonical(name: str) -> str:
    """The name as it is stored: INBOX, as a whole or as the first level, in capitals (RFC 3501 §5.1)."""
    return _INBOX_LEVEL.sub(INBOX, name, count=1) if _INBOX_LEVEL.match(name) else name


@lru_cache(_USES_REMEMBERED)
def uses_of(kept: str | None) -> tuple[SpecialUse, ...]:
    """The special uses of a mailbox as they are kept: words in one text, mostly none."""
    return tuple(map(SpecialUse, kept.split())) if kept else ()


def _kept_uses(special_uses: Sequence[SpecialUse]) -> str | None:
    return " ".join(use.value for use in dict.fromkeys(special_uses)) or None


def mailbox_of_row(row: Row) -> Mailbox:
    """The mailbox of a row of :data:`MAILBOX_COLUMNS`."""
    uses = uses_of(row[10])
    return Mailbox(
        mailbox_id=MailboxId(row[0]),
        name=row[1],
        uid_validity=row[2],
        uid_next=Uid(row[3]),
        highest_modseq=ModSeq(row[4]),
        messages=row[5],
        unseen=row[6],
        deleted=row[7],
        size=row[8],
        first_recent=Uid(row[9]),
        special_use=uses[0] if uses else None,
        selectable=bool(row[11]),
        account_id=AccountId(row[12]),
        further_uses=uses[1:],
    )


# --- the account's clock


def advance_txn(txn: Transaction, account_id: AccountId) -> ModSeq:
    """The account's next modseq, not announced yet. NoSuchAccount.

    Until the commit no other transaction changes this account: data read after this stays true.
    """
    row = txn.row(
        "UPDATE account_state SET modseq = modseq + 1 WHERE account_id = ? AND removed_at IS NULL"
        " RETURNING modseq, total_of",
        (account_id,),
    )
    if row is None:
        raise NoSuchAccount(cause=f"account {account_id}")
    note_total(txn, account_id, row[1])
    return ModSeq(row[0])


def note_total(txn: Transaction, account_id: AccountId, total_of: str | None) -> None:
    """Note for whose total the mail of an account is counted, whose next modseq was taken."""
    if total_of is not None:
        txn.totals[account_id] = total_of
    elif txn.totals:
        txn.totals.pop(account_id, None)


def lock_account_txn(txn: Transaction, account_id: AccountId) -> None:
    """Lock the account against other transactions until the commit, without advancing its modseq."""
    txn.execute("UPDATE account_state SET modseq = modseq WHERE account_id = ?", (account_id,))


# --- finding


def mailboxes_txn(txn: Transaction, account_id: AccountId) -> list[Mailbox]:
    """All of an account, by name."""
    rows = txn.rows(f"SELECT {MAILBOX_COLUMNS} FROM mailboxes WHERE account_id = ? ORDER BY name", (account_id,))
    return [mailbox_of_row(row) for row in rows]


def find_mailbox_txn(txn: Transaction, account_id: AccountId, name: str) -> Mailbox | None:
    """One by its name."""
    row = txn.row(
        f"SELECT {MAILBOX_COLUMNS} FROM mailboxes WHERE account_id = ? AND name = ?", (account_id, canonical(name))
    )
    return None if row is None else mailbox_of_row(row)


def mailbox_txn(txn: Transaction, account_id: AccountId, name: str) -> Mailbox:
    """One by its name. NoSuchMailbox."""
    mailbox = find_mailbox_txn(txn, account_id, name)
    if mailbox is None:
        raise NoSuchMailbox()
    return mailbox


def open_mailbox_txn(txn: Transaction, account_id: AccountId, name: str) -> Mailbox:
    """One that can hold messages. NoSuchMailbox for a ``\\Noselect`` name too."""
    mailbox = mailbox_txn(txn, account_id, name)
    if not mailbox.selectable:
        raise NoSuchMailbox()
    return mailbox


def mailbox_of_id_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> Mailbox:
    """One by its id. NoSuchMailbox if it has been deleted."""
    row = txn.row(
        f"SELECT {MAILBOX_COLUMNS} FROM mailboxes WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id)
    )
    if row is None:
        raise NoSuchMailbox()
    return mailbox_of_row(row)


def highest_modseq_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> ModSeq:
    """When a mailbox last changed. NoSuchMailbox if it has been deleted."""
    row = txn.row(
        "SELECT highest_modseq FROM mailboxes WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id)
    )
    if row is None:
        raise NoSuchMailbox()
    return ModSeq(row[0])


def inferiors_txn(txn: Transaction, account_id: AccountId, name: str) -> list[tuple[MailboxId, str]]:
    """Ids and names of all mailboxes below ``name``, by name."""
    below = name + DELIMITER
    return [
        (MailboxId(mailbox_id), found)
        for mailbox_id, found in txn.rows(
            "SELECT mailbox_id, name FROM mailboxes WHERE account_id = ? AND name > ? AND name < ? ORDER BY name",
            (account_id, below, name + chr(ord(DELIMITER) + 1)),
        )
    ]


# --- making, removing, naming


def check_levels(name: str) -> None:
    """Refusal for a name with too many levels: many clients create a local folder for each level."""
    if not {".", ".."}.isdisjoint(name.split(DELIMITER)):
        raise Refusal("Mailbox name has a level that is . or ..")


def _check_name(name: str) -> None:
    if not name or not all(name.split(DELIMITER)):
        raise Refusal("Mailbox name has an empty level")
    check_levels(name)


def _insert_txn(
    txn: Transaction,
    account_id: AccountId,
    name: str,
    modseq: ModSeq,
    now: float,
    special_uses: Sequence[SpecialUse] = (),
    selectable: bool = True,
) -> MailboxId:
    """Insert a row whose id and UIDVALIDITY this account never had before; the id. It has the rights of the level
    above."""
    row = txn.row(
        "UPDATE account_state SET next_mailbox_id = next_mailbox_id + 1,"
        " last_uid_validity = CASE WHEN last_uid_validity < ? THEN ? ELSE last_uid_validity + 1 END"
        " WHERE account_id = ? RETURNING next_mailbox_id - 1, last_uid_validity",
        (int(now), int(now), account_id),
    )
    assert row is not None
    mailbox_id, uid_validity = row
    txn.insert(
        "mailboxes",
        "account_id, mailbox_id, name, uid_validity, uid_next, highest_modseq, altered_modseq, expunge_floor, messages,"
        " unseen, deleted, size, first_recent, special_use, selectable",
        [
            (
                *(account_id, mailbox_id, name, uid_validity, 1, modseq, modseq, 0, 0, 0, 0, 0, 1),
                *(_kept_uses(special_uses), int(selectable)),
            )
        ],
    )
    count_txn(txn, account_id, 0, 0, 1)
    log_mailboxes_txn(txn, account_id, modseq, CREATED, [(mailbox_id, name)], now)
    above, _, _ = name.rpartition(DELIMITER)
    if above:
        inherit_rights_txn(txn, account_id, above, mailbox_id)
    return MailboxId(mailbox_id)


def _delete_row_txn(txn: Transaction, account_id: AccountId, mailbox: Mailbox, modseq: ModSeq, now: float) -> None:
    mailbox_id = mailbox.mailbox_id
    txn.execute("DELETE FROM mailboxes WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id))
    count_txn(txn, account_id, -mailbox.size, -mailbox.messages, -1)
    forget_flags_txn(txn, account_id, mailbox_id)
    txn.execute("DELETE FROM annotations WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id))
    forget_mailbox_seen_txn(txn, account_id, mailbox_id)
    log_mailboxes_txn(txn, account_id, modseq, DELETED, [(mailbox_id, mailbox.name)], now)


def create_levels_txn(
    txn: Transaction, account_id: AccountId, name: str, modseq: ModSeq, now: float, special_uses: Sequence[SpecialUse]
) -> None:
    """Create ``name``, which must not exist, and missing levels above it."""
    levels = name.split(DELIMITER)
    for depth in range(1, len(levels)):
        above = DELIMITER.join(levels[:depth])
        if find_mailbox_txn(txn, account_id, above) is None:
            _insert_txn(txn, account_id, above, modseq, now)
    _insert_txn(txn, account_id, name, modseq, now, special_uses)


def create_mailbox_txn(
    txn: Transaction, account_id: AccountId, name: str, special_uses: Sequence[SpecialUse], now: float
) -> Mailbox:
    """Create it and missing levels above it. AlreadyExists. A ``\\Noselect`` name becomes a mailbox."""
    name = canonical(name)
    _check_name(name)
    modseq = advance_txn(txn, account_id)
    there = find_mailbox_txn(txn, account_id, name)
    if there is not None:
        if there.selectable:
            raise AlreadyExists()
        _delete_row_txn(txn, account_id, there, modseq, now)
    create_levels_txn(txn, account_id, name, modseq, now, special_uses)
    mailbox = mailbox_txn(txn, account_id, name)
    if there is not None:
        pass_rights_txn(txn, account_id, there.mailbox_id, mailbox.mailbox_id)
    txn.announce(account_id, modseq)
    return mailbox


def assign_uses_txn(
    txn: Transaction, account_id: AccountId, name: str, special_uses: Sequence[SpecialUse], now: float
) -> Mailbox:
    """Give a mailbox these special uses in place of those that it has. NoSuchMailbox."""
    modseq = advance_txn(txn, account_id)
    mailbox = open_mailbox_txn(txn, account_id, name)
    txn.execute(
        "UPDATE mailboxes SET special_use = ? WHERE account_id = ? AND mailbox_id = ?",
        (_kept_uses(special_uses), account_id, mailbox.mailbox_id),
    )
    # The log tells of each mailbox that it is as it is now: of this one that it has the name it had.
    log_mailboxes_txn(txn, account_id, modseq, RENAMED, [(mailbox.mailbox_id, mailbox.name)], now)
    txn.announce(account_id, modseq)
    return mailbox_of_id_txn(txn, account_id, mailbox.mailbox_id)


def delete_mailbox_txn(txn: Transaction, account_id: AccountId, name: str, now: float) -> None:
    """Remove it; its messages go to the undelete area. RFC 3501 §6.3.4."""
    name = canonical(name)
    if name == INBOX:
        raise Refusal("INBOX cannot be deleted")
    modseq = advance_txn(txn, account_id)
    mailbox = mailbox_txn(txn, account_id, name)
    has_inferiors = bool(inferiors_txn(txn, account_id, name))
    if has_inferiors and not mailbox.selectable:
        raise MailboxHasChildren()
    if mailbox.selectable:
        txn.execute(
            "INSERT INTO expunged (account_id, mailbox_id, uid, system_flags, keywords, modseq, content_id, size,"
            " internal_date, save_date, prefix, extra_octets, expunged_at)"
            " SELECT account_id, mailbox_id, uid, system_flags, keywords, ?, content_id, size, internal_date,"
            " save_date, prefix, extra_octets, ? FROM messages WHERE account_id = ? AND mailbox_id = ?",
            (modseq, now, account_id, mailbox.mailbox_id),
        )
        txn.execute("DELETE FROM messages WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox.mailbox_id))
        txn.execute(
            "INSERT INTO deleted_mailboxes (account_id, mailbox_id, name, uid_validity, deleted_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (account_id, mailbox.mailbox_id, name, mailbox.uid_validity, now),
        )
    _delete_row_txn(txn, account_id, mailbox, modseq, now)
    if has_inferiors:
        # A new row: sessions that have the old mailbox open learn that it is deleted, and its id is never reused.
        level = _insert_txn(txn, account_id, name, modseq, now, selectable=False)
        pass_rights_txn(txn, account_id, mailbox.mailbox_id, level)
    else:
        forget_rights_txn(txn, account_id, mailbox.mailbox_id)
    txn.announce(account_id, modseq)


def rename_mailbox_txn(txn: Transaction, account_id: AccountId, old: str, new: str, now: float) -> ModSeq:
    """Rename it with its inferiors; for INBOX only make the mailbox its messages go to. RFC 3501 §6.3.5."""
    old, new = canonical(old), canonical(new)
    _check_name(new)
    modseq = advance_txn(txn, account_id)
    mailbox = mailbox_txn(txn, account_id, old)
    if find_mailbox_txn(txn, account_id, new) is not None:
        raise AlreadyExists()
    if new.startswith(old + DELIMITER) and old != INBOX:
        raise Refusal("A mailbox cannot become its own inferior")
    if old == INBOX:
        create_levels_txn(txn, account_id, new, modseq, now, ())
    else:
        renamed = [(mailbox.mailbox_id, old), *inferiors_txn(txn, account_id, old)]
        above, _, _ = new.rpartition(DELIMITER)
        if above and find_mailbox_txn(txn, account_id, above) is None:
            create_levels_txn(txn, account_id, above, modseq, now, ())
        txn.execute_many(
            "UPDATE mailboxes SET name = ? WHERE account_id = ? AND mailbox_id = ?",
            [(new + name[len(old) :], account_id, mailbox_id) for mailbox_id, name in renamed],
        )
        log_mailboxes_txn(txn, account_id, modseq, RENAMED, renamed, now)
    txn.announce(account_id, modseq)
    return modseq


# --- subscriptions


def subscribe_txn(txn: Transaction, account_id: AccountId, names: Sequence[str], modseq: ModSeq, now: float) -> None:
    """Subscribe names, those that are not yet, at a modseq that was just taken."""
    new = [
        name
        for name in map(canonical, names)
        if txn.execute(
            "INSERT INTO subscriptions (account_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING", (account_id, name)
        )
    ]
    if new:
        log_subscriptions_txn(txn, account_id, modseq, SUBSCRIBED, new, now)
        txn.announce(account_id, modseq)


def unsubscribe_txn(txn: Transaction, account_id: AccountId, name: str, modseq: ModSeq, now: float) -> None:
    """Unsubscribe a name, if it is subscribed, at a modseq that was just taken."""
    name = canonical(name)
    if txn.execute("DELETE FROM subscriptions WHERE account_id = ? AND name = ?", (account_id, name)):
        log_subscriptions_txn(txn, account_id, modseq, UNSUBSCRIBED, [name], now)
        txn.announce(account_id, modseq)


# --- counters


@frozen
class Arrivals:
    """The UIDs assigned to arriving messages: from ``first_uid`` on."""

    uid_validity: int
    first_uid: Uid


def arrive_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, modseq: ModSeq, rows: Sequence[tuple[int, int]]
) -> Arrivals | None:
    """Count messages in, each a pair (system_flags, size), and give them UIDs. None if there is no such mailbox."""
    octets = sum(size for _, size in rows)
    row = txn.row(
        "UPDATE mailboxes SET uid_next = uid_next + ?, highest_modseq = ?, messages = messages + ?,"
        " unseen = unseen + ?, deleted = deleted + ?, size = size + ?"
        " WHERE account_id = ? AND mailbox_id = ? AND selectable = 1 RETURNING uid_validity, uid_next",
        (
            len(rows),
            modseq,
            len(rows),
            sum(1 for flags, _ in rows if not flags & 1),
            sum(1 for flags, _ in rows if flags & 8),
            octets,
            account_id,
            mailbox_id,
        ),
    )
    if row is None:
        return None
    count_txn(txn, account_id, octets, len(rows))
    return Arrivals(row[0], Uid(row[1] - len(rows)))


def arrive_everywhere_txn(
    txn: Transaction, arriving: Sequence[tuple[AccountId, MailboxId, ModSeq, Sequence[tuple[int, int]]]]
) -> dict[tuple[AccountId, MailboxId], Arrivals]:
    """As :func:`arrive_txn` for many mailboxes, that are there and can hold messages, in few statements."""
    arrivals: dict[tuple[AccountId, MailboxId], Arrivals] = {}
    numbers = {(account_id, mailbox_id): len(rows) for account_id, mailbox_id, _, rows in arriving}
    for start in range(0, len(arriving), _ARRIVALS_A_STATEMENT):
        values: list[int] = []
        piece = arriving[start : start + _ARRIVALS_A_STATEMENT]
        for account_id, mailbox_id, modseq, rows in piece:
            unseen = deleted = size = 0
            for flags, octets in rows:
                unseen += not flags & 1
                deleted += (flags & 8) >> 3
                size += octets
            values += (account_id, mailbox_id, modseq, len(rows), unseen, deleted, size)
        # Lengths are powers of two, padded with no mailbox: few statements serve all, and each piece is one.
        length = 1 << (len(piece) - 1).bit_length()
        values += _NO_ARRIVAL * (length - len(piece))
        for account_id, mailbox_id, uid_validity, uid_next in txn.rows(_arrive_statement(length), values):
            key = (account_id, mailbox_id)
            arrivals[key] = Arrivals(uid_validity, Uid(uid_next - numbers[key]))
    if txn.totals:
        for account_id, _, _, rows in arriving:
            count_txn(txn, account_id, sum(octets for _, octets in rows), len(rows))
    return arrivals


_ARRIVALS_A_STATEMENT = 32
_NO_ARRIVAL = (0,) * 7


@cache
def _arrive_statement(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * count)
    return (
        "UPDATE mailboxes SET highest_modseq = v.column3, uid_next = uid_next + v.column4,"
        " messages = messages + v.column4, unseen = unseen + v.column5, deleted = deleted + v.column6,"
        f" size = size + v.column7 FROM (VALUES {rows}) AS v"
        " WHERE mailboxes.account_id = v.column1 AND mailboxes.mailbox_id = v.column2"
        " RETURNING mailboxes.account_id, mailboxes.mailbox_id, mailboxes.uid_validity, mailboxes.uid_next"
    )


def depart_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, modseq: ModSeq, rows: Sequence[tuple[int, int]]
) -> None:
    """Count messages out, each a pair (system_flags, size)."""
    octets = sum(size for _, size in rows)
    count_txn(txn, account_id, -octets, -len(rows))
    txn.execute(
        "UPDATE mailboxes SET highest_modseq = ?, altered_modseq = ?, messages = messages - ?, unseen = unseen - ?,"
        " deleted = deleted - ?, size = size - ? WHERE account_id = ? AND mailbox_id = ?",
        (
            modseq,
            modseq,
            len(rows),
            sum(1 for flags, _ in rows if not flags & 1),
            sum(1 for flags, _ in rows if flags & 8),
            octets,
            account_id,
            mailbox_id,
        ),
    )


def reflag_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, modseq: ModSeq, unseen: int, deleted: int
) -> None:
    """Note that flags have changed, and adjust the counts."""
    txn.execute(
        "UPDATE mailboxes SET highest_modseq = ?, altered_modseq = ?, unseen = unseen + ?, deleted = deleted + ?"
        " WHERE account_id = ? AND mailbox_id = ?",
        (modseq, modseq, unseen, deleted, account_id, mailbox_id),
    )


def claim_recent_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, below: Uid) -> UidSet:
    """Take ``\\Recent`` of the messages below a UID that no session has taken."""
    lock_account_txn(txn, account_id)
    mailbox = mailbox_of_id_txn(txn, account_id, mailbox_id)
    if mailbox.first_recent >= below:
        return UidSet()
    txn.execute(
        "UPDATE mailboxes SET first_recent = ? WHERE account_id = ? AND mailbox_id = ?", (below, account_id, mailbox_id)
    )
    return UidSet(((mailbox.first_recent, below - 1),))
