"""Several clients rearrange one account at the same time: no message is lost, none is doubled."""

from __future__ import annotations

import random
import re
import tempfile
import threading
import time
import unittest
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import MailboxView, imap, message
from tests.support.server import Server, running

CLIENTS = 6
SECONDS = 6.0


class Rearranger(threading.Thread):
    """A client that creates, renames and removes mailboxes and moves messages between them, as people tidy."""

    def __init__(self, server: Server, number: int, until: float) -> None:
        super().__init__(daemon=True)
        self._client = imap(server, server.addresses[0])
        self._random = random.Random(number)
        self._number = number
        self._until = until
        self._made = 0
        self.tokens: set[str] = set()
        self.defect: BaseException | None = None

    def run(self) -> None:
        """Random steps until time is up; NO is an answer, losing the connection is not."""
        try:
            while time.monotonic() < self._until:
                self._random.choice([self._append, self._append, self._move, self._move, self._create, self._rename])()
            self._client.logout()
        except BaseException as defect:
            self.defect = defect

    def _names(self) -> list[str]:
        listed = self._client.list('""', "Shelf*")[1]
        return [re.sub(rb'.* "?([^" ]+)"?$', rb"\1", line).decode() for line in listed if isinstance(line, bytes)]

    def _append(self) -> None:
        token = f"c{self._number}-{len(self.tokens)}"
        if self._client.append("INBOX", "", "", message(token))[0] == "OK":
            self.tokens.add(token)

    def _create(self) -> None:
        self._made += 1
        self._client.create(f"Shelf{self._number}-{self._made}")

    def _rename(self) -> None:
        names = self._names()
        if names:
            self._made += 1
            self._client.rename(self._random.choice(names), f"Shelf{self._number}-{self._made}/Sub")

    def _move(self) -> None:
        names = [*self._names(), "INBOX"]
        source, target = self._random.choice(names), self._random.choice(names)
        if self._client.select(source)[0] == "OK":
            self._client.uid("MOVE", f"1:{self._random.randint(1, 1000)}", target)
            self._client.unselect()


@pytest.mark.slow
class ConcurrentTests(unittest.TestCase):
    """One account, many hands."""

    @acceptance("S130")
    def test_clients_that_rearrange_mailboxes_at_once_lose_and_double_nothing(self) -> None:
        with tempfile.TemporaryDirectory() as folder, running(Server(Path(folder), ["user0"])) as server:
            until = time.monotonic() + SECONDS
            clients = [Rearranger(server, number, until) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.join(60)
                self.assertFalse(client.is_alive(), "a client hangs")
                self.assertIsNone(client.defect)

            reader = imap(server, server.addresses[0])
            listed = [line for line in reader.list('""', "*")[1] if isinstance(line, bytes)]
            names = [line.rpartition(b' "/" ')[2].strip(b'"').decode() for line in listed if b"\\Noselect" not in line]
            held = Counter(token for name in names for token in MailboxView(reader, name).tokens.values())
            expected = set().union(*(client.tokens for client in clients))
            self.assertGreater(len(expected), 20, "the clients did nothing")
            self.assertEqual(held, Counter(expected))
