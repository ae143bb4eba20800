"""SIGKILL while many messages are being sent on: each that was answered 250 arrives, and hardly any twice.

PYMAILSUITE_KILLS=20 kills it that often, PYMAILSUITE_SEED=1 at other moments.
"""

from __future__ import annotations

import os
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
from tests.durability.clients import GONE, message, send, smtp
from tests.durability.load import Ledger
from tests.support.patience import PATIENCE_S
from tests.support.server import Server, TunedServer, running
from tests.support.socket_sink import SocketSink

KILLS = int(os.environ.get("PYMAILSUITE_KILLS", "5"))
SEED = int(os.environ.get("PYMAILSUITE_SEED", "20261123"))
CLIENTS = 4
UNDER_WAY = 20
"""Messages that can be between the sink's 250 and our commit when a kill comes: one for each of the 10 connections to a
host, and as many again whose settling is on its way to the disk."""

_TOKEN = re.compile(rb"X-Token: (\S+)")


@pytest.mark.slow
class RelayKillTests(unittest.TestCase):
    """A ledger of what was accepted for other hosts, against a server killed again and again."""

    @acceptance("S078")
    def test_what_was_accepted_arrives_and_only_what_was_under_way_comes_twice(self) -> None:
        ledger, moments = Ledger(), random.Random(SEED)
        with SocketSink(delay_s=0.01) as sink, tempfile.TemporaryDirectory() as folder:
            # Claims of the dead are taken back: whoever waited for the end of a lease would wait too long.
            lease = {"queue": {"lease": 2 * PATIENCE_S}}
            server = TunedServer(Path(folder), ["ann"], lease, "--relayhost", f"127.0.0.1:{sink.port}")
            with running(server):
                for _ in range(KILLS):
                    self._load_then_kill(server, ledger, moments.uniform(0.2, 1.2))
                    server.start()
                sink.wait_until(lambda _: not ledger.accepted - set(self._counts(sink)), within_s=PATIENCE_S)
                time.sleep(2)
        counts = self._counts(sink)
        self.assertGreater(len(ledger.accepted), 20 * KILLS, "the load did nothing")
        self.assertEqual(ledger.accepted - set(counts), set(), "lost")
        self.assertEqual(set(counts) - ledger.accepted - ledger.unsure, set(), "from nowhere")
        doubles = sum(count - 1 for count in counts.values())
        self.assertLessEqual(doubles, KILLS * UNDER_WAY, "sent again though it was settled")

    def _counts(self, sink: SocketSink) -> Counter[str]:
        found = [_TOKEN.search(taken.octets) for taken in list(sink.messages)]
        return Counter(match[1].decode() for match in found if match is not None)

    def _load_then_kill(self, server: Server, ledger: Ledger, after_s: float) -> None:
        def submit() -> None:
            try:
                client = smtp(server)
                while True:
                    ledger.deliver("out", lambda token: send(client, ["bob@elsewhere.test"], message(token)))
            except GONE:
                return

        threads = [threading.Thread(target=submit, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(after_s)
        server.kill()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive(), "a client hangs")
