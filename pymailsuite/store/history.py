"""The history of messages. Written along with messages and attempts, so a few statements serve many entries."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby

from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.dns.names import comparable_name
from pymailsuite.interfaces.history import Copy, HistoryEntry, HistoryKind, IHistoryStore, Story
from pymailsuite.store.database import Database
from pymailsuite.store.ids import first_id_of
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, ContentId

DEFAULT_KEEP_S = 14 * 86400.0

_SPAN_S = 300
_SPANS_A_STATEMENT = 256
_COLUMNS = "story_id, entry_id, happened_at, kind, facts"


# The same clients, senders and recipients come again and again.
@lru_cache(maxsize=4096)
def _hash(name: str) -> int:
    digest = hashlib.blake2b(comparable_name(name).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _span(seconds: float) -> int:
    return int(seconds // _SPAN_S)


def insert_history_txn(txn: Transaction, entries: Sequence[HistoryEntry]) -> None:
    """Insert entries. One that exists already stays: a settling may be repeated."""
    txn.insert(
        "history",
        _COLUMNS,
        [(one.story_id, one.entry_id, one.happened_at, one.kind.value, one.facts) for one in entries],
        on_conflict="DO NOTHING",
    )
    names = sorted(
        {(_span(one.happened_at), _hash(name), one.story_id) for one in entries for name in one.names if name}
    )
    txn.insert("history_names", "span, name, story_id", names, on_conflict="DO NOTHING")


def drop_history_txn(txn: Transaction, before: float, limit: int) -> int:
    """Drop entries of stories that began before a time, and their names; returns the number of rows."""
    first = first_id_of(before)
    entries = txn.execute(
        "DELETE FROM history WHERE story_id < ? AND (story_id, entry_id) IN"
        f" (SELECT story_id, entry_id FROM history WHERE story_id < ? ORDER BY story_id, entry_id LIMIT {limit})",
        (first, first),
    )
    span = _span(before)
    names = txn.execute(
        "DELETE FROM history_names WHERE span < ? AND (span, name, story_id) IN"
        f" (SELECT span, name, story_id FROM history_names WHERE span < ? ORDER BY span, name, story_id LIMIT {limit})",
        (span, span),
    )
    return entries + names


@implementer(IHistoryStore)
class HistoryStore:
    """The tables ``history`` and ``history_names``."""

    def __init__(self, database: Database, next_id: Callable[[], ContentId]) -> None:
        self._database = database
        self._next_id = next_id

    def new_id(self) -> ContentId:
        return self._next_id()

    def add(self, entries: Sequence[HistoryEntry]) -> Deferred[None]:
        return self._database.run("add to history", lambda txn: insert_history_txn(txn, entries))

    def story(self, story_id: ContentId) -> Deferred[Story | None]:
        def story_txn(txn: Transaction) -> Story | None:
            found = _stories_txn(txn, [story_id])
            return found[0] if found else None

        return self._database.read("story", story_txn)

    def about(self, name: str, since: float, limit: int) -> Deferred[Sequence[Story]]:
        def about_txn(txn: Transaction) -> list[Story]:
            ids: list[ContentId] = []
            ends = txn.row("SELECT MAX(span), MIN(span) FROM history_names")
            if ends is None or ends[0] is None:
                return []
            last, first = ends[0], max(ends[1], _span(since))
            while last >= first and len(ids) < limit:
                # From the newest on: a span has few rows, and most queries are about today.
                lowest = max(first, last - _SPANS_A_STATEMENT + 1)
                spans = [*range(last, lowest - 1, -1)]
                spans += [last] * (_SPANS_A_STATEMENT - len(spans))
                rows = txn.rows(
                    "SELECT story_id FROM history_names WHERE name = ? AND span IN"
                    f" ({', '.join('?' * len(spans))}) ORDER BY span DESC, story_id DESC LIMIT ?",
                    (_hash(name), *spans, limit),
                )
                ids += [story_id for (story_id,) in rows]
                last = lowest - 1
            stories = _stories_txn(txn, ids[:limit])
            return [story for story in stories if story.entries[0].happened_at >= since]

        return self._database.read("stories", about_txn)

    def copies(self, content_id: ContentId, account_ids: Sequence[AccountId]) -> Deferred[Sequence[Copy]]:
        def copies_txn(txn: Transaction) -> list[Copy]:
            found: list[Copy] = []
            for account_id in account_ids:
                account = txn.row(
                    "SELECT login_name FROM account_state WHERE account_id = ? AND removed_at IS NULL", (account_id,)
                )
                if account is None:
                    continue
                rows = txn.rows(
                    "SELECT b.name FROM messages m JOIN mailboxes b"
                    " ON b.account_id = m.account_id AND b.mailbox_id = m.mailbox_id"
                    " WHERE m.account_id = ? AND m.content_id = ? ORDER BY b.name",
                    (account_id, content_id),
                )
                found += [Copy(account[0], name) for (name,) in rows] or [Copy(account[0], None)]
            return found

        return self._database.read("copies", copies_txn)


def _stories_txn(txn: Transaction, story_ids: Sequence[ContentId]) -> list[Story]:
    """The newest first."""
    if not story_ids:
        return []
    rows: list[Row] = txn.rows(
        f"SELECT {_COLUMNS} FROM history WHERE story_id IN ({', '.join('?' * len(story_ids))})"
        " ORDER BY story_id DESC, entry_id",
        story_ids,
    )
    return [
        Story(story_id, tuple([_entry(row) for row in members])) for story_id, members in groupby(rows, lambda r: r[0])
    ]


def _entry(row: Row) -> HistoryEntry:
    story_id, entry_id, happened_at, kind, facts = row
    return HistoryEntry(ContentId(story_id), ContentId(entry_id), happened_at, HistoryKind(kind), facts)
