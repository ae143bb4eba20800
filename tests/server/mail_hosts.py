"""A whole server among mail hosts of others that a test plays, with the DNS that leads to them."""

from __future__ import annotations

import contextlib
import json
import tempfile
import unittest
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.support import commands
from tests.support.dns import ZoneServer
from tests.support.server import TunedServer, running
from tests.support.socket_sink import Script, SocketSink

Zone = Mapping[tuple[str, str], Sequence[str]]


class MailHostsCase(unittest.TestCase):
    """Derive, name the ``zone``, and start hosts and the server in ``setUpClass``. All of it ends with the class."""

    zone: ClassVar[Zone] = {}
    server: ClassVar[TunedServer]
    folder: ClassVar[Path]
    _stack: ClassVar[contextlib.ExitStack]
    _dns: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cls._dns = stack.enter_context(ZoneServer(cls.zone)).address

    @classmethod
    def start_host(cls, ip: str, port: int = 0, script: Script | None = None) -> SocketSink:
        """A mail host of somebody else."""
        return cls._stack.enter_context(SocketSink(ip, port, script))

    @classmethod
    def start_server(
        cls, accounts: Sequence[str], settings: Mapping[str, Any], kind: type[TunedServer] = TunedServer
    ) -> None:
        """Ours, which asks the zone's DNS."""
        server = kind(cls.folder, accounts, {"dns": {"servers": [cls._dns]}, **settings})
        cls.server = cls._stack.enter_context(running(server))

    @classmethod
    def command(cls, *words: str) -> Any:
        """What a command answers while the server runs."""
        done = commands.run(*words, "--config", str(cls.server.config_file), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
