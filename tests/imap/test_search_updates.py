"""Searches that are kept up to date, and commands that say how far they have come, where something goes wrong or takes
long. The dialogues are in ``transcripts/imap/search_updates.txt``. Source: RFC 5267 §4, RFC 9585.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from tests.acceptance import acceptance
from tests.imap.conversation import Client, Server


class UpdateTests(SynchronousTestCase):
    def client(self, count: int, **settings: Any) -> Client:
        self.server = Server(**settings)
        self.addCleanup(self.server.store.close)
        self.server.deliver(*range(1, count + 1))
        client = self.server.connect().login()
        client.command("SELECT INBOX")
        return client

    def failing(self, client: Client) -> Any:
        """The mail of a client that cannot be searched; returns what works again."""
        mail = client.protocol._session.avatar.mail
        works = mail.read_in_steps
        mail.read_in_steps = lambda *_: fail(StoreUnavailable())
        return mail, works

    def test_what_could_not_be_searched_is_told_later(self) -> None:
        client = self.client(2)
        client.send(b"u1 UID SEARCH RETURN (UPDATE) SUBJECT number\r\n")
        mail, works = self.failing(client)
        self.server.deliver(3)
        self.assertEqual(client.command("NOOP")[:2], ["* 3 EXISTS", "* 3 RECENT"])
        mail.read_in_steps = works
        self.assertEqual(client.command("CHECK"), ['* ESEARCH (TAG "u1") UID ADDTO (0 3)', "x OK CHECK completed"])

    def test_a_client_in_idle_is_told_without_another_change(self) -> None:
        client = self.client(2)
        client.send(b"u1 UID SEARCH RETURN (UPDATE) SUBJECT number\r\n")
        client.send(b"i IDLE\r\n")
        mail, works = self.failing(client)
        self.server.deliver(3)
        self.server.clock.advance(0)
        self.assertEqual(client.output(), b"* 3 EXISTS\r\n* 3 RECENT\r\n")
        mail.read_in_steps = works
        self.server.clock.advance(5)
        self.server.clock.advance(0)
        self.assertEqual(client.output(), b'* ESEARCH (TAG "u1") UID ADDTO (0 3)\r\n')

    def test_too_much_to_keep_is_not_kept(self) -> None:
        client = self.client(101, sort_context_messages=100)
        refused = '* NO [NOUPDATE "x"] Too many searches or messages'
        self.assertIn(refused, client.command("SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL"))
        self.assertNotIn(refused, client.command("SORT RETURN (UPDATE COUNT) (DATE) UTF-8 2:*"))
        client.command('CANCELUPDATE "x"')
        self.assertNotIn(refused, client.command("SEARCH RETURN (UPDATE COUNT) ALL"))

    def test_many_changes_at_once(self) -> None:
        client = self.client(300)
        client.send(b"u1 UID SEARCH RETURN (UPDATE COUNT) UNSEEN\r\n")
        client.send(b"u2 SORT RETURN (UPDATE COUNT) (REVERSE ARRIVAL) UTF-8 UNSEEN\r\n")
        lines = client.command("STORE 1:250 +FLAGS.SILENT (\\Seen)")
        self.assertIn('* ESEARCH (TAG "u1") UID REMOVEFROM (0 1:250)', lines)
        self.assertIn('* ESEARCH (TAG "u2") REMOVEFROM (1 1:250)', lines)
        lines = client.command("STORE 1:2,100:249 -FLAGS.SILENT (\\Seen)")
        self.assertIn('* ESEARCH (TAG "u1") UID ADDTO (0 1:2,100:249)', lines)
        self.assertIn('* ESEARCH (TAG "u2") ADDTO (1 1:2,100:249)', lines)


class ProgressTests(SynchronousTestCase):
    """Time passes with each piece that is read."""

    def client(self, **settings: Any) -> Client:
        self.server = server = Server(search_piece=2, step_messages=2, **settings)
        self.addCleanup(server.store.close)
        server.deliver(*range(1, 9))
        client = server.connect().login()
        client.command("CREATE There")
        client.command("SELECT INBOX")
        mail = client.protocol._session.avatar.mail
        for name in ("read_in_steps", "store_flags", "move"):
            setattr(mail, name, self._slow(getattr(mail, name)))
        return client

    def _slow(self, method: Any) -> Any:
        def slow(*arguments: Any) -> Any:
            self.server.clock.rightNow += 6
            return method(*arguments)

        return slow

    @acceptance("S129")
    def test_a_search_says_how_far_it_is(self) -> None:
        lines = self.client().command("SEARCH SUBJECT 3")
        self.assertEqual(
            lines, ['* OK [INPROGRESS ("x" 4 8)] 50 % of the messages are done', "* SEARCH 3", "x OK SEARCH completed"]
        )

    def test_never(self) -> None:
        lines = self.client(progress_interval=0).command("SEARCH SUBJECT 3")
        self.assertEqual(lines, ["* SEARCH 3", "x OK SEARCH completed"])

    def test_commands_that_read_or_change_many(self) -> None:
        client = self.client()
        for command in (
            "SORT (SUBJECT) UTF-8 ALL",
            "THREAD REFERENCES UTF-8 ALL",
            "STORE 1:* +FLAGS.SILENT (\\Seen)",
            "MOVE 1:* There",
        ):
            told = [line for line in client.command(command) if "INPROGRESS" in line]
            self.assertEqual(told, ['* OK [INPROGRESS ("x" 4 8)] 50 % of the messages are done'], command)
