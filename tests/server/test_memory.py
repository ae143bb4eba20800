"""What a hundred users need of memory, each with three IMAP sessions open."""

from __future__ import annotations

import imaplib
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import imap, message, send, smtp
from tests.support.server import Server, running

USERS, SESSIONS_EACH, MESSAGES_EACH = 100, 3, 20
LIMIT_KB = 1_000_000
_GATHER = 50


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
        yield from tree(int(child))


def memory_kb(pid: int) -> int:
    """Memory of a server, its own and its part of what processes share (PSS)."""
    rollups = [Path(f"/proc/{one}/smaps_rollup").read_text("ascii") for one in tree(pid)]
    return sum(int(line.split()[1]) for rollup in rollups for line in rollup.splitlines() if line.startswith("Pss:"))


@pytest.mark.slow
class MemoryTests(unittest.TestCase):
    """Measured while all sessions are open, after each has read its INBOX."""

    def measure(self, *options: str) -> int:
        """In KB."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(running(Server(folder, [f"user{n}" for n in range(USERS)], *options)))
            sender = smtp(server)
            for number in range(MESSAGES_EACH):
                for start in range(0, USERS, _GATHER):
                    recipients = server.addresses[start : start + _GATHER]
                    self.assertTrue(send(sender, recipients, message(f"m{number}", 20_000)))
            sender.quit()
            clients = []
            for address in server.addresses:
                for _ in range(SESSIONS_EACH):
                    client = imap(server, address)
                    stack.callback(client.shutdown)
                    clients.append(client)
            for client in clients:
                self._read(client)
            return memory_kb(server.pid)

    def _read(self, client: imaplib.IMAP4) -> None:
        """As a mail program does at its start, and then wait in IDLE."""
        self.assertEqual(client.select("INBOX"), ("OK", [str(MESSAGES_EACH).encode()]))
        self.assertEqual(client.fetch("1:*", "(UID FLAGS ENVELOPE BODYSTRUCTURE)")[0], "OK")
        self.assertEqual(client.fetch("1:*", "(BODY.PEEK[])")[0], "OK")
        client.send(b"i IDLE\r\n")
        while not client.readline().startswith(b"+"):
            pass

    @acceptance("S209")
    def test_300_sessions_of_100_users_take_less_than_a_gigabyte(self) -> None:
        self.assertLess(self.measure(), LIMIT_KB)

    @acceptance("S209")
    def test_with_four_workers_too(self) -> None:
        self.assertLess(self.measure("--workers", "4"), LIMIT_KB)
