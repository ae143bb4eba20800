"""Files that are read again when they have changed."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[int, int, int]
"""What identifies a version of a file."""


def read_if_changed(path: Path, stamp: Stamp | None) -> tuple[Stamp, str] | None:
    """The file's text and what identifies this version of it; None if that is ``stamp`` still. OSError,
    UnicodeDecodeError."""
    with path.open(encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        latest = (status.st_ino, status.st_size, status.st_mtime_ns)
        return None if latest == stamp else (latest, file.read())
