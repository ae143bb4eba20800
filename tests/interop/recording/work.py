"""What the recorded programs need: a folder, the ports of the proxy, and a way to be started and ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.interop.recording import content
from tests.interop.recording.proxy import Proxy
from tests.support.server import Server

_END_S = 20.0
_LOG_SHOWN = 4000


def free_port() -> int:
    """A port of loopback that is free just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Desk:
    """The place of one program's work: its account on a server, behind a proxy."""

    def __init__(self, server: Server, address: str, proxy: Proxy, folder: Path) -> None:
        self.server = server
        self.address = address
        self.folder = folder
        self._proxy = proxy

    @property
    def ports(self) -> dict[str, int]:
        """Where the program connects to, by the name of the protocol."""
        return self._proxy.ports

    def act(self, event: str) -> None:
        """Something happens from outside, see :func:`~tests.interop.recording.content.act`."""
        self._proxy.note(f"X: {event}")
        content.act(self.server, self.address, event)

    def say(self, what: str) -> None:
        """Tell who records how far it is, and the reader of the recording too."""
        print(what, flush=True)
        if not what.startswith((" ", "@")):
            self._proxy.note(f"# {what}")

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of programs."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "TZ": "UTC", **settings}

    @contextlib.contextmanager
    def program(self, *command: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """A program runs, with the folder as its home, and may be talked to; its errors go to the file ``log``."""
        environment = self.environment(**settings)
        pipe = subprocess.PIPE
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True)
            try:
                yield process
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_END_S)
            except BaseException:
                print((self.folder / "log").read_text("utf-8", "replace")[-_LOG_SHOWN:], flush=True)
                raise
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
