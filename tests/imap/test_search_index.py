"""SEARCH with a text index: what is found is the same in every state of the index, and little is read."""

from __future__ import annotations

import base64
import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap.commands import searching
from pymailsuite.interfaces import Column
from pymailsuite.interfaces.text_index import IndexBounds, ITextIndex
from pymailsuite.message.extraction import NO_EXTRACTION
from pymailsuite.values import UidSet
from tests.acceptance import acceptance
from tests.imap.conversation import Client, Server
from tests.support.stores import append, fired

BOUNDS = IndexBounds(2**30, 2**20, 8, NO_EXTRACTION)
WORDS = ("tea", "teapot", "coffee", "Grüße", "отчёт", "zebra-fish", "A1", "of", "<b>bold</b>", "100%", "İstanbul")
NAMES = ("Anna", "Bob", "Ольга", "Jürgen")


def _encoded(text: str) -> str:
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def _message(rng: random.Random) -> bytes:
    name, subject = rng.choice(NAMES), " ".join(rng.choices(WORDS, k=3))
    header = (
        f"From: {_encoded(name)} <{rng.choice(('anna', 'bob'))}@example.net>\r\n"
        f"To: {rng.choice(WORDS[:3])}@example.org\r\nSubject: {rng.choice((subject, _encoded(subject)))}\r\n"
    )
    if rng.random() < 0.3:
        header += f"Cc: {name} <{rng.choice(WORDS[:3])}@example.com>\r\n"
    text = "\r\n".join(" ".join(rng.choices(WORDS, k=4)) for _ in range(3))
    if rng.random() < 0.3:
        coded = base64.encodebytes(text.encode()).decode()
        header += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
        return f"{header}\r\n{coded}".encode()
    return f"{header}\r\n{text}".encode()


def _quoted(text: str) -> str:
    return f'"{text}"'


def _key(rng: random.Random, depth: int = 0) -> str:
    kind = rng.randrange(14)
    text = " ".join(rng.choices(WORDS, k=rng.choice((1, 1, 2))))
    start = rng.randrange(len(text))
    text = rng.choice((text, text[start : start + 5] or "t", text.upper()))
    if kind < 3 and depth < 3:
        return f"{('OR', 'OR', 'NOT')[kind]} " + " ".join(_key(rng, depth + 1) for _ in range(1 if kind == 2 else 2))
    if kind == 3 and depth < 3:
        return f"({_key(rng, depth + 1)} {_key(rng, depth + 1)})"
    if kind == 4:
        return rng.choice(("SEEN", "UNSEEN", "UID 3:20", "5:*", "LARGER 200", "ALL"))
    if kind == 5:
        return f"{rng.choice(('FROM', 'CC', 'TO'))} {_quoted(rng.choice((*NAMES, 'example', 'bob@', text)))}"
    if kind == 6:
        return f"HEADER {rng.choice(('Subject', 'X-No', 'from', 'To'))} {_quoted(rng.choice(('', text)))}"
    if kind > 11:
        place = rng.randrange(len(text))
        mistaken = text[:place] + rng.choice(("", "e", text[place : place + 1] * 2)) + text[place + 1 :]
        return f"FUZZY {rng.choice(('BODY', 'TEXT', 'SUBJECT', 'FROM'))} {_quoted(mistaken)}"
    return f"{rng.choice(('BODY', 'TEXT', 'SUBJECT', 'TEXT'))} {_quoted(text)}"


class SearchIndexTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        index = self.server.store.ability(ITextIndex)
        assert index is not None
        self.index: Any = index
        self.client = self.server.connect().login()
        self.addCleanup(self.client.close)

    def index_all(self) -> None:
        while fired(self.index.index_some(BOUNDS)) is not None:
            pass

    def found(self, client: Client, program: str) -> list[str]:
        octets = program.encode()
        answer = client.send(b"x UID SEARCH %b\r\n" % octets).decode()
        self.assertIn("x OK", answer, program)
        return [line for line in answer.split("\r\n") if line.startswith("* SEARCH")]

    def found_without(self, client: Client, program: str) -> list[str]:
        patcher = self.patch(searching, "_FEW", 10**9)
        found = self.found(client, program)
        patcher.restore()
        return found

    def append(self, *messages: bytes, mailbox: str = "INBOX") -> None:
        append(self.server.store, self.server.account, mailbox, *messages)

    def mailbox_id(self, name: str = "INBOX") -> Any:
        mailbox: Any = fired(self.server.mail.mailbox(name))
        return mailbox.mailbox_id

    @acceptance("S129")
    def test_the_same_is_found_whatever_the_index_says(self) -> None:
        rng = random.Random(216)
        client, store = self.client, self.server.store
        self.append(*(_message(rng) for _ in range(30)))
        fired(self.server.mail.create_mailbox("Other", None))
        client.command("SELECT INBOX")
        found = 0
        for _ in range(40):
            uids = UidSet.of(rng.sample(range(1, 80), 3))
            match rng.randrange(8):
                case 0 | 1:
                    self.append(*(_message(rng) for _ in range(rng.randint(1, 6))))
                case 2:
                    self.server.mail.remove_messages(self.mailbox_id(), uids)
                case 3:
                    self.server.mail.move(self.mailbox_id(), uids, "Other")
                case 4:
                    self.server.mail.copy(self.mailbox_id("Other"), UidSet.of(range(1, 9)), "INBOX")
                case 5:
                    fired(rng.choice((self.index.drop, self.index.rebuild, self.index.rebuild))())
                case 6:
                    store.maintenance.sweep(self.server.clock.seconds() + 40 * 86400)
                case 7:
                    self.index_all()
            for _ in range(rng.randint(0, 6)):
                fired(self.index.index_some(BOUNDS))
            client.command("NOOP")
            for _ in range(4):
                program = f"CHARSET UTF-8 {_key(rng)} {_key(rng)}" if rng.random() < 0.5 else _key(rng)
                with_index, without = self.found(client, program), self.found_without(client, program)
                self.assertEqual(with_index, without, program)
                found += len("".join(without).split()) - 2
        self.assertGreater(found, 1000)

    @acceptance("S216")
    def test_only_messages_that_may_match_are_read(self) -> None:
        self.append(*(b"Subject: number %d\r\n\r\nThe word is w%03dx.\r\n" % (n, n) for n in range(200)))
        self.index_all()
        self.client.command("SELECT INBOX")
        read: list[int] = []
        mail_class = type(self.server.mail)
        reading = mail_class.read_in_steps

        def noted(mail: Any, mailbox_id: Any, uids: UidSet, columns: Any, *more: Any) -> Any:
            if Column.OCTETS in columns or Column.SUBJECT in columns or Column.HEADER in columns:
                read.extend(uid for low, high in uids.ranges for uid in range(low, high + 1))
            return reading(mail, mailbox_id, uids, columns, *more)

        self.patch(mail_class, "read_in_steps", noted)
        for program, uid in (
            ("BODY w017", 18),
            ("TEXT W150X", 151),
            ('TEXT "the word is w099"', 100),
            ("UNSEEN SUBJECT 123", 124),
            ("HEADER Subject 177", 178),
            ("OR BODY w017 BODY nothing", 18),
        ):
            with self.subTest(program=program):
                read.clear()
                self.assertEqual(self.found(self.client, program), [f"* SEARCH {uid}"])
                self.assertLess(len(set(read)), 4)

    @acceptance("S284")
    def test_russian_charsets_in_headers_and_in_searches(self) -> None:
        word = "отчёт"
        for charset in ("koi8-r", "windows-1251"):
            coded = base64.b64encode(f"{word} {charset}".encode(charset)).decode()
            self.append(
                f"Subject: =?{charset}?B?{coded}?=\r\nFrom: =?{charset}?B?{coded}?= <a@example.net>\r\n"
                f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
                + f"тело {charset}".encode(charset)
            )
        self.append(*(b"Subject: other\r\n\r\nother\r\n" for _ in range(10)))
        for indexed in (False, True):
            if indexed:
                self.index_all()
            self.client.command("SELECT INBOX")
            for charset in ("KOI8-R", "windows-1251", "cp1251", "UTF-8"):
                for key, text in (("SUBJECT", word), ("FROM", word.upper()), ("BODY", "Тело"), ("TEXT", "тело")):
                    with self.subTest(charset=charset, key=key, indexed=indexed):
                        octets = text.encode(charset)
                        begun = f"x UID SEARCH CHARSET {charset} {key} {{{len(octets)}}}\r\n".encode()
                        self.assertTrue(self.client.send(begun).startswith(b"+ "))
                        self.assertIn(b"* SEARCH 1 2\r\n", self.client.send(octets + b"\r\n"))
        self.assertEqual(
            self.client.command("SEARCH CHARSET base64 TEXT x")[-1].split(" ")[:3], ["x", "NO", "[BADCHARSET"]
        )
