"""Pack files: files of messages' octets, written once and never changed.

A pack file begins with a line that names its format. Then one record follows another: a line of JSON with
``content_id``, ``size`` and ``sha256``, the octets, and a line feed. Ids ascend within a pack file, and through the
pack files that one run of a backup has written. A file is there under its name when all of it is on the disk, or not at
all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final

from attrs import frozen

from pymailsuite.errors import ConfigError
from pymailsuite.store.moving.source import Chunk

FIRST_LINE: Final = b"pymailsuite segment 1\n"
SUFFIX: Final = ".segment"
PARTIAL: Final = ".partial"

_READ_AT_ONCE = 2**20
_MODE = 0o600


@frozen(order=True)
class Place:
    """The place of the octets of a content."""

    content_id: int
    segment: str
    offset: int
    size: int


@frozen
class FileFacts:
    """The entry of a file in a manifest."""

    sha256: str
    size: int


class BackupFault(ConfigError):
    """A file of a backup is missing or damaged."""

    text = "The backup is damaged"


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_new(path: Path) -> IO[bytes]:
    """A new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _MODE), "w+b")


def facts_of(path: Path) -> FileFacts:
    """The facts of an existing file. BackupFault if it is missing."""
    digest = sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_READ_AT_ONCE):
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise BackupFault(f"{path}: {error.strerror or error}") from None
    return FileFacts(digest.hexdigest(), size)


class PackFileWriter:
    """Writes contents to one pack file after another. ``run`` begins their names; ``written`` lists complete files."""

    def __init__(self, folder: Path, run: str, limit: int) -> None:
        self._folder = folder
        self._run = run
        self._limit = limit
        self._number = 0
        self._file: IO[bytes] | None = None
        self._name = ""
        self._digest = sha256()
        self._end = 0
        self.written: dict[str, FileFacts] = {}

    def add(self, content_id: int, size: int, digest: bytes, chunks: Iterable[Chunk]) -> tuple[Place, bool]:
        """Write one content; where it lies, and whether its octets match its digest."""
        if self._file is not None and self._end + size > self._limit:
            self.close()
        file = self._file or self._begin()
        header = {"content_id": content_id, "size": size, "sha256": digest.hex()}
        self._put(file, json.dumps(header).encode() + b"\n")
        place = Place(content_id, self._name, self._end, size)
        actual = sha256()
        for _, _, octets in chunks:
            actual.update(octets)
            self._put(file, octets)
        written = self._end - place.offset
        if written < size:
            # The store is damaged; the record keeps its length, so that those behind it can be read.
            self._put(file, b"\0" * (size - written))
        self._put(file, b"\n")
        return place, actual.digest() == digest

    def _begin(self) -> IO[bytes]:
        self._number += 1
        self._name = f"{self._run}-{self._number:06}{SUFFIX}"
        self._file = open_new(self._folder / (self._name + PARTIAL))
        self._digest = sha256()
        self._end = 0
        self._put(self._file, FIRST_LINE)
        return self._file

    def _put(self, file: IO[bytes], octets: bytes) -> None:
        file.write(octets)
        self._digest.update(octets)
        self._end += len(octets)

    def close(self) -> None:
        """Make the last pack file whole."""
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        os.rename(self._folder / (self._name + PARTIAL), self._folder / self._name)
        sync_folder(self._folder)
        self.written[self._name] = FileFacts(self._digest.hexdigest(), self._end)


def run_of(name: str) -> str:
    """The run that wrote a pack file."""
    return name.rpartition("-")[0]


def places_in(folder: Path, names: Iterable[str]) -> Iterator[Place]:
    """The records of pack files, by reading their headers. BackupFault."""
    for name in names:
        with (folder / name).open("rb") as file:
            if file.readline() != FIRST_LINE:
                raise BackupFault(f"{folder / name} is not a segment")
            while line := file.readline():
                header = _header(folder / name, line)
                offset = file.tell()
                yield Place(header["content_id"], name, offset, header["size"])
                file.seek(offset + header["size"] + 1)


def _header(path: Path, line: bytes) -> Any:
    try:
        header = json.loads(line)
        header["content_id"], header["size"], header["sha256"]
    except (ValueError, KeyError, TypeError):
        raise BackupFault(f"{path}: damaged") from None
    return header


class PackFileReader:
    """Reads octets at places. Keeps a few files open, for contents that are asked for in order lie near each other."""

    _OPEN: Final = 8

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}

    def read(self, place: Place, start: int, stop: int) -> bytes:
        """Octets of a content. BackupFault."""
        stop = min(stop, place.size)
        try:
            file = self._file(place.segment)
            file.seek(place.offset + start)
            octets = file.read(stop - start)
        except OSError as error:
            raise BackupFault(f"{self._folder / place.segment}: {error.strerror or error}") from None
        if len(octets) < stop - start:
            raise BackupFault(f"{self._folder / place.segment} is shorter than it was")
        return octets

    def _file(self, name: str) -> IO[bytes]:
        file = self._files.pop(name, None)
        if file is None:
            file = (self._folder / name).open("rb")
            if len(self._files) >= self._OPEN:
                self._files.pop(next(iter(self._files))).close()
        self._files[name] = file  # the last one used is the last one closed
        return file

    def close(self) -> None:
        """Close all."""
        while self._files:
            self._files.popitem()[1].close()
