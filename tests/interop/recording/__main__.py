"""Record a program anew: ``python -m tests.interop.recording PROGRAM``, in the folder of the repository."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from tests.interop.recording.content import accounts_for, fill
from tests.interop.recording.proxy import recording
from tests.interop.recording.text import FOLDER, lines_of
from tests.interop.recording.work import Desk
from tests.support.server import Server, running

_LINES_SHOWN = 60


def main(program: str) -> None:
    """Write ``tests/transcripts/clients/PROGRAM.txt``."""
    work = importlib.import_module(f"tests.interop.recording.{program}").work
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running(Server(folder / "server", [*accounts_for(program), "bob"])) as server:
            address = server.addresses[0]
            fill(server, address)
            ports = {"imap": server.port(143), "submission": server.port(587)}
            with recording(ports) as proxy:
                try:
                    version = work(Desk(server, address, proxy, folder))
                except BaseException:
                    print("\n".join(list(lines_of(proxy.said, proxy.protocols))[-_LINES_SHOWN:]))
                    raise
                said, protocols = list(proxy.said), dict(proxy.protocols)
    lines = [f"# {version}. Recorded by: python -m tests.interop.recording {program}", *lines_of(said, protocols)]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{program}.txt").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
