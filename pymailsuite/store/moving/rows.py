"""Rows of any table: read in key order in bounded batches, normalized, digested, compared."""

# ruff: noqa: S608
# Statements are put together from the schema's own names; values always travel beside them.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from attrs import define, field, frozen

from pymailsuite.store.tables import Kind, Table
from pymailsuite.store.transaction import Row, Transaction

BATCH_ROWS = 500

_CONVERSIONS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: int,
    Kind.REAL: float,
    Kind.TEXT: str,
    Kind.OCTETS: bytes,
}


@cache
def key_of(table: Table) -> Callable[[Row], Row]:
    """A function that returns the key of a row, always as a tuple."""
    places = table.key_places
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places)


def plain(table: Table, rows: Iterable[Sequence[Any]]) -> list[Row]:
    """The rows with values of exactly the types that the columns are declared to have, whatever types the driver
    returned."""
    conversions = [_CONVERSIONS[column.kind] for column in table.columns]
    return [
        tuple([None if value is None else convert(value) for convert, value in zip(conversions, row, strict=True)])
        for row in rows
    ]


@define
class Digest:
    """The digest of a set of rows, independent of their order: their number, and the sum of their digests."""

    rows: int = 0
    total: int = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Count rows in."""
        for row in rows:
            self.rows += 1
            self.total += int.from_bytes(blake2b(ascii(row).encode("ascii"), digest_size=16).digest())
        self.total &= (1 << 128) - 1

    def hex(self) -> str:
        """For a manifest."""
        return f"{self.total:032x}"


def batches_txn(
    txn: Transaction, table: Table, after: Row | None = None, limit: int = BATCH_ROWS
) -> Iterator[list[Row]]:
    """All rows after a key, in key order, some at a time; each batch is a statement of its own."""
    while batch := batch_txn(txn, table, after, limit):
        yield batch
        after = key_of(table)(batch[-1])


def batch_txn(txn: Transaction, table: Table, after: Row | None, limit: int = BATCH_ROWS) -> list[Row]:
    """The next rows after a key, in key order."""
    keys = ", ".join(table.key)
    where = "" if after is None else f" WHERE {_tuple_of(table.key)} > {_tuple_of('?' * len(after))}"
    select = f"SELECT {', '.join(table.column_names)} FROM {table.name}{where} ORDER BY {keys} LIMIT {limit}"
    return plain(table, txn.rows(select, after or ()))


def _tuple_of(words: Iterable[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"({', '.join(words)})"


def digest_txn(txn: Transaction, table: Table) -> Digest:
    """The digest of a whole table as it is stored."""
    digest = Digest()
    for batch in batches_txn(txn, table):
        digest.add(batch)
    return digest


@frozen
class Difference:
    """The changes that make the target's rows equal to the source's: keys to delete first, then rows to insert.

    ``there`` has the rows that are taken out, by key.
    """

    there: dict[Row, Row] = field(factory=dict)
    wanted: list[Row] = field(factory=list)


def differences(
    table: Table, source: Iterable[list[Row]], target: Iterable[list[Row]], on_source: Callable[[list[Row]], None]
) -> Iterator[Difference]:
    """Compare rows that both come in the same key order; no more than a few batches are held.

    ``on_source`` is called with each batch of the source after its differences have been handled.
    """
    key = key_of(table)
    waiting = _Waiting(target, key)
    for batch in source:
        there: dict[Row, Row] = {}
        wanted = {key(row): row for row in batch}
        top = key(batch[-1])
        for found, row in waiting.up_to(top):
            if wanted.get(found) == row:
                del wanted[found]
                continue
            there[found] = row
            if len(there) >= BATCH_ROWS:
                yield Difference({gone: row for gone, row in there.items() if gone not in wanted})
                there = {kept: row for kept, row in there.items() if kept in wanted}
        if there or wanted:
            yield Difference(there, list(wanted.values()))
        on_source(batch)
    surplus = {}
    for found, row in waiting.up_to(None):
        surplus[found] = row
        if len(surplus) >= BATCH_ROWS:
            yield Difference(surplus)
            surplus = {}
    if surplus:
        yield Difference(surplus)


class _Waiting:
    """The target's rows that have not been compared yet."""

    def __init__(self, batches: Iterable[list[Row]], key: Callable[[Row], Row]) -> None:
        self._rows = (row for batch in batches for row in batch)
        self._key = key
        self._next: Row | None = next(self._rows, None)

    def up_to(self, top: Row | None) -> Iterator[tuple[Row, Row]]:
        """Keys and rows as far as a key; None: all that are left."""
        while self._next is not None:
            key = self._key(self._next)
            if top is not None and key > top:
                return
            row, self._next = self._next, next(self._rows, None)
            yield key, row
