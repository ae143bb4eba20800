"""An outside store: a folder of mail, served from memory by IMAP and POP3."""

from __future__ import annotations

import imaplib
import os
import poplib
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import execute
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from pymailsuite.auth.passwords import PasswordHashes
from pymailsuite.config.loader import settings_from
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.config.settings import Settings
from pymailsuite.errors import ConfigError, MissingAbility
from pymailsuite.interfaces import IDirectory, IMailStore, IQueueStore, StoreContext, needed
from pymailsuite.message.scan import DEFAULT_LIMITS
from pymailsuite.server.service import MailService
from pymailsuite.store.schemes import store_at
from pymailsuite.values import Address
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running
from tests.support.stores import fired
from tests.support.wheels import installed

ANN = "ann@example.test"
MESSAGES = [b"Subject: first\nFrom: bob@example.net\n\nHello\n", b"Subject: second\n\nA needle\n.\n"]
MBOX = b"From bob@example.net Thu Jan  1 00:00:00 2026\nSubject: third\n\nLong ago\n\n"
PASSWORD = "test"
NO_MAIL_IN: dict[str, list[str]] = {"smtp": [], "submission": [], "submissions": []}


def make_mail(folder: Path) -> None:
    """Two messages in INBOX, one in Lists, and the file of passwords."""
    (folder / ANN / "INBOX").mkdir(parents=True)
    for number, octets in enumerate(MESSAGES):
        path = folder / ANN / "INBOX" / f"{number}.eml"
        path.write_bytes(octets)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (folder / ANN / "Lists.mbox").write_bytes(MBOX)
    hashes = PasswordHashes(AuthSettings(argon2_time_cost=1, argon2_memory_kib=64))
    (folder / "passwords").write_text(f"{ANN}:{hashes.hash(PASSWORD)}\n")


class MemoryServer(TunedServer):
    """A server of the mail in a folder."""

    def __init__(self, directory: Path, mail: Path, environment: dict[str, str]) -> None:
        settings = {
            "store": {"url": f"memory:{mail}"},
            "auth": {"checkers": [f"mailfile:{mail / 'passwords'}"]},
            "listeners": NO_MAIL_IN,
        }
        super().__init__(directory, [], settings, environment=environment)

    def _fill_store(self, settings: Settings, accounts: Sequence[Any]) -> None:
        """It has its mail already."""


class ServedFromMemoryTests(unittest.TestCase):
    """A real server on a store of another kind."""

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        make_mail(folder / "mail")
        environment = cls.enterClassContext(installed("memory_store"))
        cls.server = cls.enterClassContext(running(MemoryServer(folder / "server", folder / "mail", environment)))

    def imap(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S)
        self.addCleanup(client.shutdown)
        client.login(ANN, PASSWORD)
        return client

    def test_imap_lists_reads_and_searches(self) -> None:
        client = self.imap()
        self.assertEqual(
            sorted(line.rpartition(b" ")[2] for line in client.list()[1]),  # type: ignore[union-attr]
            [b"INBOX", b"Lists"],
        )
        self.assertEqual(client.select("Lists", readonly=True), ("OK", [b"1"]))
        (told, octets), _ = client.fetch("1", "(INTERNALDATE BODY.PEEK[])")[1]
        self.assertIn(b'" 1-Jan-2026 00:00:00 +0000"', told)
        self.assertEqual(octets, b"Subject: third\r\n\r\nLong ago\r\n")
        self.assertEqual(client.select("INBOX"), ("OK", [b"2"]))
        (envelope,) = client.fetch("1", "(UID ENVELOPE BODYSTRUCTURE RFC822.SIZE)")[1]
        self.assertIn(b'"first" ((NIL NIL "bob" "example.net"))', envelope)
        self.assertEqual(client.search(None, "TEXT", "needle"), ("OK", [b"2"]))
        self.assertEqual(client.search(None, "SUBJECT", "first", "SEEN"), ("OK", [b""]))
        (identities,) = client.fetch("2", "(EMAILID THREADID PREVIEW SAVEDATE MODSEQ)")[1]
        self.assertRegex(identities, rb"EMAILID \(\S+\) THREADID \(\S+\) PREVIEW \"A needle \.\"")
        self.assertEqual(client.status("INBOX", "(MESSAGES UNSEEN SIZE MAILBOXID)")[0], "OK")
        self.assertEqual(client.append("INBOX", "", "", b"Subject: x\r\n\r\n")[0], "NO")
        self.assertEqual(client.create("New")[0], "NO")
        self.assertEqual(client.noop()[0], "OK")

    def test_imap_tells_other_sessions_of_flags(self) -> None:
        idle, polled, changing = self.imap(), self.imap(), self.imap()
        for client in (idle, polled, changing):
            client.select("Lists")
        idle.send(b"i IDLE\r\n")
        self.assertTrue(idle.readline().startswith(b"+ "))
        self.assertEqual(changing.store("1", "+FLAGS", "(\\Flagged Work)")[0], "OK")
        # Before that the client is told of the new keyword, in two responses.
        told = [idle.readline() for _ in range(3)]
        self.assertIn(b"* 1 FETCH (FLAGS (\\Flagged Work", told[2])
        idle.send(b"DONE\r\n")
        self.assertTrue(idle.readline().startswith(b"i OK"))
        polled.noop()
        self.assertEqual(polled.response("FETCH")[1], [b"1 (FLAGS (\\Flagged Work))"])
        self.assertEqual(changing.search(None, "KEYWORD", "Work"), ("OK", [b"1"]))

    def test_pop3_reads_and_deletes(self) -> None:
        client = poplib.POP3("127.0.0.1", self.server.port(110), timeout=PATIENCE_S)
        client.user(ANN)
        client.pass_(PASSWORD)
        count, size = client.stat()
        self.assertEqual((count, size), (2, sum(len(one.replace(b"\n", b"\r\n")) for one in MESSAGES)))
        self.assertEqual(len(set(client.uidl()[1])), 2)
        self.assertEqual(client.retr(2)[1], [b"Subject: second", b"", b"A needle", b"."])
        self.assertEqual(client.top(1, 0)[1][0], b"Subject: first")
        client.dele(1)
        client.rset()
        client.quit()

    def test_the_log_says_what_the_server_does_without(self) -> None:
        output = "".join(self.server.output)
        self.assertIn("IQueueStore: no mail is taken in or sent on", output)
        self.assertNotIn("Traceback", output)


