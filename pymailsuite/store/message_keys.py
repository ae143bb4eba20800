"""The keys and headers of contents from before these were stored: computed, or read from the octets, when they are
needed, and filled in by a background job.

A content without ``own_link`` has none of its keys; its header may be there or not. The job goes through the contents
in the order of their ids, a bounded number in each transaction, and stores its progress; mail goes on between. New
contents have both from the start.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from pymailsuite.message.keys import HEAD_OCTETS, stored_keys
from pymailsuite.message.structure import MessageKeys
from pymailsuite.store.contents import HEADER_MAX, insert_headers_txn, read_octets_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import ContentId

_LOOKED_AT: Final = 2000
"""Contents checked for missing keys and headers in one transaction."""
_FILLED: Final = 50
"""Contents for which something is filled in in one transaction."""
_PROGRESS: Final = "keys_filled"
_SET: Final = f"UPDATE contents SET {' = ?, '.join(MessageKeys._fields)} = ? WHERE content_id = ?"


def keys_now_txn(txn: Transaction, content_id: ContentId) -> MessageKeys | None:
    """The keys of a content, computed from its stored data; None if it is gone."""
    row = txn.row("SELECT header_size, parts, bodystructure FROM contents WHERE content_id = ?", (content_id,))
    if row is None:
        return None
    header_size, parts, bodystructure = row
    octets = read_octets_txn(txn, content_id, 0, max(header_size, HEAD_OCTETS))
    return stored_keys(octets, header_size, bytes(parts), bytes(bodystructure))


def keys_of_txn(txn: Transaction, content_ids: Sequence[ContentId]) -> dict[ContentId, MessageKeys]:
    """The computed keys of contents without stored ones, by id."""
    made = {content_id: keys_now_txn(txn, content_id) for content_id in content_ids}
    return {content_id: keys for content_id, keys in made.items() if keys is not None}


def set_keys_txn(txn: Transaction, keys: dict[ContentId, MessageKeys]) -> None:
    """Store the keys."""
    txn.execute_many(_SET, [(*one, content_id) for content_id, one in sorted(keys.items())])


@frozen
class KeyFilling:
    """A piece of the work: keys and headers to be stored, and the content id up to which all will then have theirs."""

    keys: dict[ContentId, MessageKeys]
    headers: dict[ContentId, bytes]
    after: int
    upto: int

    @property
    def is_last(self) -> bool:
        """Whether no contents were left."""
        return self.upto == self.after

    @property
    def contents(self) -> int:
        """The number of contents for which something is filled in."""
        return len(self.keys.keys() | self.headers.keys())


def next_filling_txn(txn: Transaction) -> KeyFilling:
    """The next piece of work; reads only."""
    after: int = txn.value("SELECT value FROM counters WHERE name = ?", (_PROGRESS,))
    rows: list[Row] = txn.rows(
        "SELECT c.content_id, c.own_link IS NULL,"
        f" CASE WHEN h.content_id IS NULL AND c.header_size <= {HEADER_MAX} THEN c.header_size ELSE 0 END"
        " FROM contents c LEFT JOIN content_headers h ON h.content_id = c.content_id"
        " WHERE c.content_id > ? ORDER BY c.content_id LIMIT ?",
        (after, _LOOKED_AT),
    )
    lacking = [row for row in rows if row[1] or row[2]]
    upto = rows[-1][0] if rows else after
    if len(lacking) > _FILLED:
        del lacking[_FILLED:]
        upto = lacking[-1][0]
    keys = keys_of_txn(txn, [content_id for content_id, lacks_keys, _ in lacking if lacks_keys])
    headers = {content_id: read_octets_txn(txn, content_id, 0, size) for content_id, _, size in lacking if size}
    return KeyFilling(keys, headers, after, upto)


def fill_txn(txn: Transaction, filling: KeyFilling) -> None:
    """Store a piece and the progress, which never goes back behind that of another process."""
    set_keys_txn(txn, filling.keys)
    if filling.headers:
        # A sweep may have dropped some of them since they were read, and another process may have been quicker.
        marks = ", ".join("?" * len(filling.headers))
        there = txn.rows(
            f"SELECT content_id FROM contents WHERE content_id IN ({marks}) ORDER BY content_id{txn.for_update}",
            list(filling.headers),
        )
        insert_headers_txn(
            txn, [(content_id, filling.headers[content_id]) for (content_id,) in there], on_conflict="DO NOTHING"
        )
    txn.execute("UPDATE counters SET value = ? WHERE name = ? AND value = ?", (filling.upto, _PROGRESS, filling.after))


def fill_anew_txn(txn: Transaction) -> None:
    """Start over: there are contents without keys or headers again."""
    txn.execute("UPDATE counters SET value = 0 WHERE name = ?", (_PROGRESS,))
