"""Evolution does a day's work: ``python -m tests.interop.recording evolution``.

What is driven is the mail library of the program (Camel, of evolution-data-server), by its bindings for Python: the
same code that the program has under its windows, but the windows.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.interop.recording.work import Desk

_PYTHON = "/usr/bin/python3"
"""The one that has Debian's ``python3-gi`` and ``gir1.2-camel-1.2``."""


def work(desk: Desk) -> str:
    """Do it all; the version of the program."""
    script = Path(__file__).with_name("evolution_camel.py")
    arguments = (str(script), str(desk.folder / "evolution"), str(desk.ports["imap"]), desk.address)
    # It takes loopback for no network otherwise, and stays offline.
    with desk.program(_PYTHON, *arguments, GIO_USE_NETWORK_MONITOR="base") as program:
        assert program.stdin is not None and program.stdout is not None
        for line in program.stdout:
            said = line.strip()
            if said.startswith("@"):
                desk.act(said[1:])
                program.stdin.write("done\n")
                program.stdin.flush()
            else:
                desk.say(said)
        assert program.wait() == 0
    version = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "evolution-data-server"], check=True, capture_output=True, text=True
    )
    return f"Evolution's mail library {version.stdout}"
