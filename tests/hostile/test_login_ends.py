"""A command in another process takes rights away: the sessions of every protocol end, in every worker."""

from __future__ import annotations

import base64
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.base import Wire
from tests.support.commands import run
from tests.support.patience import at_best
from tests.support.server import Server, running

pytestmark = [pytest.mark.interop, pytest.mark.slow]

LIMIT_S = 5.0
USERS = [f"user{number}" for number in range(6)]


class LoginEndsTests(unittest.TestCase):
    """Two workers, and sessions of an account in both of them."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        server = running(Server(Path(folder.name) / "server", USERS, "--workers", "2"))
        cls.server = server.__enter__()
        cls.addClassCleanup(server.__exit__, None, None, None)
        cls.left = list(cls.server.addresses)

    left: list[str]

    def connect(self, standard: int) -> Wire:
        wire = Wire(self.server.port(standard))
        self.addCleanup(wire.close)
        return wire

    def imap(self, name: bytes, then: bytes) -> Wire:
        wire = self.connect(143)
        self.assertIn(b"t OK", wire.obey(b"LOGIN %b test" % name))
        self.assertIn(b"t OK", wire.obey(b"SELECT INBOX"))
        wire.send(then)
        if then:
            self.assertEqual(wire.line()[:1], b"+")
        return wire

    def pop3(self, name: bytes) -> Wire:
        wire = self.connect(110)
        for line in (b"USER " + name, b"PASS test"):
            self.assertEqual(wire.say(line)[:3], b"+OK")
        return wire

    def submission(self, name: bytes, *more: bytes) -> Wire:
        wire = self.connect(587)
        wire.say(b"EHLO client.test")
        response = base64.b64encode(b"\0%b\0test" % name)
        for line in (b"AUTH PLAIN " + response, *more):
            self.assertIn(wire.say(line)[:1], b"23")
        return wire

    def sessions(self, name: bytes) -> list[tuple[Wire, bytes]]:
        """Sessions of each kind, and how their last line begins."""
        to = b"RCPT TO:<%b>" % self.server.addresses[0].encode()
        return [
            *[(self.imap(name, then), b"* BYE") for then in (b"", b"i IDLE\r\n", b"a APPEND INBOX {1000}\r\n") * 2],
            (self.pop3(name), b"-ERR [AUTH]"),
            (self.submission(name), b"421 4.7.0"),
            (self.submission(name, b"MAIL FROM:<%b>" % name, to, b"DATA"), b"421 4.7.0"),
        ]

    def ends_after(self, command: Callable[[str], list[str]], stdin: str = "") -> float:
        """Take rights away from somebody; the seconds until the last of his sessions has ended."""
        address = self.left.pop()
        sessions = self.sessions(address.encode())
        bystander = self.imap(self.server.addresses[0].encode(), b"i IDLE\r\n")
        done = run(*command(address), "--config", str(self.server.config_file), stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        began = time.monotonic()
        for wire, last in sessions:
            said = wire.rest()
            self.assertEqual(said[: len(last)], last)
            self.assertEqual(said.count(b"\r\n"), 1, said)
        took = time.monotonic() - began
        self.assertIn(b"i OK", (bystander.send(b"DONE\r\n"), bystander.tagged(b"i"))[1])
        return took

    def test_when_the_password_is_set(self) -> None:
        at_best(
            lambda: self.ends_after(lambda name: ["account", "passwd", name, "--password-stdin"], "other\n"), LIMIT_S, 2
        )

    def test_when_the_account_is_disabled(self) -> None:
        at_best(lambda: self.ends_after(lambda name: ["account", "disable", name]), LIMIT_S, 2)

    def test_when_the_account_is_removed(self) -> None:
        at_best(lambda: self.ends_after(lambda name: ["account", "remove", name, "--yes"]), LIMIT_S, 1)
