"""A terminal for programs that people type into."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

_LOOK_S = 0.2
_MOST_OCTETS = 65536


class Terminal:
    """What is shown there is read and thrown away, but for the last of it."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self._pid = pid
        self._descriptor = descriptor
        self._ends = threading.Event()
        self.shown = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._descriptor, keys.encode())

    def close(self) -> None:
        """End the program, if it has not ended, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._ends.set()
        self._thread.join()
        os.close(self._descriptor)

    def _read(self) -> None:
        while not self._ends.is_set():
            if select.select([self._descriptor], [], [], _LOOK_S)[0]:
                try:
                    self.shown = (self.shown + os.read(self._descriptor, _MOST_OCTETS))[-_MOST_OCTETS:]
                except OSError:
                    return


@contextlib.contextmanager
def typing(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A program runs in a terminal of its own for as long as the block does."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe(command[0], command, dict(environment))
    terminal = Terminal(pid, descriptor)
    try:
        yield terminal
    finally:
        terminal.close()
