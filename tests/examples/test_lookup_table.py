"""An outside lookup table beside one of ours: both say where a server's mail goes."""

from __future__ import annotations

import imaplib
import json
import smtplib
import tempfile
import unittest
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.tables import TableContext, make_tables
from pymailsuite.errors import ConfigError
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running
from tests.support.wheels import installed

MESSAGE = b"From: desk@peer.example\r\nMessage-ID: <1@peer.example>\r\nDate: x\r\nSubject: x\r\n\r\nHello\r\n"


class LookupTableTests(unittest.TestCase):
    def test_a_server_delivers_to_where_tables_say(self) -> None:
        with installed("lookup_table") as environment, tempfile.TemporaryDirectory() as folder:
            patterns, aliases = Path(folder, "patterns.json"), Path(folder, "aliases")
            patterns.write_text(json.dumps({r"(.+)-orders@example\.test": r"\1@example.test"}))
            aliases.write_text("# The house.\nshop@example.test ann-orders@example.test, bob@example.test\n")
            tables = {"directory": {"tables": [f"text:{aliases}", f"patterns:{patterns}"]}}
            server = TunedServer(Path(folder, "server"), ["ann", "bob"], tables, environment=environment)
            with running(server):
                with smtplib.SMTP("127.0.0.1", server.port(25), timeout=PATIENCE_S) as client:
                    client.sendmail("desk@peer.example", ["shop@example.test", "bob-orders@example.test"], MESSAGE)
                    with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                        client.sendmail("desk@peer.example", ["orders@example.test"], MESSAGE)
                counts = {}
                for name in ("ann", "bob"):
                    with imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S) as reader:
                        reader.login(f"{name}@example.test", "test")
                        counts[name] = reader.select()[1]
            patterns.write_text("no patterns")
            with self.assertRaises(ConfigError) as wrong:
                make_tables(TableContext(DirectorySettings(tables=[f"patterns:{patterns}"]), Clock(), deferToThread))
        self.assertEqual(refused.exception.recipients["orders@example.test"][0], 550)
        self.assertEqual(counts, {"ann": [b"1"], "bob": [b"1"]})
        self.assertIn("has no patterns", wrong.exception.public)
