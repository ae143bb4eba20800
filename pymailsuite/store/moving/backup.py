"""A backup of a store in use.

First the octets that no set has yet are written to pack files, in many short transactions. Then one transaction reads a
snapshot of the store: its tables are written out, and the octets of the messages that came since the first pass began.
So a set is one consistent snapshot; no long transaction keeps the database from its own cleaning; writers neither wait
nor are waited for.

An interrupted run leaves complete pack files; the next one uses them.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter
from typing import Final

from attrs import define, field, frozen

from pymailsuite.errors import ConfigError
from pymailsuite.store.moving.backup_set import (
    PLACES,
    BackupFolder,
    BackupSet,
    JsonLines,
    Manifest,
    NewSet,
    TableFacts,
    TableFile,
    set_name,
)
from pymailsuite.store.moving.pack_file import FileFacts, PackFileWriter, Place, facts_of, places_in, run_of
from pymailsuite.store.moving.progress import Progress
from pymailsuite.store.moving.session import StoreSession, identity_txn, schema_version_txn
from pymailsuite.store.moving.source import CONTENTS, GROUP_OCTETS, LEFT_BEHIND, StoreSource
from pymailsuite.store.tables import Table, declared_tables
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ContentId, queue_id_of

PACK_FILE_OCTETS: Final = 64 * 2**20
"""A pack file is begun anew when it would grow past this."""

_CONTENTS_AT_ONCE = 500

Wanted = tuple[int, int, bytes]
"""content_id, size, digest"""


@frozen
class BackupResult:
    """The result of a run. Octets are those of messages, ``new_octets`` those that no set had before."""

    name: str
    taken_at: float
    contents: int
    octets: int
    new_octets: int
    sets_dropped: int
    segments_dropped: int
    seconds: float
    faults: list[str]


def back_up(
    source: StoreSession,
    folder: BackupFolder,
    progress: Progress,
    *,
    keep: int | None = None,
    pack_file_octets: int = PACK_FILE_OCTETS,
) -> BackupResult:
    """Add a set to a folder, which is made if it is not there; then drop all but the newest ``keep`` sets.

    ConfigError if the folder has backups of another store, or another backup runs.
    """
    started = time.monotonic()
    version, identity = source.read("look at the store", lambda txn: (schema_version_txn(txn), identity_txn(txn)))
    folder.make()
    with folder.locked():
        run = _Run(source, folder, progress, version, identity, pack_file_octets)
        run.save_contents()
        name, manifest = run.write_set()
        dropped = folder.keep(keep) if keep else (0, 0)
    seconds = time.monotonic() - started
    contents = manifest.tables[CONTENTS].rows
    return BackupResult(
        name, manifest.taken_at, contents, manifest.octets, manifest.new_octets, *dropped, seconds, manifest.faults
    )


@define
class _Known:
    """Contents whose octets are in pack files already, asked for by ascending id."""

    places: Iterator[Place]
    _next: Place | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = next(self.places, None)

    def find(self, content_id: int) -> Place | None:
        """The place of a content, if it is known."""
        while self._next is not None and self._next.content_id < content_id:
            self._next = next(self.places, None)
        found = self._next
        return found if found is not None and found.content_id == content_id else None


class _Run:
    def __init__(
        self,
        source: StoreSession,
        folder: BackupFolder,
        progress: Progress,
        version: int,
        identity: str,
        pack_file_octets: int,
    ) -> None:
        self._source = source
        self._folder = folder
        self._progress = progress
        self._version = version
        self._identity = identity
        self._tables = declared_tables(version)
        sets = folder.all_sets()
        self._last: BackupSet | None = sets[-1] if sets else None
        if self._last is not None and self._last.manifest.store != identity:
            raise ConfigError(f"{folder.path} has backups of another store; each store needs a folder of its own")
        named = {name for one in sets for name in one.manifest.segments}
        self._left_over = [name for name in folder.pack_file_names() if name not in named]
        self._pack_file_octets = pack_file_octets
        self._writer = self._new_writer()
        self._written: dict[str, FileFacts] = {}
        self._faults: list[str] = []

    def _new_writer(self) -> PackFileWriter:
        return PackFileWriter(self._folder.segments, set_name(time.time()), self._pack_file_octets)

    def _end_pass(self) -> None:
        """Ids ascend in what one writer writes, so each pass has its own."""
        self._writer.close()
        self._written |= self._writer.written
        self._writer = self._new_writer()

    def _known(self) -> _Known:
        """From the last set, and from pack files that no set names yet: of interrupted runs, and of this one."""
        streams = [self._last.places()] if self._last is not None else []
        unnamed = [*self._left_over, *self._written]
        streams += [places_in(self._folder.segments, list(names)) for _, names in groupby(unnamed, key=run_of)]
        return _Known(merge(*streams))

    # --- octets, in many transactions

    def save_contents(self) -> None:
        """Write the octets that are in no pack file."""
        known = self._known()
        total = self._source.read(
            "count octets", lambda txn: txn.value(f"SELECT COALESCE(SUM(size), 0) FROM {CONTENTS}")
        )
        self._progress.begin("messages", total, "octets")
        step_txn = partial(self._step_txn, known=known)
        after: int | None = 0
        while after is not None:
            after = self._source.read("back up messages", partial(step_txn, after=after), once=True)
        self._end_pass()

    def _step_txn(self, txn: Transaction, known: _Known, after: int) -> int | None:
        """Write some; the last id looked at, None at the end."""
        wanted: list[Wanted] = []
        octets = 0
        last: int | None = None
        rows = txn.rows(
            f"SELECT content_id, size, digest FROM {CONTENTS} WHERE content_id > ? ORDER BY content_id"
            f" LIMIT {_CONTENTS_AT_ONCE}",
            (after,),
        )
        for last, size, digest in rows:
            self._progress.advance(size)
            if known.find(last) is None:
                wanted.append((last, size, bytes(digest)))
                octets += size
                if octets >= GROUP_OCTETS:
                    break
        self._save(StoreSource(txn), wanted)
        return last

    def _save(self, source: StoreSource, wanted: Sequence[Wanted]) -> list[Place]:
        chunks = chain.from_iterable(source.chunks([(content_id, size) for content_id, size, _ in wanted]))
        by_content = groupby(chunks, key=itemgetter(0))
        found = next(by_content, None)
        places = []
        for content_id, size, digest in wanted:
            has_octets = found is not None and found[0] == content_id
            place, is_sound = self._writer.add(content_id, size, digest, found[1] if found and has_octets else ())
            places.append(place)
            if not is_sound:
                what = queue_id_of(ContentId(content_id))
                self._faults.append(f"content {what}: its octets do not match their digest")
            if has_octets:
                found = next(by_content, None)
        return places

    # --- one moment

    def write_set(self) -> tuple[str, Manifest]:
        """Write a set and make it whole; its name and manifest."""
        new, taken_at, tables, octets = self._source.read("back up", self._write_tables_txn, once=True)
        self._end_pass()
        before = self._last.manifest.segments if self._last is not None else {}
        manifest = Manifest(
            store=self._identity,
            schema_version=self._version,
            taken_at=taken_at,
            octets=sum(octets.values()),
            new_octets=sum(number for segment, number in octets.items() if segment not in before),
            tables=tables,
            files=new.facts(),
            segments={name: self._pack_file_facts(name, before) for name in sorted(octets)},
            faults=self._faults,
        )
        new.complete(manifest)
        return new.name, manifest

    def _pack_file_facts(self, name: str, before: dict[str, FileFacts]) -> FileFacts:
        return before.get(name) or self._written.get(name) or facts_of(self._folder.segments / name)

    def _write_tables_txn(self, txn: Transaction) -> tuple[NewSet, float, dict[str, TableFacts], dict[str, int]]:
        identity_txn(txn)  # the first statement settles which moment it is
        taken_at = time.time()
        new = NewSet(self._folder, set_name(taken_at))
        source = StoreSource(txn)
        octets = self._write_places(source, new)
        facts = {}
        for table in self._tables.values():
            if table.name not in LEFT_BEHIND:
                facts[table.name] = self._write_table(source, new, table)
        return new, taken_at, facts, octets

    def _write_table(self, source: StoreSource, new: NewSet, table: Table) -> TableFacts:
        self._progress.begin(table.name, source.count(table), "rows")
        file = TableFile(new.path, table)
        for batch in source.batches(table):
            file.add(batch)
            self._progress.advance(len(batch))
        return file.close()

    def _write_places(self, source: StoreSource, new: NewSet) -> dict[str, int]:
        """List where the octets of each content lie; how many octets of these there are in each pack file."""
        table = self._tables[CONTENTS]
        names = table.column_names
        take = itemgetter(names.index("content_id"), names.index("size"), names.index("digest"))
        known = self._known()
        octets: dict[str, int] = {}
        file = JsonLines(new.path / PLACES, ("content_id", "segment", "offset", "size"))
        for batch in source.batches(table):
            places: list[Place] = []
            wanted: list[Wanted] = []
            for row in batch:
                content = take(row)
                place = known.find(content[0])
                if place is not None:
                    places.append(place)
                else:
                    wanted.append(content)
            places = sorted([*places, *self._save(source, wanted)])
            for place in places:
                octets[place.segment] = octets.get(place.segment, 0) + place.size
            file.add([(place.content_id, place.segment, place.offset, place.size) for place in places])
        file.close()
        return octets
