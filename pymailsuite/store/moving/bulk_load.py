"""Makes one store equal to a source: only differences are written, so a run may be interrupted and repeated at any
time."""

# ruff: noqa: S608
# Statements are put together from the schema's own names; values always travel beside them.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256

from attrs import define, field

from pymailsuite.store.checks import check_digests_txn, check_txn
from pymailsuite.store.contents import HEADER_MAX
from pymailsuite.store.moving.progress import Progress
from pymailsuite.store.moving.rows import (
    Difference,
    Digest,
    batch_txn,
    differences,
    digest_txn,
    key_of,
)
from pymailsuite.store.moving.session import StoreSession
from pymailsuite.store.moving.source import CHUNKS, CONTENTS, HEADERS, LEFT_BEHIND, Source, groups
from pymailsuite.store.tables import Table
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import ContentId, queue_id_of

CONTENTS_AT_ONCE = 100


@define
class BulkLoadResult:
    """The result. ``digests`` are those of the source, of every table that was loaded."""

    digests: dict[str, Digest] = field(factory=dict)
    rows: int = 0
    """Rows written."""
    octets: int = 0
    """Octets of messages written."""
    faults: list[str] = field(factory=list)
    """The faults found in the source."""


class BulkLoad:
    """Fills ``target`` from sources that are states of the same store."""

    def __init__(self, target: StoreSession, tables: Mapping[str, Table], progress: Progress) -> None:
        self._target = target
        self._tables = tables
        self._progress = progress
        self.done = BulkLoadResult()

    def fill(self, source: Source) -> None:
        """Make every table equal to that of the source."""
        self._fill_contents(source)
        for table in self._tables.values():
            if table.name not in {CONTENTS, *LEFT_BEHIND}:
                self._progress.begin(table.name, source.count(table), "rows")
                digest = self.done.digests[table.name] = Digest()
                self._merge(table, source, digest)

    # --- tables of rows

    def _target_batches(self, table: Table) -> Iterator[list[Row]]:
        after: Row | None = None
        while batch := self._target.read(f"read {table.name}", partial(batch_txn, table=table, after=after)):
            yield batch
            after = key_of(table)(batch[-1])

    def _merge(self, table: Table, source: Source, digest: Digest) -> None:
        def on_source(batch: list[Row]) -> None:
            digest.add(batch)
            self._progress.advance(len(batch))

        for difference in differences(table, source.batches(table), self._target_batches(table), on_source):

            def apply_txn(txn: Transaction, difference: Difference = difference) -> None:
                self._delete_txn(txn, table, list(difference.there))
                self._insert_txn(txn, table, difference.wanted)

            self._target.write(f"write {table.name}", apply_txn)
            self.done.rows += len(difference.wanted)

    @staticmethod
    def _delete_txn(txn: Transaction, table: Table, keys: Sequence[Row]) -> None:
        condition = " AND ".join(f"{name} = ?" for name in table.key)
        if keys:
            txn.execute_many(f"DELETE FROM {table.name} WHERE {condition}", keys)

    def _insert_txn(self, txn: Transaction, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            txn.load(table.name, table.column_names, rows)

    # --- contents

    def _fill_contents(self, source: Source) -> None:
        table = self._tables[CONTENTS]
        size = table.column_names.index("size")
        digest = self.done.digests[CONTENTS] = Digest()
        self._progress.begin(CONTENTS, source.count(table), "rows")

        def on_source(batch: list[Row]) -> None:
            digest.add(batch)
            self._progress.advance(len(batch))

        for difference in differences(table, source.batches(table), self._target_batches(table), on_source):
            key = key_of(table)
            # Octets never change: a row of the same id and size has them already.
            same = [
                row
                for row in difference.wanted
                if key(row) in difference.there and difference.there[key(row)][size] == row[size]
            ]
            kept = {key(row) for row in same}
            gone = [found for found in difference.there if found not in kept]

            def apply_txn(
                txn: Transaction,
                gone: list[Row] = gone,
                same: list[Row] = same,
                there: Sequence[Row] = tuple(difference.there),
            ) -> None:
                self._delete_octets_txn(txn, gone)
                self._delete_txn(txn, table, there)
                self._insert_txn(txn, table, same)

            if difference.there:
                self._target.write("write contents", apply_txn)
            self.done.rows += len(same)
            self.add_contents(source, [row for row in difference.wanted if key(row) not in kept])

    def add_contents(self, source: Source, rows: Sequence[Row]) -> None:
        """Put in contents with their octets: a content is there when its row is, and never half."""
        table = self._tables[CONTENTS]
        names = table.column_names
        places = names.index("content_id"), names.index("size"), names.index("digest"), names.index("header_size")
        by_id = {row[places[0]]: row for row in rows}
        for group in groups([(row[places[0]], row[places[1]]) for row in rows]):
            wanted = [(content_id, by_id[content_id][places[1]]) for content_id in group]
            expected = {content_id: by_id[content_id][places[2]] for content_id in group}
            header_sizes = {content_id: by_id[content_id][places[3]] for content_id in group}

            def add_txn(
                txn: Transaction,
                wanted: list[tuple[int, int]] = wanted,
                expected: dict[int, bytes] = expected,
                header_sizes: dict[int, int] = header_sizes,
            ) -> tuple[int, list[str]]:
                # If the source has to be read again, this is done again.
                keys = [(key,) for key, _ in wanted]
                self._delete_octets_txn(txn, keys)
                self._delete_txn(txn, table, keys)
                octets, faults = self._add_chunks_txn(txn, source, wanted, expected, header_sizes)
                self._insert_txn(txn, table, [by_id[content_id] for content_id, _ in wanted])
                return octets, faults

            octets, faults = self._target.write("write contents", add_txn)
            self.done.octets += octets
            self.done.rows += len(wanted)
            self.done.faults += faults

    def _delete_octets_txn(self, txn: Transaction, keys: Sequence[Row]) -> None:
        for name in (CHUNKS, HEADERS):
            if name in self._tables:
                txn.execute_many(f"DELETE FROM {name} WHERE content_id = ?", keys)

    def _add_chunks_txn(
        self,
        txn: Transaction,
        source: Source,
        wanted: list[tuple[int, int]],
        expected: dict[int, bytes],
        header_sizes: dict[int, int],
    ) -> tuple[int, list[str]]:
        sums = {content_id: sha256() for content_id in expected}
        octets = 0
        for chunks in source.chunks(wanted):
            for content_id, _, piece in chunks:
                sums[content_id].update(piece)
                octets += len(piece)
            self._insert_txn(txn, self._tables[CHUNKS], chunks)
            if HEADERS in self._tables:
                headers = [
                    (content_id, piece[: header_sizes[content_id]])
                    for content_id, position, piece in chunks
                    if position == 0 and 0 < header_sizes[content_id] <= min(len(piece), HEADER_MAX)
                ]
                self._insert_txn(txn, self._tables[HEADERS], headers)
        return octets, [
            f"content {queue_id_of(ContentId(content_id))}: its octets do not match their digest"
            for content_id, digest in expected.items()
            if sums[content_id].digest() != digest
        ]

    # --- verifying

    def verify(self, deep: bool) -> list[str]:
        """A line for each difference of the target from the source: every table is read again and its
        rows counted and digested; ``deep`` compares all octets with their digests."""
        found: list[str] = []
        for table in self._tables.values():
            if table.name in LEFT_BEHIND:
                continue
            expected = self.done.digests[table.name]
            self._progress.begin(f"verify {table.name}", expected.rows, "rows")
            actual = self._target.read(f"verify {table.name}", partial(digest_txn, table=table))
            self._progress.advance(actual.rows)
            if actual.rows != expected.rows:
                found.append(f"table {table.name}: {actual.rows} rows, in the source {expected.rows}")
            elif actual != expected:
                found.append(f"table {table.name}: rows differ from the source's")
        found += self._target.read("verify", check_txn)
        after: int | None = 0 if deep else None
        if deep:
            self._progress.begin("verify octets", self.done.digests[CONTENTS].rows, "rows")
        while after is not None:
            lines, after = self._target.read(
                "verify digests", partial(check_digests_txn, after=after, limit=CONTENTS_AT_ONCE)
            )
            self._progress.advance(CONTENTS_AT_ONCE if after is not None else 0)
            found += lines
        return found
