"""Guesses at once on many connections and workers, and a flood of logins beside one that is in earnest."""

from __future__ import annotations

import contextlib
import tempfile
import time
import unittest
from pathlib import Path

import pytest

from tests.hostile.base import Wire
from tests.support.patience import at_best
from tests.support.server import TunedServer, running

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SETTINGS = {
    "throttle": {"exempt_networks": []},
    "imap": {"failed_login_delay": 0},
    # A hash takes long enough that many of them in turn are noticed.
    "auth": {"argon2_time_cost": 4, "argon2_memory_kib": 19456},
}


class GuessingTests(unittest.TestCase):
    """Two workers, to whom loopback is as good as any other network."""

    def setUp(self) -> None:
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = TunedServer(folder / "server", ["ann", "bob"], SETTINGS, "--workers", "2")
        self.server = stack.enter_context(running(server))
        self.ann, self.bob = (address.encode() for address in server.addresses)

    def log_in(self, source: str, name: bytes, password: bytes) -> Wire:
        """A connection that has sent LOGIN and has no answer yet."""
        wire = Wire(self.server.port(143), source=source)
        self.addCleanup(wire.close)
        wire.send(b't LOGIN %b "%b"\r\n' % (name, password))
        return wire

    def test_guesses_at_once_are_no_more_tries_than_in_turn(self) -> None:
        guesses = [self.log_in("127.0.0.5", self.ann, b"guess%d" % number) for number in range(40)]
        answers = [wire.tagged(b"t") for wire in guesses]
        self.assertEqual(sum(b"[AUTHENTICATIONFAILED]" in answer for answer in answers), 10)
        self.assertEqual(sum(b"[UNAVAILABLE]" in answer for answer in answers), 30)
        self.assertIn(b"[UNAVAILABLE]", self.log_in("127.0.0.5", self.ann, b"test").tagged(b"t"))
        self.assertIn(b"t OK", self.log_in("127.0.0.6", self.ann, b"test").tagged(b"t"))

    def test_a_flood_of_logins_keeps_nobody_else_waiting(self) -> None:
        flood = [
            self.log_in(f"127.0.0.{10 + number % 8}", b"user%d@example.test" % number, b"guess")
            for number in range(8 * 30)
        ]
        took: list[float] = []

        def measure() -> float:
            began = time.monotonic()
            self.assertIn(b"t OK", self.log_in(f"127.0.0.{100 + len(took)}", self.bob, b"test").tagged(b"t"))
            took.append(time.monotonic() - began)
            return took[-1]

        at_best(measure, 3.0)
        for wire in flood:
            wire.close()
        self.assertIn(b"t OK", self.log_in("127.0.0.99", self.ann, b"test").tagged(b"t"))