class MemoryStoreTests(unittest.TestCase):
    """What the package gives."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        make_mail(self.folder)
        self.enterContext(installed("memory_store"))
        self.clock = Clock()

    def opened(self) -> IMailStore:
        from memory_store import MemoryStore

        store = MemoryStore(self.folder, DEFAULT_LIMITS, self.clock, execute)
        fired(store.open())
        return store  # type: ignore[no-any-return]

    def test_the_interfaces_are_fulfilled(self) -> None:
        store = self.opened()
        verifyObject(IMailStore, store)
        verifyObject(IDirectory, store.directory)

    def test_accounts_are_known_by_their_folders(self) -> None:
        store = self.opened()
        account = fired(store.directory.account(ANN))
        row = fired(store.directory.route(Address("Ann", "example.test")))
        self.assertEqual((row.account, row.domain.name), (account, "example.test"))
        self.assertIsNone(fired(store.directory.route(Address("bob", "example.test"))).account)
        mail = store.account_mail(account.account_id)
        self.assertEqual([one.name for one in fired(mail.mailboxes())], ["INBOX", "Lists"])

    def test_it_is_found_by_the_scheme_of_its_url(self) -> None:
        settings: Any = None
        store = store_at(StoreContext(f"memory:{self.folder}", settings, self.clock, DEFAULT_LIMITS, 0))
        self.assertIsNone(store.ability(IQueueStore))
        with self.assertRaisesRegex(MissingAbility, "store.url: this kind of store has no IQueueStore"):
            needed(store, IQueueStore)

    def test_a_folder_that_is_not_there_is_a_fault_of_the_settings(self) -> None:
        self.folder = self.folder / "none"
        self.assertRaises(ConfigError, self.opened)

    def test_settings_that_ask_for_more_than_it_is_able_to_are_refused(self) -> None:
        from twisted.internet import reactor

        def service(**tables: Any) -> MailService:
            folder = str(self.folder / "data")
            server = {"hostname": "mail.example.test", "domains": ["example.test"], "data_dir": folder}
            server |= tables.pop("server", {})
            tables = {"store": {"url": f"memory:{self.folder}"}, "server": server, **tables}
            return MailService(settings_from(tables, self.folder / "mail.toml"), reactor)

        service()
        with self.assertRaisesRegex(MissingAbility, "listeners.submission: .* no IQueueStore"):
            service(listeners={"submission": ["tcp:587"]})
        with self.assertRaisesRegex(MissingAbility, "pop3.login_delay: .* no IStateStore"):
            service(pop3={"login_delay": 5})
        with self.assertRaisesRegex(ConfigError, "server.workers"):
            service(server={"workers": 2})
