"""Threads of an account: the messages that belong together, and the thread ids reported to clients.

Messages share links (``message.thread_links``), and those that share one belong to a thread; its id is that of the
first content that was put into it. A message that shares links with two threads joins them: the later one is merged
into the earlier, or into the one that was reported to clients.

The thread id reported for a message stays: RFC 8474 §5.2 does not let a THREADID change once it was reported, nor RFC
8621 §4.1.1 a threadId. So a message is assigned to a thread as late as possible, when a client asks: until then
messages that arrive, in any order, may still join threads. A message that joins two threads afterwards is put into the
one that stays, with all later ones, and the messages of the other one keep the id reported for them. The alternative in
RFC 8621 §3, to remove messages and add them anew, would make every client fetch them again.

None of this is done for accounts whose clients do not ask for threads, and none while a message arrives. As the thread
depends on the links of a content, copies have the same one, and an undeleted message has its former one.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from pymailsuite.message.thread_links import decode_links
from pymailsuite.store.database import Database
from pymailsuite.store.mailboxes import lock_account_txn
from pymailsuite.store.message_keys import keys_of_txn, set_keys_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.store.uid_ranges import conditions
from pymailsuite.values import AccountId, MailboxId, UidSet

_PIECE: Final = 500
"""Messages put into threads in one transaction."""
_LIST: Final = 512
"""Values looked up by one statement."""


class ThreadsNotGiven(Exception):
    """Raised within a read: a message has no thread yet. Call :func:`give_threads`, and read again."""


async def give_threads(database: Database, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet) -> None:
    """Put all messages of an account into threads, and fix the ids reported for ``uids``."""
    behind = await database.read("look for mail without threads", partial(_behind_txn, account_id=account_id))
    for one in behind:
        link_txn = partial(_link_piece_txn, account_id=account_id, mailbox_id=one)
        while await database.run("put mail into threads", link_txn, (account_id,)):
            pass
    for condition, values in conditions(uids, "m.uid"):
        where = f"m.account_id = ? AND m.mailbox_id = ? AND {condition}"
        values = [account_id, mailbox_id, *values]  # noqa: PLW2901
        after: int | None = 0
        while after is not None:
            tell_txn = partial(_tell_piece_txn, account_id=account_id, where=where, values=values, after=after)
            after = await database.run("tell threads", tell_txn, (account_id,))


# --- finding messages without a thread


def _behind_txn(txn: Transaction, account_id: AccountId) -> list[MailboxId]:
    """Mailboxes with messages that arrived after their last assignment to threads."""
    rows = txn.rows(
        "SELECT b.mailbox_id FROM mailboxes b LEFT JOIN threaded_mailboxes t"
        " ON t.account_id = b.account_id AND t.mailbox_id = b.mailbox_id"
        " WHERE b.account_id = ? AND b.uid_next > COALESCE(t.uid_next, 1) ORDER BY b.mailbox_id",
        (account_id,),
    )
    return [MailboxId(mailbox_id) for (mailbox_id,) in rows]


def _link_piece_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId) -> bool:
    """Put some messages of a mailbox into threads, and store the progress; True if there may be more."""
    # One process at a time assigns threads.
    lock_account_txn(txn, account_id)
    row = txn.row(
        "SELECT b.uid_next, COALESCE(t.uid_next, 1) FROM mailboxes b LEFT JOIN threaded_mailboxes t"
        " ON t.account_id = b.account_id AND t.mailbox_id = b.mailbox_id WHERE b.account_id = ? AND b.mailbox_id = ?",
        (account_id, mailbox_id),
    )
    if row is None:
        return False
    uid_next, first = row
    rows: list[Row] = txn.rows(
        "SELECT m.uid, m.content_id, c.own_link, c.links FROM messages m JOIN contents c ON c.content_id = m.content_id"
        f" WHERE m.account_id = ? AND m.mailbox_id = ? AND m.uid >= ? ORDER BY m.uid LIMIT {_PIECE}",
        (account_id, mailbox_id, first),
    )
    lacking = keys_of_txn(txn, [content_id for _, content_id, own_link, _ in rows if own_link is None])
    set_keys_txn(txn, lacking)
    found: dict[int, tuple[int, bytes]] = {}
    for _, content_id, own_link, links in rows:
        keys = lacking.get(content_id)
        found[content_id] = (own_link, bytes(links)) if keys is None else (keys.own_link, keys.links)
    _link_txn(txn, account_id, sorted((content_id, *links) for content_id, links in found.items()))
    is_full = len(rows) == _PIECE
    txn.execute(
        "INSERT INTO threaded_mailboxes (account_id, mailbox_id, uid_next) VALUES (?, ?, ?)"
        " ON CONFLICT (account_id, mailbox_id) DO UPDATE SET uid_next = excluded.uid_next",
        (account_id, mailbox_id, rows[-1][0] + 1 if is_full else uid_next),
    )
    return is_full


# --- putting together


def _link_txn(txn: Transaction, account_id: AccountId, contents: Sequence[tuple[int, int, bytes]]) -> None:
    """Put contents, each (content_id, own_link, links), into threads."""
    shared = [(content_id, [own_link, *decode_links(links)]) for content_id, own_link, links in contents]
    there = _looked_up_txn(
        txn,
        "SELECT link, thread_id FROM thread_links WHERE account_id = ? AND link",
        account_id,
        {link for _, links in shared for link in links},
    )
    threads = _threads_txn(txn, account_id, {row[1] for row in there})
    thread_of: dict[int, int] = {link: _now(threads, thread_id) for link, thread_id in there}
    known = set(thread_of.values())
    threads |= _threads_txn(txn, account_id, known - threads.keys())
    joined: dict[int, int] = {}
    new: dict[int, int] = {}
    for content_id, links in shared:
        meeting = {_end(joined, thread_of[link]) for link in links if link in thread_of}
        # The one that was reported to clients, else the earliest.
        thread_id = min(meeting, key=lambda one: (threads.get(one) != one, one)) if meeting else content_id
        joined |= dict.fromkeys(meeting - {thread_id}, thread_id)
        for link in links:
            if link not in thread_of:
                thread_of[link] = new[link] = thread_id
    txn.insert(
        "thread_links",
        "account_id, link, thread_id",
        [(account_id, link, _end(joined, thread_id)) for link, thread_id in sorted(new.items())],
    )
    gone = sorted(known.intersection(joined))
    txn.execute_many(
        "UPDATE threads SET into_id = ? WHERE account_id = ? AND into_id = ?",
        [(_end(joined, thread_id), account_id, thread_id) for thread_id in gone],
    )
    txn.insert(
        "threads",
        "account_id, thread_id, into_id",
        [(account_id, thread_id, _end(joined, thread_id)) for thread_id in gone],
        on_conflict="DO NOTHING",
    )


def _end(joined: dict[int, int], thread_id: int) -> int:
    """The thread that a thread was merged into, with path compression."""
    end = thread_id
    while end in joined:
        end = joined[end]
    while thread_id != end:
        joined[thread_id], thread_id = end, joined[thread_id]
    return end


def _now(threads: Mapping[int, int], thread_id: int) -> int:
    """The present id of a thread, according to ``threads``."""
    return threads.get(thread_id, thread_id)


def _threads_txn(txn: Transaction, account_id: AccountId, thread_ids: Iterable[int]) -> dict[int, int]:
    """The threads that these were merged into; those reported to clients stand for themselves."""
    rows = _looked_up_txn(
        txn, "SELECT thread_id, into_id FROM threads WHERE account_id = ? AND thread_id", account_id, thread_ids
    )
    return dict(rows)


def _looked_up_txn(txn: Transaction, select: str, account_id: AccountId, values: Iterable[int]) -> list[Row]:
    """Rows of ``select``, which ends in the column that is to have one of the values."""
    wanted, rows = sorted(values), []
    for start in range(0, len(wanted), _LIST):
        piece = wanted[start : start + _LIST]
        length = 1 << (len(piece) - 1).bit_length()
        piece += piece[-1:] * (length - len(piece))
        rows += txn.rows(f"{select} IN ({', '.join('?' * length)})", [account_id, *piece])
    return rows


# --- reporting


def _tell_piece_txn(
    txn: Transaction, account_id: AccountId, where: str, values: Sequence[int], after: int
) -> int | None:
    """Fix the thread id of some messages for which none was reported; returns the UID after which the next piece
    begins, None for the last."""
    lock_account_txn(txn, account_id)
    rows = txn.rows(
        "SELECT m.uid, l.link, l.thread_id FROM messages m JOIN contents c ON c.content_id = m.content_id"
        " JOIN thread_links l ON l.account_id = m.account_id AND l.link = c.own_link"
        f" WHERE {where} AND m.uid > ? AND l.told_id IS NULL ORDER BY m.uid LIMIT {_PIECE}",
        [*values, after],
    )
    threads = _threads_txn(txn, account_id, {thread_id for _, _, thread_id in rows})
    told = {link: _now(threads, thread_id) for _, link, thread_id in rows}
    txn.execute_many(
        "UPDATE thread_links SET told_id = ? WHERE account_id = ? AND link = ?",
        [(thread_id, account_id, link) for link, thread_id in sorted(told.items())],
    )
    txn.insert(
        "threads",
        "account_id, thread_id, into_id",
        [(account_id, thread_id, thread_id) for thread_id in sorted(set(told.values()))],
        on_conflict="DO NOTHING",
    )
    return rows[-1][0] if len(rows) == _PIECE else None


def begin_anew_txn(txn: Transaction) -> None:
    """Assign all messages again at the next request: links of contents have changed. Messages with unchanged links keep
    the reported id."""
    txn.execute("DELETE FROM threaded_mailboxes")
