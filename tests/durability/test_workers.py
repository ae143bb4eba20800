"""Four workers on one store under everything that clients do at once; nobody is killed, so nobody may be refused.

PYMAILSUITE_LOAD_S=60 goes on for longer.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.checks import LedgerTestCase, Numbers
from tests.durability.load import USERS, Ledger, Load
from tests.durability.test_nodes import needs_postgres, postgres
from tests.support.server import Server, running

LOAD_S = float(os.environ.get("PYMAILSUITE_LOAD_S", "8"))

SLOWEST_S = 20.0
"""For one of thousands of deliveries, on a machine that runs other tests too; the middle one takes a hundredth."""

_COMPLAINTS = re.compile(r"locked|UNAVAILABLE|Traceback|store\.(?:busy|failed)|queue\.store_failed|SERVERBUG")


@pytest.mark.slow
class WorkersTests(LedgerTestCase):
    """SMTP, APPEND, STORE, EXPUNGE, MOVE, COPY and POP3 in four workers."""

    def check_load(self, *options: str) -> None:
        """Two of each client for a while: all that was answered holds, and nobody was refused or kept waiting."""
        ledger, numbers = Ledger(), Numbers()
        with (
            tempfile.TemporaryDirectory() as folder,
            running(Server(Path(folder), USERS, "--workers", "4", *options)) as server,
        ):
            load = Load([server, server], ledger, 7, jobs=("submit", "submit", "append_and_move", "erase", "flag"))
            # One client of POP3, for a maildrop is locked by who reads it.
            readers = Load([server], ledger, 8, jobs=("pop",))
            load.start()
            readers.start()
            time.sleep(LOAD_S)
            load.stop()
            readers.stop()
            self.assertEqual((load.interruptions, readers.interruptions), ([], []))
            self.assertEqual((ledger.refused, ledger.unsure), (set(), set()))
            self.check_numbers(server, numbers)
            self.check_ledger(server, ledger)
            self.assertGreater(len(ledger.accepted), 50 * LOAD_S / 15, "the load did nothing")
            self.assertGreater(len(ledger.removed), 5, "nothing was removed")
            self.assertLess(max(ledger.took_s), SLOWEST_S)
            said = "".join(server.output)
        self.assertEqual(_COMPLAINTS.findall(said), [])

    @acceptance("S210")
    def test_on_one_sqlite_file_nothing_is_lost_doubled_or_refused(self) -> None:
        self.check_load()

    @needs_postgres
    def test_on_postgresql_neither(self) -> None:
        with postgres() as database:
            self.check_load("--store", database.url())
