"""Stores on both databases for the tests of moves, with something of everything in them."""

from __future__ import annotations

import functools
import shutil
import tempfile
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces import Acceptance, Account, Delivery, OutgoingEnvelope, QueuedRecipient, StateKey
from pymailsuite.interfaces.send_as import SendAsGrant
from pymailsuite.interfaces.sharing import ANYONE, AclEntry, Identifier, Rights, RightsChange
from pymailsuite.store import MailStore, inline_store
from pymailsuite.store.mail_store import open_engine
from pymailsuite.store.moving.progress import NoProgress
from pymailsuite.store.moving.rows import Digest, digest_txn
from pymailsuite.store.moving.session import StoreSession
from pymailsuite.store.moving.source import LEFT_BEHIND
from pymailsuite.store.tables import declared_tables
from pymailsuite.values import ALL_UIDS, MAX_CHUNK, Address, FlagChange, Flags, SystemFlag, UidSet
from tests.store.support import NOW
from tests.support import stores
from tests.support.stores import append, fired, make_account, stage

SETTINGS = StoreSection()
LONG = b"Subject: long\r\n\r\n" + bytes(range(256)) * (3 * MAX_CHUNK // 256) + b"end"


class CutOffError(Exception):
    """Stands for the death of a process."""


class Hook(NoProgress):
    """Calls ``act`` when a phase begins, or after so many steps of it."""

    def __init__(self, phase: str, act: Callable[[], object], steps: int = 0) -> None:
        self._phase = phase
        self._act = act
        self._steps = steps
        self._current = ""

    def begin(self, phase: str, total: int, unit: str) -> None:
        self._current = phase
        if phase == self._phase and not self._steps:
            self._fire()

    def advance(self, number: int) -> None:
        if self._current == self._phase and self._steps:
            self._steps -= 1
            if not self._steps:
                self._fire()

    def _fire(self) -> None:
        self._phase = ""
        self._act()


def cut_off() -> None:
    """End it here."""
    raise CutOffError


class MovingCase(SynchronousTestCase):
    """``source_url`` is a store with mail in it, ``self.url(kind)`` a place for another.

    Run once: on the PostgreSQL of ``--store-url`` if a store of the test is there, without it if none is.
    """

    source_kind = "sqlite"
    target_kind = "sqlite"

    def setUp(self) -> None:
        if stores.schemas is None and "postgres" in (self.source_kind, self.target_kind):
            raise unittest.SkipTest("--store-url names no PostgreSQL")
        if stores.schemas is not None and (self.source_kind, self.target_kind) == ("sqlite", "sqlite"):
            raise unittest.SkipTest("has nothing to do with --store-url")
        self.folder = Path(tempfile.mkdtemp(prefix="pymailsuite-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.clock = Clock()
        self.clock.rightNow = NOW
        self._made = 0
        self.source_url = self.url(self.source_kind)
        self.store = self.open_store(self.source_url)
        self.ann = make_account(self.store)

    def url(self, kind: str) -> str:
        """Of a store that is not there yet."""
        self._made += 1
        if kind == "sqlite":
            return f"sqlite://{self.folder}/{self._made}.sqlite"
        assert stores.schemas is not None
        return stores.schemas.make_bare()

    def open_store(self, url: str) -> MailStore:
        store = inline_store(SETTINGS, self.clock, url=url)
        fired(store.open())
        self.addCleanup(lambda: fired(store.close()))
        return store

    @contextmanager
    def session(self, url: str, *, writable: bool) -> Iterator[StoreSession]:
        session = StoreSession(open_engine(url, SETTINGS), SETTINGS, writable=writable)
        try:
            yield session
        finally:
            session.close()

    def digests(self, url: str) -> dict[str, Digest]:
        """Of every table that moves."""
        with self.session(url, writable=False) as session:
            return {
                name: session.read("digest", functools.partial(digest_txn, table=table))
                for name, table in declared_tables().items()
                if name not in LEFT_BEHIND
            }

    def something_of_everything(self) -> None:
        store, ann = self.store, self.ann
        bob = make_account(store, "bob@example.net")
        fired(store.directory.set_catch_all("example.org", Address("ann", "example.org")))
        fired(store.directory.set_alias(Address("sales", "example.org"), [Address("ann", "example.org")]))
        fired(store.send_as.grant(bob.account_id, SendAsGrant("far.example", "info")))
        fired(store.kept_paths.keep("token", Address("sam", "peer.example"), 2e9, 2e9))
        fired(store.state.add([StateKey("login.address", "192.0.2.1")], 1e9))
        fired(store.state.namespace("policy:night").put("\u00fc", b"\0\xff", 1e9))
        mail = store.account_mail(ann.account_id)
        fired(mail.create_mailbox("Gr\u00fc\u00dfe/\u4e2d\U0001f600", None))
        self.append("Gr\u00fc\u00dfe/\u4e2d\U0001f600", 3)
        self.append("INBOX", 20)
        append(store, ann, "Archive", LONG, flags=[Flags(SystemFlag.SEEN, frozenset({"$Forwarded"}))])
        append(store, ann, "Archive", b"")
        inbox = fired(mail.mailbox("INBOX"))
        fired(mail.remove_messages(inbox.mailbox_id, UidSet.of([2, 3])))
        fired(mail.move(inbox.mailbox_id, UidSet.of([5]), "Archive"))
        fired(mail.copy(inbox.mailbox_id, UidSet.of([6, 7]), "Archive"))
        self.append("Drafts", 2)
        fired(mail.remove_messages(fired(mail.mailbox("Drafts")).mailbox_id, ALL_UIDS))
        fired(mail.create_mailbox("Gone", None))
        self.append("Gone", 2)
        fired(mail.delete_mailbox("Gone"))
        self.share(bob)
        self.queue(b"Subject: on its way\r\n\r\n")
        copies = (Delivery(ann.account_id, b"Return-Path: <x@y.test>\r\n"), Delivery(bob.account_id, b"To: bob\r\n"))
        found = b"Authentication-Results: mx.example.org; none\r\n"
        fired(store.queue.accept(Acceptance(stage(store, b"Subject: both\r\n\r\n"), copies, fields=found)))

    def share(self, bob: Account) -> None:
        """Rights of all kinds to Ann's mail, and messages that Bob has seen."""
        fired(self.store.groups.add_group("sales"))
        fired(self.store.groups.add_members("sales", ["bob@example.net"]))
        fired(self.store.directory.add_account("team@example.org", "", "", True))
        for entry in (
            AclEntry(Identifier.parse("group=sales"), Rights.parse("lrs")),
            AclEntry(Identifier.parse("bob@example.net"), Rights.parse("a"), negative=True),
            AclEntry(ANYONE, Rights.parse("l")),
        ):
            fired(self.store.sharing.set_rights(self.ann.account_id, "INBOX", None, entry, RightsChange.REPLACE))
        mail = self.store.account_mail_for(self.ann.account_id, bob.account_id)
        inbox = fired(mail.mailbox("INBOX"))
        fired(mail.store_flags(inbox.mailbox_id, UidSet.of([8, 9]), FlagChange.ADD, Flags(SystemFlag.SEEN), None))

    def append(self, mailbox: str, number: int, account: Account | None = None) -> None:
        for count in range(number):
            text = f"Subject: {mailbox} {count} of {self.clock.seconds()}\r\n\r\n".encode() + b"x" * (200 * count)
            append(self.store, account or self.ann, mailbox, text)
            self.clock.advance(0.001)  # a store that is set by its own clock must not be left behind

    def queue(self, octets: bytes) -> None:
        recipient = QueuedRecipient(0, Address("someone", "elsewhere.test"), "elsewhere.test")
        envelope = OutgoingEnvelope(Address("ann", "example.org"), (recipient,))
        fired(self.store.queue.accept(Acceptance(stage(self.store, octets), outgoing=(envelope,))))
