"""QRESYNC: a client that was away is told what it has missed, whatever the store still remembers of it."""

from __future__ import annotations

import random
import re
from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from pymailsuite.imap import snapshots
from pymailsuite.imap.selected import View
from pymailsuite.values import UidSet
from tests.imap.conversation import Client, Server
from tests.imap.test_consistency import _words
from tests.support.stores import fired

DAY = 86400.0
_CODE = re.compile(r"\* OK \[(UIDVALIDITY|HIGHESTMODSEQ) (\d+)\]")
_VANISHED = re.compile(r"\* VANISHED (\(EARLIER\) )?([\d:,]+)")
_FETCH = re.compile(r"\* \d+ FETCH \(UID (\d+) FLAGS \((.*?)\) MODSEQ \(\d+\)\)")


def uids_in(line: str) -> set[int]:
    """The UIDs of a set as it is written."""
    ranges = (item.partition(":") for item in line.split(","))
    return {uid for low, _, high in ranges for uid in range(int(low), int(high or low) + 1)}


class Resyncing:
    """A client with a cache of INBOX, by UID, that believes what it is told."""

    def __init__(self, server: Server) -> None:
        self.client: Client = server.connect().login()
        self.client.command("ENABLE QRESYNC")
        self.cache: dict[int, frozenset[str]] = {}
        self.codes: dict[str, int] = {}
        for line in self.learn("SELECT INBOX") and self.client.command("UID FETCH 1:* (FLAGS MODSEQ)"):
            self._learn(line)

    def learn(self, command: str) -> list[str]:
        """Send a command and take in what is answered."""
        lines = self.client.command(command)
        assert lines[-1].startswith("x OK"), lines
        for line in lines:
            self._learn(line)
        return lines

    def _learn(self, line: str) -> None:
        if match := _VANISHED.match(line):
            for uid in uids_in(match[2]):
                self.cache.pop(uid, None)
        elif match := _FETCH.match(line):
            self.cache[int(match[1])] = frozenset(match[2].split()) - {"\\Recent"}
        elif match := _CODE.match(line):
            self.codes[match[1]] = int(match[2])

    def resync(self, more: str = "") -> list[str]:
        """Open INBOX again."""
        return self.learn(f"SELECT INBOX (QRESYNC ({self.codes['UIDVALIDITY']} {self.codes['HIGHESTMODSEQ']}{more}))")


