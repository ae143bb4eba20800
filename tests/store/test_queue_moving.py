"""Queues of stores whose entries had the ids of their contents."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import unittest
from hashlib import sha256
from typing import Any
from unittest import mock

from twisted.internet.task import Clock

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces import QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.store import MailStore, inline_store
from pymailsuite.store.mail_store import open_engine
from pymailsuite.store.migrate import migrate_txn
from pymailsuite.store.moving.session import StoreSession
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import Address, ContentId, EntryId, queue_id_of
from tests.support import stores
from tests.support.stores import fired

NOW = 1_770_000_000.0
LAST_OLD_SCHEMA = 22
OCTETS = b"Subject: x\r\n\r\nbody\r\n"
HEADER = 14


class OldQueue:
    """Rows as they were written for :data:`LAST_OLD_SCHEMA`."""

    def __init__(self) -> None:
        self.contents: list[tuple[Any, ...]] = []
        self.chunks: list[tuple[Any, ...]] = []
        self.entries: list[tuple[Any, ...]] = []
        self.recipients: list[tuple[Any, ...]] = []

    def add(self, recipients: list[tuple[Any, ...]], *ways: tuple[Any, ...], **fields: Any) -> ContentId:
        """An entry; ``recipients`` are (way, state, next attempt). Its id, which is its content's."""
        content_id = 1000 + len(self.contents)
        facts = {
            "held": 0,
            "claimed_by": "",
            "claimed_until": 0.0,
            "reverse": ("sam", "peer.example", 0),
            "smtputf8": 0,
            "body": "7BIT",
            "prefix": None,
            **fields,
        }
        digest, rest = sha256(OCTETS).digest(), (b"", b"", b"", b"", 0)
        self.contents.append((content_id, 1, len(OCTETS), HEADER, NOW, digest, *rest))
        self.chunks.append((content_id, 0, OCTETS))
        due = min(again for _, state, again in recipients if state == "waiting")
        self.entries.append(
            (
                *(content_id, due, facts["held"], facts["claimed_by"], facts["claimed_until"], *facts["reverse"]),
                *(NOW, facts["smtputf8"], facts["body"], "192.0.2.1", facts["prefix"]),
                json.dumps([(*path, prefix.decode("latin-1")) for *path, prefix in ways]) if ways else "",
            )
        )
        self.recipients += [
            (
                *(content_id, position, f"r{position}", "b.example", "b.example", "team", "example.org", state, 3),
                *(again, 1, "4.2.0", "451 later", "mx.b.example", position % 2, way),
            )
            for position, (way, state, again) in enumerate(recipients)
        ]
        return ContentId(content_id)

    def write_txn(self, txn: Transaction) -> None:
        txn.insert(
            "contents",
            "content_id, refs, size, header_size, created_at, digest, envelope, body, bodystructure, parts,"
            " extra_octets",
            self.contents,
        )
        txn.insert("content_chunks", "content_id, position, octets", self.chunks)
        txn.insert(
            "queue_entries",
            "content_id, due_at, held, claimed_by, claimed_until, reverse_local, reverse_domain, reverse_unquoted,"
            " created_at, smtputf8, body, origin, prefix, other_ways",
            self.entries,
        )
        txn.insert(
            "queue_recipients",
            "content_id, position, local_part, domain, route, original_local, original_domain, state, attempts,"
            " next_attempt, delay_reported, last_status, last_reply, last_host, unquoted, way",
            self.recipients,
        )


class MovingTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="pymailsuite-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.url = f"sqlite:///{self.folder}/store" if stores.schemas is None else stores.schemas.make_bare()
        self.old = OldQueue()
        # Time is the test's own, wherever the database is.
        clock = mock.patch.object(type(open_engine(self.url, StoreSection())), "clock", "")
        clock.start()
        self.addCleanup(clock.stop)

    def move(self) -> MailStore:
        """The store that the old rows become."""
        settings = StoreSection()
        session = StoreSession(open_engine(self.url, settings), settings, writable=True)
        make = functools.partial(migrate_txn, engine=session.engine, now=5.0, upto=LAST_OLD_SCHEMA)
        session.write("make", make)
        session.write("fill", self.old.write_txn)
        session.close()
        clock = Clock()
        clock.rightNow = NOW
        store = inline_store(settings, clock, url=self.url)
        fired(store.open())
        self.addCleanup(lambda: fired(store.close()))
        self.assertEqual(fired(store.maintenance.verify(True)), [])
        return store

    def entries(self, store: MailStore) -> list[QueueEntry]:
        found: Any = fired(store.queue.entries())
        return list(found)

    def octets(self, store: MailStore, entry: QueueEntry) -> Any:
        return fired(entry.source(store.read_content).read(0, entry.size))

    def test_an_entry_stays_what_it_was(self) -> None:
        content_id = self.old.add(
            [(0, "waiting", NOW + 9), (0, "delivered", NOW), (0, "expired", NOW), (0, "waiting", NOW + 5)],
            held=1,
            smtputf8=1,
            body="8BITMIME",
            prefix=b"X-Found: \xff\0\r\n",
            reverse=("a..b", "peer.example", 1),
        )
        store = self.move()
        (entry,) = self.entries(store)
        self.assertEqual((entry.content_id, entry.queue_id), (content_id, queue_id_of(content_id)))
        self.assertNotEqual(entry.entry_id, content_id)
        self.assertEqual(str(entry.reverse_path), "a..b@peer.example")
        self.assertEqual((entry.held, entry.smtputf8, entry.body, entry.origin), (True, True, "8BITMIME", "192.0.2.1"))
        self.assertEqual((entry.envid, entry.ret, entry.priority, entry.created_at), ("", None, 0, NOW))
        self.assertEqual(self.octets(store, entry), b"X-Found: \xff\0\r\n" + OCTETS)
        self.assertEqual(
            [(one.state.value, one.last_status, one.next_attempt) for one in entry.recipients],
            [
                ("delayed", "4.2.0", NOW + 9),
                ("delivered", "4.2.0", NOW),
                ("failed", "4.4.7", NOW),
                ("delayed", "4.2.0", NOW + 5),
            ],
        )
        first, last = (
            QueuedRecipient(
                position,
                Address(f"r{position}", "b.example", bool(position % 2)),
                "b.example",
                Address("team", "example.org"),
                RecipientState.DELAYED,
                3,
                NOW + again,
                True,
                "4.2.0",
                "451 later",
                "mx.b.example",
            )
            for position, again in ((0, 9), (3, 5))
        )
        self.assertEqual((entry.recipients[0], entry.recipients[3]), (first, last))
        fired(store.queue.hold([entry.entry_id], False))
        self.assertEqual(fired(store.queue.next_due(NOW)), NOW + 5)

    def test_each_way_that_somebody_waits_on_becomes_an_entry(self) -> None:
        prefix = "X-ü: 1\r\n".encode()
        ways = (("c..d", "ü.example", True, prefix), (None, None, False, b"\0\xff"), ("e", "x.example", False, b""))
        content_id = self.old.add(
            [(2, "waiting", NOW + 2), (0, "delivered", NOW), (1, "waiting", NOW + 1), (1, "failed", NOW)]
            + [(3, "waiting", NOW + 3)],
            *ways,
            claimed_by="one",
            claimed_until=NOW + 60,
            prefix=b"X: 0\r\n",
        )
        store = self.move()
        entries = self.entries(store)
        self.assertEqual(
            [(str(entry.reverse_path), [one.position for one in entry.recipients]) for entry in entries],
            [("c..d@ü.example", [2, 3]), ("None", [0]), ("e@x.example", [4])],
        )
        self.assertEqual([self.octets(store, entry) for entry in entries], [one[3] + OCTETS for one in ways])
        self.assertEqual({entry.content_id for entry in entries}, {content_id})
        # The claim goes on for all of them.
        self.assertEqual(fired(store.queue.claim("two", NOW + 9, 60.0, 10)), [])
        claimed: Any = fired(store.queue.claim("two", NOW + 60, 60.0, 10))
        self.assertEqual([entry.entry_id for entry in claimed], [entry.entry_id for entry in entries])
        fired(store.queue.delete([entry.entry_id for entry in entries]))
        self.assertEqual(fired(store.maintenance.verify(True)), [])

    def test_thousands_move_and_each_keeps_its_recipients(self) -> None:
        ids = [
            self.old.add(
                [(0, "waiting", NOW + number), (number % 2, "waiting", NOW)], ("w", "x.example", False, b"W: 1\r\n")
            )
            for number in range(3000)
        ]
        store = self.move()
        entries = self.entries(store)
        self.assertEqual([entry.entry_id for entry in entries], [EntryId(number) for number in range(1, 4501)])
        self.assertEqual(sorted({entry.content_id for entry in entries}), ids)
        self.assertEqual(sum(len(entry.recipients) for entry in entries), 6000)
        for entry in entries:
            odd = entry.content_id % 2
            self.assertEqual(len(entry.recipients), 1 if odd else 2)
