"""A whole server learns of a sender: from what it takes, and from a user who moves a message to Junk."""

from __future__ import annotations

import contextlib
import imaplib
import json
import shutil
import smtplib
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from tests.acceptance import acceptance
from tests.support import commands
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running

CLIENT = "127.0.0.1"
RECORDS = {
    ("client.example", "MX"): ["10 mx.client.example."],
    ("client.example", "TXT"): [f'"v=spf1 ip4:{CLIENT} -all"'],
    ("mx.client.example", "A"): [CLIENT],
}


class ReputationBlackBoxTests(unittest.TestCase):
    server: TunedServer
    folder: Path

    def known(self) -> dict[str, Any]:
        """What the command tells of the domain; nothing if it is not known."""
        command = ["reputation", "show", "client.example", "--json"]
        config = ["--config", str(self.folder / "pymailsuite.toml")]
        told = commands.run(*command, *config)
        self.assertEqual(told.returncode, 0, told.stderr)
        rows = json.loads(told.stdout)
        return rows[0] if rows else {}

    def wait_for(self, event: str) -> dict[str, Any]:
        """What is known once there is one of these events."""
        deadline = time.monotonic() + PATIENCE_S
        while not (known := self.known()).get(event):
            self.assertLess(time.monotonic(), deadline, f"never {event}: {known}")
        return known

    @acceptance("S162")
    def test_a_verified_domain_is_known_by_its_mail(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        with contextlib.ExitStack() as stack:
            zone = stack.enter_context(ZoneServer(RECORDS))
            settings = {
                "smtp": {"trusted_networks": []},
                "dns": {"servers": [zone.address]},
                "reputation": {"action": "score", "write_interval": 0.05},
            }
            self.server = stack.enter_context(running(TunedServer(self.folder, ["user"], settings)))
            with smtplib.SMTP(CLIENT, self.server.port(25), timeout=PATIENCE_S) as client:
                client.ehlo("mx.client.example")
                client.sendmail("a@client.example", ["user@example.test"], b"From: a@client.example\r\n\r\nhi\r\n")
            self.assertEqual(self.wait_for("accepted")["junk"], 0)
            with imaplib.IMAP4(CLIENT, self.server.port(143)) as reader:
                reader.login("user@example.test", "test")
                reader.select()
                self.assertEqual(reader.uid("MOVE", "1", "Junk")[0], "OK")
            self.assertEqual(self.wait_for("junk")["kind"], "domain")
