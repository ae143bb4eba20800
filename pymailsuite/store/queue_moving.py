"""Moves the queue of stores before schema 23, whose entries had the ids of their contents, to the present tables.

Some of an entry's recipients could have other envelopes, kept as JSON beside it: each envelope becomes an entry of its
own.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any, Final

from pymailsuite.store.contents import change_refs_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import ContentId

_AT_ONCE: Final = 500
"""Number of entries read in one piece, which bounds the memory."""
# As they are at schema 23; later ones may have more.
_ENTRY_COLUMNS: Final = (
    "entry_id, content_id, due_at, held, claimed_by, claimed_until, reverse_local, reverse_domain, reverse_unquoted,"
    " created_at, smtputf8, body, origin, prefix, envid, ret, priority"
)
_RECIPIENT_COLUMNS: Final = (
    "entry_id, position, local_part, domain, unquoted, route, original_local, original_domain, state, attempts,"
    " next_attempt, delay_reported, last_status, last_reply, last_host, notify, orcpt"
)
_ENTRY: Final = (
    "SELECT content_id, held, claimed_by, claimed_until, reverse_local, reverse_domain, reverse_unquoted, created_at,"
    " smtputf8, body, origin, prefix, other_ways FROM old_queue_entries"
    f" WHERE content_id > ? ORDER BY content_id LIMIT {_AT_ONCE}"
)
_RECIPIENTS: Final = (
    "SELECT content_id, way, position, local_part, domain, unquoted, route, original_local, original_domain, state,"
    " attempts, next_attempt, delay_reported, last_status, last_reply, last_host FROM old_queue_recipients"
    " WHERE content_id BETWEEN ? AND ? ORDER BY content_id, position"
)


def move_queue_txn(txn: Transaction) -> None:
    """Make the entries and recipients of the old tables, with ids from 1: no process has ever made such a low one."""
    after, number = -1, 0
    while entries := txn.rows(_ENTRY, (after,)):
        first, after = entries[0][0], entries[-1][0]
        recipients: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
        for row in txn.rows(_RECIPIENTS, (first, after)):
            recipients[row[0], row[1]].append(row[2:])
        made: list[tuple[Any, ...]] = []
        made_recipients: list[tuple[Any, ...]] = []
        for content_id, *facts, local, domain, unquoted, created_at, smtputf8, body, origin, prefix, others in entries:
            ways = [(local, domain, unquoted, prefix)]
            for other in json.loads(others) if others else ():
                ways.append((*other[:2], int(other[2]), other[3].encode("latin-1") or None))
            for way, (*path, fields) in enumerate(ways):
                rows = recipients[content_id, way]
                due = [next_attempt for *_, state, _, next_attempt, _, _, _, _ in rows if state == "waiting"]
                if not due:
                    continue  # all of that way have ended
                number += 1
                made.append(
                    (number, content_id, min(due), *facts, *path, created_at, smtputf8, body, origin, fields, "", "", 0)
                )
                made_recipients += [(number, *_ended_well(row), 0, "") for row in rows]
        txn.insert("queue_entries", _ENTRY_COLUMNS, made)
        txn.insert("queue_recipients", _RECIPIENT_COLUMNS, made_recipients)
        counts = Counter(row[1] for row in made)
        more = {ContentId(row[0]): counts[row[0]] - 1 for row in entries if counts[row[0]] != 1}
        if more:
            change_refs_txn(txn, more)


def _ended_well(row: Row) -> Row:
    """A recipient in the words of today, which are those of RFC 3464."""
    *front, state, attempts, next_attempt, delay_reported, status, reply, host = row
    if state == "expired":
        state, status = "failed", "4.4.7"
    elif state == "waiting":
        state = "delayed"
    return (*front, state, attempts, next_attempt, delay_reported, status, reply, host)
