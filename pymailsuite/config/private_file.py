"""Files that hold secrets: read only if nobody but their owner can have read or changed them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from pymailsuite.errors import ConfigError

_SIZE_MAX: Final = 64 * 1024


def read_private_file(path: Path) -> bytes:
    """The octets of a file that only its owner may read (a group may too, if it may not write). ConfigError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(_SIZE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(f"{path}: others may read or change what is secret in it; chmod 600")
    if len(octets) > _SIZE_MAX:
        raise ConfigError(f"{path}: it is larger than {_SIZE_MAX} octets")
    return octets
