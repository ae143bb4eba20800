"""Ten clients on one mailbox under random load: what each was told adds up to the truth."""

from __future__ import annotations

import random
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance import acceptance
from tests.imap.conversation import Client, Server, message
from tests.support.stores import fired

_FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "$one", "$two")
_FETCH = re.compile(r"\* (\d+) FETCH \((.*)\)\Z", re.DOTALL)
_NUMBER = re.compile(r"\* (\d+) (EXISTS|EXPUNGE|RECENT)\Z")


class Known:
    """A message as a client knows it; None: not told yet."""

    def __init__(self) -> None:
        self.uid: int | None = None
        self.flags: frozenset[str] | None = None


class Reader:
    """A client that believes what it is told, and nothing else."""

    def __init__(self, case: SynchronousTestCase, server: Server, chance: random.Random) -> None:
        self.case = case
        self.chance = chance
        self.client: Client = server.connect().login()
        self.messages: list[Known] = []
        self.keywords: set[str] = set()
        self.recent: set[int] = set()
        self.idle = False
        self.ask("SELECT INBOX", expunges=False)

    def ask(self, command: str, *, expunges: bool) -> None:
        """Send a command and learn from its replies."""
        self.hear(self.client.send(f"x {command}\r\n".encode()), expunges, completed=True)

    def hear(self, octets: bytes, expunges: bool, completed: bool = False) -> None:
        """Take untagged replies in turn, as RFC 3501 §7 says they are to be taken."""
        lines = re.split(r"\r\n(?=\* |x |\+ )", octets.decode().removesuffix("\r\n")) if octets else []
        if completed:
            self.case.assertRegex(lines.pop(), r"x (OK|NO \[EXPUNGEISSUED\]) ")
        for line in lines:
            self._learn(line, expunges)

    def _learn(self, line: str, expunges: bool) -> None:
        if match := _NUMBER.match(line):
            number = int(match[1])
            if match[2] == "EXISTS":
                self.case.assertGreaterEqual(number, len(self.messages), "EXISTS fell without EXPUNGE")
                self.messages += [Known() for _ in range(number - len(self.messages))]
            elif match[2] == "EXPUNGE":
                self.case.assertTrue(expunges, "EXPUNGE in the reply to a command by number")
                del self.messages[number - 1]
        elif match := _FETCH.match(line):
            known = self.messages[int(match[1]) - 1]
            if uid := re.search(r"UID (\d+)", match[2]):
                self.case.assertIn(known.uid, (None, int(uid[1])), "a number changed its message")
                known.uid = int(uid[1])
            if flags := re.search(r"FLAGS \((.*?)\)", match[2]):
                told = frozenset(flags[1].split())
                self.case.assertLessEqual({word for word in told if word[0] != "\\"}, self.keywords, line)
                known.flags = told - {"\\Recent"}
                if "\\Recent" in told and known.uid is not None:
                    self.recent.add(known.uid)
        elif match := re.match(r"\* FLAGS \((.*)\)", line):
            self.keywords = {word for word in match[1].split() if word[0] != "\\"}

    def act(self) -> None:
        """Do one thing."""
        if self.idle:
            self.hear(self.client.output(), True)
            if self.chance.random() < 0.3:
                self.idle = False
                self.hear(self.client.send(b"DONE\r\n"), True, completed=True)
            return
        choice = self.chance.random()
        count = len(self.messages)
        if choice < 0.1:
            octets = message(self.chance.randrange(10**6))
            self.hear(self.client.send(b"x APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets)), True, completed=True)
        elif choice < 0.2:
            self.idle = True
            self.hear(self.client.send(b"x IDLE\r\n"), True)
        elif choice < 0.3 or not count:
            self.ask("NOOP", expunges=True)
        elif choice < 0.6:
            self._store(self.chance.randint(1, count), self.chance.randint(1, count))
        elif choice < 0.65:
            self.ask("EXPUNGE", expunges=True)
        elif choice < 0.7:
            self.ask(f"COPY {self.chance.randint(1, count)} INBOX", expunges=True)
        elif choice < 0.73:
            self.ask(f"MOVE {self.chance.randint(1, count)} Archive", expunges=True)
        elif choice < 0.8:
            self.ask(f"FETCH {self.chance.randint(1, count)} (UID BODY[TEXT])", expunges=False)
        elif choice < 0.85:
            self.ask(f"FETCH {self.chance.randint(1, count)} (UID FLAGS RFC822.SIZE)", expunges=False)
        elif choice < 0.95:
            self.ask("FETCH 1:* (UID FLAGS)", expunges=False)
        else:
            self.ask("UID SEARCH UNSEEN SUBJECT number", expunges=True)

    def _store(self, low: int, high: int) -> None:
        sign, flag = self.chance.choice("+-"), self.chance.choice(_FLAGS)
        silent = self.chance.random() < 0.5
        before = self.messages[min(low, high) - 1 : max(low, high)]
        if silent:
            # The client takes its own command for done; what was different is told to it.
            for known in before:
                if known.flags is not None:
                    known.flags = known.flags | {flag} if sign == "+" else known.flags - {flag}
        self.ask(f"STORE {low}:{high} {sign}FLAGS{'.SILENT' if silent else ''} ({flag})", expunges=False)


class Consistency(SynchronousTestCase):
    """Replays what clients were told and compares it with the store."""

    def _play(self, seed: int, clients: int, steps: int) -> None:
        chance = random.Random(seed)
        server = Server()
        server.deliver(*range(1, 9))
        readers = [Reader(self, server, chance) for _ in range(clients)]
        for _ in range(steps):
            if chance.random() < 0.05:
                server.deliver(chance.randrange(10**6))
            chance.choice(readers).act()
        for reader in readers:
            if reader.idle:
                reader.hear(reader.client.send(b"DONE\r\n"), True, completed=True)
            reader.ask("NOOP", expunges=True)
        for reader in readers:
            reader.ask("NOOP", expunges=True)
            truth = fired(server.mail.select("INBOX", True)).rows
            self.assertEqual(len(reader.messages), len(truth))
            told = [known.flags for known in reader.messages]
            real = [frozenset(_words(system, keywords)) for _, system, keywords, _ in truth]
            self.assertEqual([flags if flags is not None else now for flags, now in zip(told, real, strict=True)], real)
            reader.ask("FETCH 1:* (UID FLAGS)", expunges=False)
            self.assertEqual([known.uid for known in reader.messages], [row[0] for row in truth])
            self.assertEqual([known.flags for known in reader.messages], real)
        for one in readers:
            for other in readers:
                if one is not other:
                    self.assertFalse(one.recent & other.recent, "recent in two sessions")

    @acceptance("S087", "S105")
    def test_ten_sessions_agree_with_the_store(self) -> None:
        self._play(seed=1, clients=10, steps=1500)

    def test_two_sessions_agree_with_the_store_whatever_the_order(self) -> None:
        for seed in range(2, 12):
            self._play(seed, clients=2, steps=120)


def _words(system: int, keywords: str) -> list[str]:
    names = {1: "\\Seen", 2: "\\Answered", 4: "\\Flagged", 8: "\\Deleted", 16: "\\Draft"}
    return [name for bit, name in names.items() if system & bit] + keywords.split()
