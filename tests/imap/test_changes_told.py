"""Several sessions change one mailbox at random: at every quiet moment each of them says what the store says."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.imap import snapshots
from pymailsuite.imap.selected import View
from pymailsuite.values import AccountId, ModSeq
from tests.acceptance import acceptance
from tests.imap.conversation import Client, Server
from tests.imap.test_consistency import Reader, _words
from tests.support.stores import fired

_STEPS = int(os.environ.get("PYMAILSUITE_IMAP_STEPS", "1200"))
_ROW = re.compile(r"\* (\d+) FETCH \(UID (\d+) FLAGS \((.*?)\) MODSEQ \((\d+)\)\)")

Row = tuple[int, frozenset[str], int]


class LateNotices:
    """Notices as they come from other processes: some time after the commit, if ``late``."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._held: list[tuple[Callable[[ModSeq], None], ModSeq]] = []
        self.late = False

    def subscribe(self, account_id: AccountId, callback: Callable[[ModSeq], None]) -> Callable[[], None]:
        """As the notices of the store."""
        stopped = False

        def heard(modseq: ModSeq) -> None:
            if self.late:
                self._held.append((tell, modseq))
            else:
                tell(modseq)

        def tell(modseq: ModSeq) -> None:
            if not stopped:
                callback(modseq)

        stop = self._real.subscribe(account_id, heard)

        def stop_both() -> None:
            nonlocal stopped
            stopped = True
            stop()

        return stop_both

    def deliver(self) -> None:
        """All that were held come now."""
        held, self._held = self._held, []
        for tell, modseq in held:
            tell(modseq)


class Changer(Reader):
    """A reader that also does what changes nothing, and what tempts a session to believe that it knows everything."""

    def act(self) -> None:
        count = len(self.messages)
        choice = self.chance.random()
        if self.idle or not count or choice < 0.55:
            super().act()
            return
        low, high = sorted((self.chance.randint(1, count), self.chance.randint(1, count)))
        if choice < 0.65:
            self.ask(f"STORE {low}:{high} -FLAGS (\\Draft)", expunges=False)
        elif choice < 0.75:
            self.ask(f"STORE 1:* {self.chance.choice('+-')}FLAGS.SILENT (\\Seen)", expunges=False)
            # What the own command did is told to nobody: the client is to know.
            for known in self.messages:
                known.flags = None
        elif choice < 0.85:
            self.ask(f"FETCH {low}:{high} BODY[TEXT]", expunges=False)
        elif choice < 0.9:
            self.ask(f"UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE {self.chance.randint(1, 50)})", expunges=True)
        else:
            self.ask("UNSELECT", expunges=False)
            self.messages.clear()
            self.ask(f"{self.chance.choice(('SELECT', 'EXAMINE', 'SELECT'))} INBOX", expunges=False)
            self.ask("SELECT INBOX", expunges=False)


def rows(client: Client) -> list[Row]:
    """What a session says of all messages."""
    lines = [match for line in client.command("FETCH 1:* (UID FLAGS MODSEQ)") if (match := _ROW.match(line))]
    return [(int(line[2]), frozenset(line[3].split()) - {"\\Recent"}, int(line[4])) for line in lines]


