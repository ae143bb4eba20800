"""The source of rows and octets for filling a store: another store, or a set of a backup."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pymailsuite.store.moving.rows import batches_txn
from pymailsuite.store.tables import Table
from pymailsuite.store.transaction import Row, Transaction

Chunk = tuple[int, int, bytes]
"""content_id, position, octets: a row of ``content_chunks``."""

GROUP_OCTETS = 4 * 2**20
"""Octets of messages held in memory at once, about."""

CONTENTS = "contents"
CHUNKS = "content_chunks"
HEADERS = "content_headers"

LEFT_BEHIND: Mapping[str, str] = {
    CHUNKS: "octets, which move with the row of their content",
    HEADERS: "headers, which are the first of those octets",
    "staged_contents": "octets of messages on their way in, of which nobody has been told yet that they are stored",
    **dict.fromkeys(("text_accounts", "text_pieces", "text_words"), "the text index, which is made again from octets"),
}
"""Tables whose rows are moved in another way, and why."""

_CHUNKS_AT_ONCE = 16


class Source(Protocol):
    """A snapshot of a store."""

    def count(self, table: Table) -> int:
        """The number of rows."""

    def batches(self, table: Table) -> Iterator[list[Row]]:
        """All rows, some at a time, in key order."""

    def chunks(self, contents: Sequence[tuple[int, int]]) -> Iterator[list[Chunk]]:
        """The octets of contents, each an id and a size, ids ascending; a bounded number at a time."""


class StoreSource:
    """A store as one transaction sees it."""

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def count(self, table: Table) -> int:
        number: int = self._txn.value(f"SELECT COUNT(*) FROM {table.name}")
        return number

    def batches(self, table: Table) -> Iterator[list[Row]]:
        return batches_txn(self._txn, table)

    def chunks(self, contents: Sequence[tuple[int, int]]) -> Iterator[list[Chunk]]:
        for group in groups(contents):
            if len(group) == 1:
                yield from chunks_of_one_txn(self._txn, group[0])
            else:
                yield chunks_of_many_txn(self._txn, group)


def groups(contents: Sequence[tuple[int, int]], limit: int = GROUP_OCTETS) -> Iterator[list[int]]:
    """Ids of contents that may be in memory together; one that is larger comes alone."""
    group: list[int] = []
    held = 0
    for content_id, size in contents:
        if group and held + size > limit:
            yield group
            group, held = [], 0
        group.append(content_id)
        held += size
    if group:
        yield group


def chunks_of_many_txn(txn: Transaction, content_ids: Sequence[int]) -> list[Chunk]:
    """All chunks of contents that are small enough together."""
    marks = ", ".join("?" * len(content_ids))
    rows = txn.rows(
        "SELECT content_id, position, octets FROM content_chunks"
        f" WHERE content_id IN ({marks}) ORDER BY content_id, position",
        content_ids,
    )
    return [(content_id, position, bytes(octets)) for content_id, position, octets in rows]


def chunks_of_one_txn(txn: Transaction, content_id: int, after: int = -1) -> Iterator[list[Chunk]]:
    """The chunks of a content of any size, some at a time."""
    while batch := next_chunks_txn(txn, content_id, after):
        yield batch
        after = batch[-1][1]


def next_chunks_txn(txn: Transaction, content_id: int, after: int) -> list[Chunk]:
    """Some chunks of a content, after a position."""
    rows = txn.rows(
        "SELECT content_id, position, octets FROM content_chunks WHERE content_id = ? AND position > ?"
        f" ORDER BY position LIMIT {_CHUNKS_AT_ONCE}",
        (content_id, after),
    )
    return [(content_id, position, bytes(octets)) for content_id, position, octets in rows]
