"""One server for all tests of a module, and the way to run a client program."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from tests.support.patience import PATIENCE_S
from tests.support.server import Server, running

USER, OTHER = "ann", "bob"


def needs(program: str) -> unittest.TestCase:
    """Skip a test where the client program is not installed."""
    return unittest.skipIf(shutil.which(program) is None, f"{program} is not installed")  # type: ignore[return-value]


class ServerTestCase(unittest.TestCase):
    """A server with the accounts ann and bob; tests leave mail behind and use unique subjects."""

    server: ClassVar[Server]
    folder: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cls.server = stack.enter_context(running(Server(cls.folder / "server", [USER, OTHER])))

    @property
    def user(self) -> str:
        """The login name of the first account."""
        return self.server.addresses[0]

    @property
    def other(self) -> str:
        """The login name of the second account."""
        return self.server.addresses[1]

    def run_client(self, *command: str, stdin: bytes = b"", fails: bool = False, **settings: str) -> bytes:
        """Run a client program and answer what it printed; the test fails if the program does (unless ``fails``)."""
        done = subprocess.run(
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
            cwd=self.folder,
            env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8", **settings},
        )
        self.assertEqual(done.returncode != 0, fails, done.stdout.decode("utf-8", "replace"))
        return done.stdout
