"""No command keeps the reactor from other connections, whatever the grammar allows it to ask for.

The store has its threads here, and the test plays the reactor: what it calls for a session is a turn, measured by the
processor time of this thread alone. So neither the reader threads nor other work of the machine count.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import pytest

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.factory import ImapFactory
from pymailsuite.store.mailboxes import advance_txn, create_levels_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, AccountId, ModSeq
from tests.imap.conversation import PASSWORD, USER, Client, message
from tests.store.support import NOW, Bell, OnDisk
from tests.support.cred import make_portal
from tests.support.imap import VOCABULARY
from tests.support.patience import PATIENCE_S, at_best

MAILBOXES = 4_000
DOUBLINGS = 13
"""8,192 messages."""
_LIMIT_S = 0.1

pytestmark = pytest.mark.slow


class WatchedBell(Bell):
    """A reactor that knows how long its longest turn was."""

    def __init__(self) -> None:
        super().__init__()
        self.longest_s = 0.0

    def turn(self, function: Callable[..., object], *arguments: Any, **keywords: Any) -> None:
        began = time.thread_time()
        try:
            function(*arguments, **keywords)
        finally:
            self.longest_s = max(self.longest_s, time.thread_time() - began)

    def callFromThread(self, function: Callable[..., object], *arguments: Any) -> None:
        super().callFromThread(self.turn, function, *arguments)

    def callLater(self, when: float, what: Callable[..., object], *arguments: Any, **keywords: Any) -> Any:
        return super().callLater(when, self.turn, what, *arguments, **keywords)


class TurnLengthTests(OnDisk):
    """Commands at the limits of the grammar, in a mailbox of many messages and an account of many mailboxes."""

    def setUp(self) -> None:
        super().setUp()
        self.result(self.store.close())
        self.clock = self.bell = self.watched = WatchedBell()
        self.store = self.open_store()
        ann = self.account(USER)
        mail = self.store.account_mail(ann.account_id)
        self.append(ann, "INBOX", message(1))
        inbox = self.result(mail.mailbox("INBOX")).mailbox_id
        for _ in range(DOUBLINGS):
            self.result(mail.copy(inbox, ALL_UIDS, "INBOX"))
        self.result(self.store.database.run("fill", lambda txn: _fill_txn(txn, ann.account_id)))
        settings = ImapSettings(plaintext_login=True, bad_commands=100)
        portal = make_portal({USER: PASSWORD}, self.store)
        notices = self.store.notices
        self.factory = ImapFactory(settings, "mail.example", portal, notices, self.store, VOCABULARY, None, self.bell)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.client = self.logged_in()
        self.other = self.logged_in()

    def logged_in(self) -> Client:
        client = Client(self, "127.0.0.1", False)  # type: ignore[arg-type]
        client.output()
        self.say(client, f"LOGIN {USER} {PASSWORD}".encode())
        self.say(client, b"SELECT INBOX")
        self.addCleanup(client.close)
        return client

    def say(self, client: Client, command: bytes, others: Client | None = None) -> bytes:
        """The answer to commands, and to one more; meanwhile another client says NOOP and has its answers."""
        self.watched.turn(client.protocol.dataReceived, b"t " + command + b"\r\nz NOOP\r\n")
        said = b""
        deadline = time.monotonic() + PATIENCE_S
        if others is not None:
            self.watched.turn(others.protocol.dataReceived, b"t NOOP\r\n")
        while not said.endswith(b"z OK NOOP completed\r\n"):
            self.assertLess(time.monotonic(), deadline, said[-300:])
            self.bell.advance(0)
            self.bell.run_calls(0.05)
            said += client.output()
            if others is not None and b"t OK NOOP" in others.output():
                self.watched.turn(others.protocol.dataReceived, b"t NOOP\r\n")
        return said

    def assert_short(self, command: bytes) -> None:
        def measure() -> float:
            self.watched.longest_s = 0.0
            said = self.say(self.client, command, self.other)
            self.assertRegex(said[-400:], rb"(?m)^t (OK|NO|BAD) ", command[:60])
            return self.watched.longest_s

        at_best(measure, _LIMIT_S, 3)

    def test_lists(self) -> None:
        for command in (
            b'LIST "" *',
            b'LIST "" (' + b" ".join(b"*a%%%d*b%%c*%d*" % (number, number) for number in range(100)) + b")",
            b'LIST "" (' + b" ".join(b"a" * 500 + b"*%d" % number for number in range(100)) + b")",
            b'LIST (SUBSCRIBED RECURSIVEMATCH) "" *',
            b'LIST (RECURSIVEMATCH SUBSCRIBED SPECIAL-USE) "" % RETURN (SUBSCRIBED CHILDREN)',
            b'LIST "" * RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT SIZE HIGHESTMODSEQ))',
            b'LSUB "" *',
            b'LSUB "" %',
        ):
            self.assert_short(command)

    def test_searches(self) -> None:
        flat = {
            b"KEYWORD k%d": 999,
            b"NOT %d": 490,
            b"UID %d": 490,
            b"NOT SUBJECT s%d": 150,
            b"NOT HEADER X-H%d x": 60,
            b"NOT BODY x%d": 100,
            b"NOT TEXT x%d": 50,
            b"NOT LARGER 9%d": 990,
            b"NOT SENTON %d-Jan-2020": 28,
        }
        for key, count in flat.items():
            self.assert_short(b"SEARCH " + b" ".join(key % number for number in range(1, count + 1)))
        for command in (
            b"SEARCH " + b"(" * 32 + b"ALL" + b")" * 32,
            b"SEARCH " + b"NOT " * 32 + b"SUBJECT x",
            b"SEARCH " + b"(" * 10_000,
            b"SEARCH " + b",".join(b"%d" % number for number in range(1, 8000, 2)),
            b"UID SEARCH RETURN (ALL) " + b",".join(b"%d" % number for number in range(1, 16000, 3)),
            b"SEARCH RETURN (MIN MAX COUNT ALL) MODSEQ 1",
            b"SEARCH UNDELETED",
        ):
            self.assert_short(command)

    def test_sorts_and_threads(self) -> None:
        for command in (
            b"SORT (SUBJECT REVERSE DATE FROM TO CC DISPLAYFROM DISPLAYTO SIZE ARRIVAL) UTF-8 ALL",
            b"THREAD ORDEREDSUBJECT UTF-8 ALL",
            b"THREAD REFERENCES UTF-8 ALL",
        ):
            self.assert_short(command)

    def test_searches_of_long_messages(self) -> None:
        ann = self.result(self.store.directory.account(USER))
        folded = "Wörter und Wörter ".encode()
        head = b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        self.append(
            ann, "a/b1", *[head + folded * (250_000 // len(folded))] * 4, head + folded * (700_000 // len(folded))
        )
        self.say(self.client, b"SELECT a/b1")
        keys = b" ".join(b"NOT BODY {6+}\r\nn\xc3\xb8%03d" % number for number in range(300))
        self.assert_short(b"SEARCH CHARSET UTF-8 " + keys)
        newcomer = self.logged_in()
        self.assertIn(b"* SEARCH 1 2 3 4 5\r\n", self.say(newcomer, b"EXAMINE a/b1\r\nt SEARCH NOT BODY n999"))

    def test_fetches(self) -> None:
        every_second = b",".join(b"%d" % number for number in range(1, 8000, 2))
        for command in (
            b"FETCH 1:* (UID FLAGS MODSEQ)",
            b"FETCH 1:* (ENVELOPE BODYSTRUCTURE INTERNALDATE)",
            b"FETCH " + every_second + b" (FLAGS RFC822.SIZE)",
            b"UID FETCH " + every_second + b" FLAGS",
            b"FETCH 1:300 (" + b" ".join(b"BODY.PEEK[]<%d.200>" % number for number in range(100)) + b")",
            b"FETCH 1:300 (" + b" ".join(b"BINARY.PEEK[1]<%d.200>" % number for number in range(100)) + b")",
            b"FETCH 1:300 BODY.PEEK[HEADER.FIELDS (" + b" ".join(b"F%d" % number for number in range(200)) + b")]",
            b"FETCH 1:* (BODY.PEEK[" + b".".join([b"1"] * 100) + b"])",
            b"FETCH 1 (" + b" ".join([b"FLAGS"] * 10_000) + b")",
        ):
            self.assert_short(command)

    def test_changes(self) -> None:
        keywords = b" ".join(b"k%d" % number for number in range(90))
        for command in (
            b"STORE 1:* +FLAGS (\\Flagged " + keywords + b")",
            b"STORE 1:* -FLAGS (\\Flagged " + keywords + b")",
            b"STORE 1:* +FLAGS.SILENT (" + b" ".join([b"k"] * 10_000) + b")",
            b"COPY 1:* " + b"a/b3",
            b"MOVE 4000:* " + b"a/b4",
            b"UID STORE 1:2000 +FLAGS.SILENT (\\Deleted)",
            b"EXPUNGE",
        ):
            self.assert_short(command)

    def test_other_commands(self) -> None:
        for command in (
            b"ID (" + b" ".join(b'"n%d" "v"' % number for number in range(30)) + b")",
            b"ID (" + b" ".join(b'"n%d" "v"' % number for number in range(5000)) + b")",
            b"ENABLE " + b" ".join([b"CONDSTORE"] * 5000),
            b"STATUS INBOX (" + b" ".join([b"MESSAGES"] * 5000) + b")",
            b"CREATE " + b"/".join([b"c"] * 400),
            b"SELECT INBOX",
        ):
            self.assert_short(command)

    def test_commands_by_the_thousand(self) -> None:
        for commands in (
            b"NOOP\r\nt CAPABILITY\r\nt " * 2000,
            b"IDLE\r\nDONE\r\nt CAPABILITY\r\nt " * 2000,
            b"FETCH 1:8000 FLAGS\r\nt CAPABILITY\r\nt " * 50,
            b"SEARCH UNSEEN KEYWORD a\r\nt CAPABILITY\r\nt " * 500,
        ):
            self.assert_short(commands + b"NOOP")


def _fill_txn(txn: Transaction, account_id: AccountId) -> None:
    """Mailboxes, and as many subscriptions."""
    modseq: ModSeq = advance_txn(txn, account_id)
    for number in range(MAILBOXES):
        create_levels_txn(
            txn, account_id, f"a/b{number % 64}/c{number}" if number >= 64 else f"a/b{number}", modseq, NOW, ()
        )
    txn.execute(
        "INSERT INTO subscriptions (account_id, name) SELECT account_id, name FROM mailboxes"
        " WHERE account_id = ? AND name > 'a' AND name < 'b'",
        (account_id,),
    )
