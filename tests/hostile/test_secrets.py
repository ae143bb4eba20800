"""The log tells who came and what became of it, never a password and never what is in a message."""

from __future__ import annotations

import base64
import contextlib
import tempfile
import unittest
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.hostile.base import Wire
from tests.support.server import TunedServer, running

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PASSWORD, WRONG, TEXT = "Passw0rd-kept-quiet", "Wr0ng-kept-quiet", "Body-kept-quiet"
NAME = "ann@example.test"
ENVELOPE = (b"MAIL FROM:<ann@example.test>", b"RCPT TO:<ann@example.test>", b"DATA")


def plain(password: str) -> bytes:
    """The response of PLAIN."""
    return base64.b64encode(f"\0{NAME}\0{password}".encode())


def coded(text: str) -> bytes:
    """A response of LOGIN."""
    return base64.b64encode(text.encode())


class SecretTests(unittest.TestCase):
    """Every way to log in, right and wrong, and a message by every way in and out."""

    def _smtp(self, server: TunedServer, password: str) -> None:
        name = NAME.encode()
        for login in ([b"AUTH PLAIN " + plain(password)], [b"AUTH LOGIN", coded(NAME), coded(password)]):
            with contextlib.closing(Wire(server.port(587))) as wire:
                for line in (b"EHLO s.test", *login, *ENVELOPE):
                    wire.say(line)
                wire.say(b"Subject: %b\r\n\r\n%b\r\n." % (TEXT.encode(), TEXT.encode()))
                # A client that is out of step says its secrets where commands belong.
                wire.say(plain(password))
                wire.say(password.encode())
                wire.say(b"AUTH PLAIN " + password.encode())
                wire.say(TEXT.encode() + b" " + name)
                wire.say(b"QUIT")

    def _imap(self, server: TunedServer, password: str) -> None:
        with contextlib.closing(Wire(server.port(143))) as wire:
            wire.obey(b'LOGIN %b "%b"' % (NAME.encode(), password.encode()))
            wire.obey(b"APPEND INBOX {%d+}\r\n%b" % (len(TEXT), TEXT.encode()))
            wire.obey(b"SELECT INBOX")
            wire.obey(b"FETCH 1:* (ENVELOPE BODY[])")
            wire.obey(b"SEARCH TEXT %b" % TEXT.encode())
            wire.obey(b"LOGIN %b" % password.encode())
            wire.obey(b"%b %b" % (password.encode(), TEXT.encode()))
        with contextlib.closing(Wire(server.port(143))) as wire:
            wire.obey(b"AUTHENTICATE PLAIN " + plain(password))
        with contextlib.closing(Wire(server.port(143))) as wire:
            wire.send(b"t AUTHENTICATE LOGIN\r\n")
            for answer in (coded(NAME), coded(password)):
                if wire.line().startswith(b"+"):
                    wire.send(answer + b"\r\n")
            wire.tagged(b"t")

    def _pop3(self, server: TunedServer, password: str) -> None:
        with contextlib.closing(Wire(server.port(110))) as wire:
            wire.say(b"USER " + NAME.encode())
            wire.say(b"PASS " + password.encode())
            wire.send(b"RETR 1\r\nTOP 1 5\r\n")
            wire.say(password.encode())
            wire.send(b"QUIT\r\n")
            wire.rest()
        with contextlib.closing(Wire(server.port(110))) as wire:
            wire.say(b"AUTH PLAIN " + plain(password))

    @acceptance("S196")
    def test_no_secret_is_in_the_log(self) -> None:
        for form in ("text", "json"):
            with tempfile.TemporaryDirectory() as folder:
                settings = {
                    "log": {"format": form, "level": "debug"},
                    "imap": {"failed_login_delay": 0},
                    "pop3": {"failed_login_delay": 0},
                    "submission": {"failed_login_delay": 0},
                }
                server = TunedServer(Path(folder, "server"), ["ann"], settings, password=PASSWORD)
                with running(server):
                    for password in (PASSWORD, WRONG):
                        self._smtp(server, password)
                        self._imap(server, password)
                        self._pop3(server, password)
                    server.stop()
                log = "".join(server.output[server.output.index("ready\n") :])
            self.assertIn("imap.logged_in", log)
            self.assertIn("imap.login_refused", log)
            self.assertIn("smtp.accepted", log)
            for secret in (PASSWORD, WRONG, TEXT, *(code.decode() for code in (plain(PASSWORD), plain(WRONG)))):
                self.assertNotIn(secret, log)
            for secret in (PASSWORD, WRONG, TEXT):
                self.assertNotIn(coded(secret).decode(), log)
