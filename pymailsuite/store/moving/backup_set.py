"""The folder of a backup and the sets in it: see docs/backup.rst for the format.

A set is a folder that appears under its name when every file in it is on the disk: the tables at one moment, a list of
where the octets of each content lie in the pack files, and a manifest with the digests of all files.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from pymailsuite.errors import ConfigError
from pymailsuite.store.moving.pack_file import (
    PARTIAL,
    SUFFIX,
    BackupFault,
    FileFacts,
    PackFileReader,
    Place,
    facts_of,
    open_new,
    sync_folder,
)
from pymailsuite.store.moving.rows import BATCH_ROWS, Digest
from pymailsuite.store.moving.source import Chunk
from pymailsuite.store.tables import Kind, Table, declared_tables
from pymailsuite.store.transaction import Row
from pymailsuite.values import MAX_CHUNK

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PLACES: Final = "places.jsonl.gz"

_FOLDER_MODE = 0o700
_TIME = "%Y%m%dT%H%M%S.%fZ"
_COMPRESSION = 3


def set_name(taken_at: float) -> str:
    """The name of a set taken at a moment; sorts as the moments do."""
    return datetime.fromtimestamp(taken_at, UTC).strftime(_TIME)


def table_file(name: str) -> str:
    """The file of a table in a set."""
    return f"{name}.jsonl.gz"


@frozen
class TableFacts:
    """The entry of a table in a manifest."""

    rows: int
    digest: str


@frozen
class Manifest:
    """The description of a set. ``store`` is the identity of the store, ``taken_at`` POSIX seconds; ``octets`` is the
    size of all messages, ``new_octets`` the part of it that this set was the first to save; ``faults`` were found in
    the store."""

    store: str
    schema_version: int
    taken_at: float
    octets: int
    new_octets: int
    tables: dict[str, TableFacts]
    files: dict[str, FileFacts]
    segments: dict[str, FileFacts]
    faults: list[str] = field(factory=list)

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(
            {
                "format": FORMAT,
                "store": self.store,
                "schema_version": self.schema_version,
                "taken_at": self.taken_at,
                "octets": self.octets,
                "new_octets": self.new_octets,
                "tables": {name: {"rows": facts.rows, "digest": facts.digest} for name, facts in self.tables.items()},
                "files": {name: {"sha256": facts.sha256, "size": facts.size} for name, facts in self.files.items()},
                "segments": {
                    name: {"sha256": facts.sha256, "size": facts.size} for name, facts in self.segments.items()
                },
                "faults": self.faults,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, path: Path) -> Manifest:
        """Read the file. BackupFault."""
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["format"] != FORMAT:
                raise BackupFault(f"{path}: format {values['format']}, this release knows {FORMAT}")
            return cls(
                store=values["store"],
                schema_version=values["schema_version"],
                taken_at=values["taken_at"],
                octets=values["octets"],
                new_octets=values["new_octets"],
                tables={name: TableFacts(**facts) for name, facts in values["tables"].items()},
                files={name: FileFacts(**facts) for name, facts in values["files"].items()},
                segments={name: FileFacts(**facts) for name, facts in values["segments"].items()},
                faults=values["faults"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupFault(f"{path}: {error}") from None


class JsonLines:
    """A compressed file of JSON, a row a line, the first of which has the names of the columns."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._raw = open_new(path)
        self._file = gzip.GzipFile("", "wb", _COMPRESSION, self._raw, mtime=0)
        self.add([columns])

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows of values that JSON knows."""
        self._file.write("".join([json.dumps(row, ensure_ascii=False) + "\n" for row in rows]).encode("utf-8"))

    def close(self) -> None:
        """Bring it to the disk."""
        self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()


def read_json_lines(path: Path) -> Iterator[list[Any]]:
    """All lines. BackupFault."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise BackupFault(f"{path}: {error}") from None


