"""An outside transport: messages for one domain become files."""

from __future__ import annotations

import json
import smtplib
import tempfile
import unittest
from pathlib import Path

from tests.support import commands
from tests.support.patience import PATIENCE_S, until
from tests.support.server import TunedServer, running
from tests.support.wheels import installed

MESSAGE = b"From: ann@example.test\r\nMessage-ID: <1@example.test>\r\nDate: x\r\nSubject: x\r\n\r\nHello\r\n"


class TransportDirectoryTests(unittest.TestCase):
    def test_messages_for_the_domain_become_files_and_leave_the_queue(self) -> None:
        with installed("transport_directory") as environment, tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "archive")
            archive.mkdir()
            settings = {"relay": {"transports": {"archive.example": f"directory:{archive}"}}}
            server = TunedServer(Path(folder, "server"), ["ann"], settings, environment=environment)

            def queue() -> object:
                return json.loads(commands.run("queue", "list", "--config", str(server.config_file), "--json").stdout)

            with running(server):
                with smtplib.SMTP("127.0.0.1", server.port(587), timeout=PATIENCE_S) as client:
                    client.login("ann@example.test", "test")
                    client.sendmail("ann@example.test", ["all@archive.example"], MESSAGE)
                until(lambda: queue() == [])
            (file,) = archive.iterdir()
            octets = file.read_bytes()
        self.assertTrue(octets.startswith(b"Delivered-To: all@archive.example\r\n"))
        self.assertTrue(octets.endswith(MESSAGE))
