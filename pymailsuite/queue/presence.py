"""Finds the owners of claims that have died, at once after a crash, where a lease alone would have to run out first.

Each process of the server keeps a file of its own locked for as long as it lives, in the data folder; the kernel
releases the lock when the process dies, however it dies. A process that can lock the file of another knows that this
one has died, and may end its claims on the queue and its locks of maildrops. A node that does not share the folder is
never checked: its claims end with their leases.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

_SUFFIX = ".owner"


class Presence:
    """This process's name as an owner of claims, and its locked file in ``folder``. ``host_name`` is for operators."""

    def __init__(self, folder: Path, host_name: str) -> None:
        self._folder = folder
        self._token = secrets.token_hex(4)
        self.owner = f"{host_name}:{os.getpid()}:{self._token}"
        self._file: int | None = None
        self._departed: dict[Path, tuple[int, str]] = {}

    def enter(self) -> None:
        """Create and lock the file. OSError if the folder cannot be used."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._own_path
        # The file is locked before it gets its name, or another process may take it for the file of a dead one.
        unnamed = path.with_suffix(".new")
        self._file = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, self.owner.encode())
        unnamed.rename(path)

    def dead_owners(self) -> list[str]:
        """The owners that have died, until :meth:`forget_dead_owners`. OSError as :meth:`enter`."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path != self._own_path and path not in self._departed:
                self._look_at(path)
        return [owner for _, owner in self._departed.values() if owner]

    def _look_at(self, path: Path) -> None:
        """Note the owner of ``path`` as dead, unless it lives or another process is handling it now."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return
        self._departed[path] = descriptor, os.pread(descriptor, 1024, 0).decode("utf-8", "replace")

    def forget_dead_owners(self) -> None:
        """The claims of the dead owners are released: remove their files."""
        for path, (descriptor, _) in self._departed.items():
            path.unlink(missing_ok=True)
            os.close(descriptor)
        self._departed.clear()

    def leave(self) -> None:
        """This process has no claims any more: remove its file. Harmless if there is none."""
        for descriptor, _ in self._departed.values():
            os.close(descriptor)
        self._departed.clear()
        if self._file is not None:
            self._own_path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    @property
    def _own_path(self) -> Path:
        return self._folder / f"{self._token}{_SUFFIX}"
