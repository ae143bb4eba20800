"""An outside checker: people log in with tokens."""

from __future__ import annotations

import hashlib
import imaplib
import tempfile
import unittest
from pathlib import Path

from twisted.cred.strcred import findCheckerFactories

from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running
from tests.support.wheels import installed


class TokenCheckerTests(unittest.TestCase):
    def test_a_server_takes_its_tokens(self) -> None:
        with installed("token_checker") as environment, tempfile.TemporaryDirectory() as folder:
            tokens = Path(folder, "tokens")
            tokens.write_text(f"ann@example.test {hashlib.sha256(b'a-token').hexdigest()}\n")
            settings = {"auth": {"checkers": ["mailstore", f"tokens:{tokens}"]}}
            server = TunedServer(Path(folder, "server"), ["ann"], settings, environment=environment)
            with running(server), imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S) as client:
                with self.assertRaises(imaplib.IMAP4.error):
                    client.login("ann@example.test", "no-token")
                self.assertEqual(client.login("ann@example.test", "a-token")[0], "OK")
                self.assertEqual(client.select()[0], "OK")

    def test_it_is_gone_afterwards(self) -> None:
        def found() -> bool:
            return any(factory.authType == "tokens" for factory in findCheckerFactories())

        with installed("token_checker"):
            self.assertTrue(found())
        self.assertFalse(found())
