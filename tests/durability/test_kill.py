"""SIGKILL at random moments under load: the acknowledged is there exactly once, the rest at most once.

PYMAILSUITE_KILLS=100 kills it that often, PYMAILSUITE_SEED=1 at other moments.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.checks import LedgerTestCase, Numbers
from tests.durability.load import USERS, Ledger, Load
from tests.support.server import Server, running

KILLS = int(os.environ.get("PYMAILSUITE_KILLS", "12"))
SEED = int(os.environ.get("PYMAILSUITE_SEED", "20261122"))


@pytest.mark.slow
class KillTests(LedgerTestCase):
    """The ledger of every acknowledged operation against a server killed again and again."""

    @acceptance("S049", "S078", "S119", "S139", "S145")
    def test_what_was_acknowledged_is_there_exactly_once_after_every_kill(self) -> None:
        ledger = Ledger()
        moments = random.Random(SEED)
        numbers: Numbers = {}
        with tempfile.TemporaryDirectory() as folder, running(Server(Path(folder), USERS)) as server:
            for kill in range(KILLS):
                Load([server], ledger, kill).run_then_kill(server, moments.uniform(0.05, 1.2))
                server.start()
                self.check_numbers(server, numbers)
            self.assertGreater(len(ledger.accepted), KILLS, "the load did nothing")
            self.assertEqual(ledger.refused, set())
            self.check_ledger(server, ledger)