class EverySession(SynchronousTestCase):
    """Each change is told to each session, whatever it did itself meanwhile."""

    def _play(self, seed: int, clients: int, messages: int, *, late: bool) -> None:
        chance = random.Random(seed)
        server = Server()
        server.deliver(*range(messages))
        notices = server.factory.shared.notices = LateNotices(server.store.notices)
        readers = [Changer(self, server, chance) for _ in range(clients)]
        for step in range(_STEPS // 4):
            notices.late = late
            if chance.random() < 0.05:
                server.deliver(chance.randrange(10**6))
            chance.choice(readers).act()
            if chance.random() < 0.2:
                notices.deliver()
            if step % 20 == 19:
                notices.late = False
                notices.deliver()
                self._compare(server, readers, f"seed {seed}, step {step}")

    def _compare(self, server: Server, readers: list[Changer], where: str) -> None:
        for reader in readers:
            if reader.idle:
                reader.idle = False
                reader.hear(reader.client.output(), True)
                reader.hear(reader.client.send(b"DONE\r\n"), True, completed=True)
            reader.ask("NOOP", expunges=True)
        truth: list[Row] = [
            (uid, frozenset(_words(system, keywords)), modseq)
            for uid, system, keywords, modseq in fired(server.mail.select("INBOX", True)).rows
        ]
        for reader in readers:
            told = [known.flags for known in reader.messages]
            self.assertEqual([flags for flags in told if flags is not None], [
                row[1] for flags, row in zip(told, truth, strict=True) if flags is not None
            ], where)  # fmt: skip
            self.assertEqual(rows(reader.client), truth, where)
        fresh = server.connect().login()
        fresh.command("EXAMINE INBOX")
        self.assertEqual(rows(fresh) if truth else [], truth, where)
        fresh.close()

    @acceptance("S087", "S114")
    def test_notices_come_at_once(self) -> None:
        for seed in range(1, 5):
            self._play(seed, 4, 12, late=False)

    @acceptance("S087")
    def test_notices_come_late(self) -> None:
        for seed in range(5, 9):
            self._play(seed, 4, 12, late=True)

    def test_views_are_taken_from_those_that_were_closed(self) -> None:
        self.patch(snapshots, "_WORTH_KEEPING", 1)
        for seed in range(9, 13):
            self._play(seed, 3, 12, late=seed % 2 == 0)


class Skipped(SynchronousTestCase):
    """The ways in which a change was once stepped over."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.deliver(1, 2, 3)
        self.one, self.two = (self.server.connect().login() for _ in range(2))
        for client in (self.one, self.two):
            client.command("SELECT INBOX")
        # A NOOP asks the store; what is told without one depends on notices alone.
        self.server.factory.shared.notices = LateNotices(self.server.store.notices)

    def _flags(self, client: Client) -> list[frozenset[str]]:
        client.command("NOOP")
        return [row[1] for row in rows(client)]

    def test_by_a_store_that_changes_nothing(self) -> None:
        self.one.command("STORE 1:3 +FLAGS (\\Flagged)")
        self.two.command("STORE 1 -FLAGS (\\Draft)")
        self.assertEqual(self._flags(self.two), [frozenset({"\\Flagged"})] * 3)

    def test_by_a_message_that_is_opened(self) -> None:
        self.one.command("STORE 1:3 +FLAGS (\\Seen)")
        self.two.command("FETCH 1 BODY[TEXT]")
        self.assertEqual(self._flags(self.two), [frozenset({"\\Seen"})] * 3)

    def test_by_a_store_that_is_not_there_when_new_messages_are_to_be_told(self) -> None:
        for error in (StoreUnavailable(), StorageFull()):
            self.server.deliver(4)
            account_mail = self.two.protocol._session.avatar.mail
            with_claims = account_mail.claim_recent
            account_mail.claim_recent = lambda _, error=error: fail(error)
            lines = self.two.command("NOOP")
            account_mail.claim_recent = with_claims
            lines += self.two.command("NOOP")
            count = len(fired(self.server.mail.select("INBOX", True)).rows)
            self.assertIn(f"* {count} EXISTS", lines)

    def test_by_octets_that_cannot_be_read_after_seen_was_set(self) -> None:
        account_mail = self.two.protocol._session.avatar.mail
        account_mail.read_piece = lambda *_: fail(StoreUnavailable())
        lines = self.two.command("FETCH 2 (FLAGS BODY[TEXT])")
        self.assertEqual(lines[0], "* 2 FETCH (FLAGS (\\Seen))")
        self.assertRegex(lines[-1], "^x NO")

    def test_between_the_reading_of_a_mailbox_and_its_selection(self) -> None:
        client = self.server.connect().login()
        account_mail = client.protocol._session.avatar.mail
        select = account_mail.select

        def select_and_see_it_change(name: str, read_only: bool) -> Any:
            selection = select(name, read_only)
            self.one.command("STORE 2 +FLAGS (\\Flagged)")
            return selection

        account_mail.select = select_and_see_it_change
        client.command("SELECT INBOX")
        self.assertIn("\\Flagged", client.command("FETCH 2 FLAGS")[0])


class Seen(SynchronousTestCase):
    """BODY[] sets \\Seen, whatever the session last knew (RFC 3501 §6.4.5)."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.deliver(1, 2)
        self.server.factory.shared.notices = LateNotices(self.server.store.notices)
        self.server.factory.shared.notices.late = True
        self.one, self.two = (self.server.connect().login() for _ in range(2))
        for client in (self.one, self.two):
            client.command("SELECT INBOX")
        self.two.command("FETCH 1:2 BODY[]")
        self.one.command("NOOP")
        self.one.command("STORE 1 -FLAGS (\\Seen)")

    def _real(self) -> list[int]:
        return [row[1] & 1 for row in fired(self.server.mail.select("INBOX", True)).rows]

    def test_after_another_session_took_it_away(self) -> None:
        lines = self.two.command("UID FETCH 1:2 BODY[TEXT]")
        self.assertEqual(self._real(), [1, 1])
        self.assertIn("* 1 FETCH (UID 1 FLAGS (\\Seen))", lines)

    def test_not_by_peeking_nor_in_a_mailbox_that_is_only_looked_at(self) -> None:
        self.two.command("FETCH 1 BODY.PEEK[]")
        self.assertEqual(self._real(), [0, 1])
        looking = self.server.connect().login()
        looking.command("EXAMINE INBOX")
        looking.command("FETCH 1 BODY[]")
        self.assertEqual(self._real(), [0, 1])


class Own(SynchronousTestCase):
    """A session that is alone with its mailbox is never sent to the store for what it did itself."""

    def test_a_store_of_all_messages_moves_the_view_along(self) -> None:
        server = Server()
        server.deliver(*range(20))
        client = server.connect().login()
        client.command("SELECT INBOX")
        view = client.protocol._session.view
        assert isinstance(view, View)
        server.mail.create_mailbox("Other", None)
        client.command("NOOP")
        asked: list[int] = []
        account_mail = client.protocol._session.avatar.mail
        changes = account_mail.mailbox_changes

        def counted(mailbox_id: Any, since: ModSeq) -> Any:
            asked.append(since)
            return changes(mailbox_id, since)

        account_mail.mailbox_changes = counted
        for sign in "+-+":
            self.assertEqual(len(client.command(f"STORE 1:* {sign}FLAGS (\\Flagged)")), 21)
        self.assertEqual(asked, [])
        # Another mailbox of the account moves on: nothing of this one is sent again.
        server.mail.create_mailbox("Another", None)
        self.assertEqual(client.command("STORE 1:* -FLAGS.SILENT (\\Flagged)"), ["x OK STORE completed"])
        self.assertEqual(client.command("NOOP"), ["x OK NOOP completed"])