class Missed(SynchronousTestCase):
    """What happened while the client was away."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.deliver(*range(1, 13))

    def _truth(self) -> dict[int, frozenset[str]]:
        rows = fired(self.server.mail.select("INBOX", True)).rows
        return {uid: frozenset(_words(system, keywords)) for uid, system, keywords, _ in rows}

    def test_a_cache_is_right_after_each_time_whatever_others_did(self) -> None:
        self.patch(snapshots, "_WORTH_KEEPING", 1)
        for seed in range(4):
            self.setUp()
            chance = random.Random(seed)
            away, there = Resyncing(self.server), Resyncing(self.server)
            other = self.server.connect().login()
            other.command("SELECT INBOX")
            for step in range(60):
                away.client.command("UNSELECT")
                for _ in range(chance.randint(0, 4)):
                    last = max(self._truth(), default=1)
                    low = chance.randint(1, last)
                    flag = chance.choice(("\\Seen", "\\Deleted", "$one"))
                    other.command(f"UID STORE {low}:{low + 1} {chance.choice('+-')}FLAGS ({flag})")
                    if chance.random() < 0.3:
                        self.server.deliver(step)
                    if chance.random() < 0.3:
                        other.command("EXPUNGE")
                away.resync()
                self.assertEqual(away.cache, self._truth(), f"seed {seed}, step {step}")
                # One that stays is told of arrivals by EXISTS alone.
                there.learn("NOOP")
                there.learn("UID FETCH 1:* (FLAGS MODSEQ)")
                self.assertEqual(there.cache, self._truth(), f"seed {seed}, step {step}")

    def test_no_line_is_long(self) -> None:
        self.server.deliver(*range(13, 2001))
        away = Resyncing(self.server)
        away.client.command("UNSELECT")
        box = fired(self.server.mail.mailbox("INBOX")).mailbox_id
        fired(self.server.mail.remove_messages(box, UidSet.of(range(1, 2000, 2))))
        told = [line for line in away.resync() if _VANISHED.match(line)]
        self.assertEqual(len(told), 2)
        self.assertEqual(away.cache, self._truth())

    def test_no_mailbox_is_selected_if_the_store_does_not_say(self) -> None:
        away = Resyncing(self.server)
        mail: Any = away.client.protocol._session.avatar.mail  # type: ignore[attr-defined]
        mail.mailbox_changes = lambda *_: fail(StoreUnavailable())
        lines = away.client.command(f"SELECT INBOX (QRESYNC ({away.codes['UIDVALIDITY']} 1))")
        self.assertRegex(lines[-1], "x NO ")
        self.assertEqual(away.client.command("CHECK"), ["x BAD Command not allowed in this state"])


class Sets(SynchronousTestCase):
    """Sets of UIDs, and what of them a view does not hold."""

    def test_they_are_as_if_each_number_was_looked_at(self) -> None:
        chance = random.Random(7)
        server = Server()
        mailbox = fired(server.mail.mailbox("INBOX"))
        for _ in range(300):
            one, other = ({chance.randint(1, 30) for _ in range(chance.randint(0, 20))} for _ in range(2))
            self.assertEqual(UidSet.of(one) & UidSet.of(other), UidSet.of(one & other))
            view = View(server.mail, mailbox, True, [(uid, 0, "", 1) for uid in sorted(other)])
            self.assertEqual(view.unknown(UidSet.of(one)), UidSet.of(one - other))


class Forgotten(SynchronousTestCase):
    """The store does not remember what was expunged (RFC 7162 §3.2.5.1)."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.deliver(*range(1, 11))
        self.away = Resyncing(self.server)
        self.away.client.command("UNSELECT")
        self.mail = self.server.mail
        box = fired(self.mail.mailbox("INBOX")).mailbox_id
        fired(self.mail.remove_messages(box, UidSet.of([2, 6, 7, 10])))
        fired(self.server.store.maintenance.sweep(self.server.clock.seconds() + 200 * DAY))
        changes = fired(self.mail.mailbox_changes(box, self.away.codes["HIGHESTMODSEQ"]))
        self.assertFalse(changes.is_complete)

    def _vanished(self, more: str) -> str:
        codes = dict(self.away.codes)
        lines = self.away.resync(more)
        self.away.codes = codes
        return "".join(line for line in lines if "VANISHED" in line)

    def test_all_that_are_not_there_are_told(self) -> None:
        self.assertEqual(self._vanished(""), "* VANISHED (EARLIER) 2,6:7,10")
        self.assertEqual(sorted(self.away.cache), [1, 3, 4, 5, 8, 9])

    def test_of_those_that_the_client_knows(self) -> None:
        self.assertEqual(self._vanished(" 1:6"), "* VANISHED (EARLIER) 2,6")
        self.assertEqual(self._vanished(" 1,3:5"), "")

    def test_behind_the_last_that_has_the_number_it_had(self) -> None:
        # The client had the second message under the number 2: all up to 1 are there.
        self.assertEqual(self._vanished(" (1,5,9 1,5,9)"), "* VANISHED (EARLIER) 2,6:7,10")
        # It had been told of 2 and not of the others: 3 to 5 have the numbers that they have.
        self.assertEqual(self._vanished(" 1,3:10 (2,4,6:8 3,5,7:9)"), "* VANISHED (EARLIER) 6:7,10")
        self.assertEqual(self._vanished(" (1:4 1,3:5)"), "* VANISHED (EARLIER) 6:7,10")

    def test_by_uid_fetch_too(self) -> None:
        self.away.client.command("SELECT INBOX")
        since = self.away.codes["HIGHESTMODSEQ"]
        for numbers, gone in (("1:*", "2,6:7,10"), ("3:6", "6")):
            lines = self.away.client.command(f"UID FETCH {numbers} (FLAGS) (CHANGEDSINCE {since} VANISHED)")
            self.assertEqual(lines, [f"* VANISHED (EARLIER) {gone}", "x OK FETCH completed"])

    def test_an_empty_mailbox_that_never_had_a_message(self) -> None:
        fired(self.mail.create_mailbox("Empty", None))
        lines = self.away.client.command("SELECT Empty")
        validity = next(match[2] for line in lines if (match := _CODE.match(line)))
        lines = self.away.client.command(f"SELECT Empty (QRESYNC ({validity} 9999))")
        self.assertEqual([line for line in lines if "VANISHED" in line], [])
