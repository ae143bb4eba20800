"""Unpacks a file from outside; its kind is found from its octets and never from a name or a label.

XML, gzip, zip, or one of them in another.

Bounded in octets, by themselves and in proportion to what came, in members and in depth.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from pymailsuite.policy.untrusted_xml import is_xml

XML_MAX: Final = 64 * 1024 * 1024
"""Octets of a report after unpacking, and of the file before."""
RATIO_MAX: Final = 200
"""Octets that one octet of a file may become; reports are at 20 to 50."""
_RATIO_FREE: Final = 1024 * 1024
"""Octets up to which the ratio does not matter."""
_DEPTH_MAX: Final = 3
"""So often may one thing be packed into another."""
_FILES_MAX: Final = 100
"""Files of an archive that are looked at."""
_MEMBERS_MAX: Final = 10_000
"""Members of a gzip file (RFC 1952 §2.2)."""
_DIRECTORY_MAX: Final = 1024 * 1024
"""Octets of the directory of an archive: all of it is read before the first file is."""
_CHUNK: Final = 64 * 1024
_LOOK: Final = 512
"""Octets of a file that tell what it is."""
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_ZIP_END: Final = b"PK\x05\x06"
_ZIP_64: Final = b"PK\x06\x07"
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of packing that take no more memory than they give out. Reports use no others."""
_ENCRYPTED: Final = 0x1


class BadReportError(ValueError):
    """It is no report, or one that is not to be read: the text says why."""


def is_known(octets: bytes) -> bool:
    """Whether it begins as something that is read here; its first octets are enough."""
    return octets[:2] == _GZIP or octets[:4] == _ZIP or is_xml(octets)


def documents(octets: bytes, limit: int = XML_MAX) -> Iterator[bytes]:
    """Each XML document in it, at its turn; ``limit`` octets at most of all that is unpacked. BadReportError."""
    allowed = min(limit, max(_RATIO_FREE, len(octets) * RATIO_MAX))
    if len(octets) > limit:
        raise BadReportError(f"it is longer than {limit} octets")
    yield from _Unpacking(allowed).documents(octets, 0)


class _Unpacking:
    """One file. ``left`` are the octets that may still come out of it."""

    def __init__(self, allowed: int) -> None:
        self._allowed = self._left = allowed

    def documents(self, octets: bytes, depth: int) -> Iterator[bytes]:
        if octets[:2] == _GZIP or octets[:4] == _ZIP:
            if depth == _DEPTH_MAX:
                raise BadReportError("it is packed too often")
            for unpacked in self._unzipped(octets) if octets[:4] == _ZIP else (self._gunzipped(octets),):
                yield from self.documents(unpacked, depth + 1)
        elif is_xml(octets):
            yield octets
        else:
            raise BadReportError("neither XML nor gzip nor zip")

    def _taken(self, octets: bytes) -> bytes:
        self._left -= len(octets)
        if self._left < 0:
            raise BadReportError(f"it is longer than {self._allowed} octets when it is unpacked")
        return octets

    def _gunzipped(self, octets: bytes) -> bytes:
        """All members, one after the other. What stands behind them, such as padding, is none."""
        pieces: list[bytes] = []
        at = members = 0
        while octets[at : at + 2] == _GZIP and members < _MEMBERS_MAX:
            members += 1
            at = self._member(octets, at, pieces)
        return b"".join(pieces)

    def _member(self, octets: bytes, at: int, pieces: list[bytes]) -> int:
        """Where the member that begins ``at`` ends. A chunk at a time: what stands behind it is copied each time."""
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            chunk = member.unconsumed_tail or octets[at : at + _CHUNK]
            if not member.unconsumed_tail:
                at += len(chunk)
            if not chunk:
                raise BadReportError("it cannot be unpacked: its end is missing")
            try:
                pieces.append(self._taken(member.decompress(chunk, self._left + 1)))
            except zlib.error as error:
                raise BadReportError(f"it cannot be unpacked: {error}") from None
        return at - len(member.unused_data)

    def _unzipped(self, octets: bytes) -> Iterator[bytes]:
        """Those files of an archive that may hold a report."""
        end = octets.rfind(_ZIP_END)
        if end < 0:
            raise BadReportError("it cannot be unpacked: its end is missing")
        directory_size = int.from_bytes(octets[end + 12 : end + 16], "little")
        if directory_size > _DIRECTORY_MAX or octets[max(end - 20, 0) : end].startswith(_ZIP_64):
            raise BadReportError("it cannot be unpacked: an archive of too many files")
        with _archive(octets) as archive:
            reason = "no XML file in the archive"
            found = False
            for info in archive.infolist()[:_FILES_MAX]:
                if info.is_dir():
                    continue
                if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
                    reason = "it cannot be unpacked: a file is encrypted, or packed in a way that no report is"
                    continue
                try:
                    unpacked = self._file(archive, info)
                except BadReportError:
                    raise
                except Exception as error:
                    # The library says in a dozen ways that an archive is broken.
                    reason = f"it cannot be unpacked: {error}"
                    continue
                if unpacked:
                    found = True
                    yield unpacked
            if not found:
                raise BadReportError(reason)

    def _file(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
        """A file; empty if it is of another kind."""
        with archive.open(info) as file:
            start = file.read(_LOOK)
            return self._taken(start + file.read(self._left + 1)) if is_known(start) else b""


def _archive(octets: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(BytesIO(octets))
    except Exception as error:
        raise BadReportError(f"it cannot be unpacked: {error}") from None