class TableFile:
    """Writes the rows of a table; octets as base64."""

    def __init__(self, folder: Path, table: Table) -> None:
        self._octets = [place for place, column in enumerate(table.columns) if column.kind is Kind.OCTETS]
        self._file = JsonLines(folder / table_file(table.name), table.column_names)
        self.digest = Digest()

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows."""
        self.digest.add(rows)
        self._file.add([self._encoded(row) for row in rows] if self._octets else rows)

    def _encoded(self, row: Row) -> list[Any]:
        values = list(row)
        for place in self._octets:
            if values[place] is not None:
                values[place] = b64encode(values[place]).decode("ascii")
        return values

    def close(self) -> TableFacts:
        """Bring it to the disk."""
        self._file.close()
        return TableFacts(self.digest.rows, self.digest.hex())


class BackupSet:
    """One set, to be read."""

    def __init__(self, folder: BackupFolder, name: str) -> None:
        self.name = name
        self.path = folder.sets / name
        self.manifest = Manifest.from_json(self.path / MANIFEST)
        self._reader = PackFileReader(folder.segments)

    def tables(self) -> dict[str, Table]:
        """As the schema had them when the set was made. ConfigError if that is newer than this release."""
        known = declared_tables(self.manifest.schema_version)
        unknown = self.manifest.tables.keys() - known.keys()
        if unknown:
            raise ConfigError(f"{self.path} has tables that this release does not know: {', '.join(sorted(unknown))}")
        return known

    def count(self, table: Table) -> int:
        return self.manifest.tables[table.name].rows

    def rows(self, table: Table) -> Iterator[Row]:
        """All rows of a table, in key order. BackupFault."""
        lines = read_json_lines(self.path / table_file(table.name))
        columns = next(lines, None)
        if columns != list(table.column_names):
            raise BackupFault(f"{self.path / table_file(table.name)}: its columns are {columns}")
        octets = [place for place, column in enumerate(table.columns) if column.kind is Kind.OCTETS]
        for values in lines:
            for place in octets:
                if values[place] is not None:
                    values[place] = b64decode(values[place])
            yield tuple(values)

    def batches(self, table: Table) -> Iterator[list[Row]]:
        batch: list[Row] = []
        for row in self.rows(table):
            batch.append(row)
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch

    def places(self) -> Iterator[Place]:
        """The place of each content, by ascending id. BackupFault."""
        lines = read_json_lines(self.path / PLACES)
        next(lines, None)
        for values in lines:
            yield Place(*values)

    def octets(self, place: Place) -> Iterator[bytes]:
        """The octets of a content, a chunk at a time. BackupFault."""
        for start in range(0, place.size, MAX_CHUNK):
            yield self._reader.read(place, start, start + MAX_CHUNK)

    def close(self) -> None:
        """Let go of the pack files."""
        self._reader.close()


class BackupFolder:
    """The folder an operator names: ``sets``, ``segments``, and a file to be locked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sets = path / "sets"
        self.segments = path / "segments"

    def make(self) -> None:
        """Create missing folders. ConfigError."""
        try:
            for folder in (self.path, self.sets, self.segments):
                folder.mkdir(mode=_FOLDER_MODE, parents=folder is self.path, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror or error}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other runs. ConfigError if it is locked. Incomplete files of a killed run are
        dropped."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"{self.path}: another backup is being written there") from None
            self._drop_partial()
            yield
        finally:
            os.close(descriptor)

    def _drop_partial(self) -> None:
        for path in (*self.sets.glob(f"*{PARTIAL}"), *self.segments.glob(f"*{PARTIAL}")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def set_names(self) -> list[str]:
        """The sets there are, oldest first. ConfigError if this is no backup."""
        if not self.sets.is_dir():
            raise ConfigError(f"{self.path} is not a backup")
        return sorted(path.name for path in self.sets.iterdir() if path.is_dir() and path.suffix != PARTIAL)

    def pack_file_names(self) -> list[str]:
        """The pack files there are, in the order they were written."""
        return sorted(path.name for path in self.segments.glob(f"*{SUFFIX}"))

    def all_sets(self) -> list[BackupSet]:
        """All sets, oldest first. ConfigError, BackupFault."""
        return [BackupSet(self, name) for name in self.set_names()]

    def set_at(self, moment: float | None) -> BackupSet:
        """The newest set, or the newest that is not younger than a moment. ConfigError if there is none."""
        names = [name for name in self.set_names() if moment is None or name <= set_name(moment)]
        if not names:
            raise ConfigError(f"{self.path} has no set" + ("" if moment is None else " as old as that"))
        return BackupSet(self, names[-1])

    def keep(self, number: int) -> tuple[int, int]:
        """Drop all sets but the newest ``number``, then pack files that no set names; how many of each."""
        dropped = self.set_names()[:-number]
        for name in dropped:
            leaving = self.sets / (name + PARTIAL)
            os.rename(self.sets / name, leaving)
            shutil.rmtree(leaving)
        named = {segment for one in self.all_sets() for segment in one.manifest.segments}
        unnamed = [name for name in self.pack_file_names() if name not in named]
        for name in unnamed:
            (self.segments / name).unlink()
        sync_folder(self.sets)
        sync_folder(self.segments)
        return len(dropped), len(unnamed)


class NewSet:
    """A set that is being written."""

    def __init__(self, folder: BackupFolder, name: str) -> None:
        self.name = name
        self._final = folder.sets / name
        self.path = folder.sets / (name + PARTIAL)
        self.path.mkdir(mode=_FOLDER_MODE)

    def complete(self, manifest: Manifest) -> None:
        """Make it a set."""
        with open_new(self.path / MANIFEST) as file:
            file.write(manifest.to_json().encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path)
        os.rename(self.path, self._final)
        sync_folder(self._final.parent)

    def facts(self) -> dict[str, FileFacts]:
        """The facts of the files written so far."""
        return {path.name: facts_of(path) for path in sorted(self.path.iterdir())}


class SetSource:
    """A set as a source: reads places along with the contents that are asked for, whose ids ascend."""

    def __init__(self, backup: BackupSet) -> None:
        self._backup = backup
        self._places: Iterator[Place] = iter(())
        self._last = 0

    def count(self, table: Table) -> int:
        return self._backup.count(table)

    def batches(self, table: Table) -> Iterator[list[Row]]:
        return self._backup.batches(table)

    def chunks(self, contents: Sequence[tuple[int, int]]) -> Iterator[list[Chunk]]:
        if not self._last or contents[0][0] <= self._last:
            self._places = self._backup.places()
        for content_id, _ in contents:
            self._last = content_id
            place = next((place for place in self._places if place.content_id >= content_id), None)
            if place is None or place.content_id != content_id:
                raise BackupFault(f"{self._backup.path}: the octets of content {content_id} are not in it")
            for number, octets in enumerate(self._backup.octets(place)):
                yield [(content_id, number * MAX_CHUNK, octets)]
