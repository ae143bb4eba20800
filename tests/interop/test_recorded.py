"""Thunderbird, Evolution and Claws Mail, whose recorded dialogues are played again: ``tests/transcripts/clients``.

``tests/interop/recording`` says how they are recorded.
"""

from __future__ import annotations

import contextlib
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from tests.acceptance import acceptance
from tests.interop.recording import content
from tests.interop.recording.replay import play
from tests.interop.recording.text import FOLDER, steps_of
from tests.support.server import Server, running


class RecordedTests(unittest.TestCase):
    """Each program has an account of its own."""

    server: ClassVar[Server]

    @classmethod
    def setUpClass(cls) -> None:
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        accounts = [name for path in sorted(FOLDER.glob("*.txt")) for name in content.accounts_for(path.stem)]
        cls.server = stack.enter_context(running(Server(folder / "server", [*accounts, "bob"])))

    def _play(self, program: str) -> None:
        address = f"{program}@{self.server.domain}"
        content.fill(self.server, address)
        steps = steps_of((FOLDER / f"{program}.txt").read_text("utf-8"))
        ports = {"imap": self.server.port(143), "submission": self.server.port(587)}
        play(program, steps, ports, lambda event: content.act(self.server, address, event))

    @acceptance("S114", "S115", "S136", "S137")
    def test_thunderbird(self) -> None:
        """First start, folders, reading, tags, junk, moving, sending, search, IDLE, offline and back, compaction."""
        self._play("thunderbird")

    @acceptance("S275")
    def test_evolution(self) -> None:
        """The same with QRESYNC and NOTIFY: what has happened meanwhile is all that is told after a night."""
        self._play("evolution")

    def test_claws_mail(self) -> None:
        """A program that knows few extensions: it asks for all flags again and again, and deletes by EXPUNGE."""
        self._play("claws")
