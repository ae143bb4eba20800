"""A server in a process of its own whose store is a PostgreSQL, which is stopped and started under it."""

from __future__ import annotations

import signal
import tempfile
import unittest
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import MailboxView, imap, message, pop3, send, smtp
from tests.durability.test_nodes import needs_postgres, postgres
from tests.support.server import Server, running

_ADDRESS = "ann@example.test"


@needs_postgres
@pytest.mark.slow
class OnPostgresTests(unittest.TestCase):
    def setUp(self) -> None:
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.database = stack.enter_context(postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.server = stack.enter_context(running(Server(folder, ["ann"], "--store", self.database.url())))

    @acceptance("S252")
    def test_mail_comes_in_by_smtp_and_is_read_by_imap_and_pop3(self) -> None:
        self.assertTrue(send(smtp(self.server), [_ADDRESS], message("one")))
        self.assertEqual(list(MailboxView(imap(self.server, _ADDRESS), "INBOX").tokens.values()), ["one"])
        self.assertEqual(pop3(self.server, _ADDRESS).stat()[0], 1)

    @acceptance("S252")
    def test_connections_outlive_a_restart_of_the_database(self) -> None:
        sender, reader = smtp(self.server), imap(self.server, _ADDRESS)
        self.assertTrue(send(sender, [_ADDRESS], message("before")))
        self.database.stop()
        self.database.start()
        self.assertTrue(send(sender, [_ADDRESS], message("after")))
        self.assertEqual(sorted(MailboxView(reader, "INBOX").tokens.values()), ["after", "before"])

    @acceptance("S252")
    def test_without_its_database_it_refuses_for_now_and_ends_on_sigterm(self) -> None:
        sender = smtp(self.server)
        self.assertTrue(send(sender, [_ADDRESS], message("before")))
        self.database.stop()
        self.assertFalse(send(smtp(self.server), [_ADDRESS], message("away")))
        self.assertEqual(self.server._end(signal.SIGTERM), -signal.SIGTERM)  # as twistd passes it on, once all is done
        self.database.start()
        self.server.start()
        self.assertEqual(list(MailboxView(imap(self.server, _ADDRESS), "INBOX").tokens.values()), ["before"])
