"""The stores that the tests of this room run on: one contract, every engine and way of running."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.quota import NO_QUOTA_SETTINGS
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces import Account, Appended, NewMessage, StagedContent
from pymailsuite.store import MailStore, mail_store
from pymailsuite.store.mail_store import open_engine
from pymailsuite.store.mailboxes import lock_account_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import Flags
from tests.support import stores

NOW = 1_770_000_000.0


class Bell(Clock):
    """The part of a reactor that threads ring: calls run in the test's thread when the test waits for something."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = NOW
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()

    def callFromThread(self, function: Callable[..., object], *arguments: Any) -> None:
        self._calls.put((function, arguments))

    def run_calls(self, timeout_s: float = 0.0) -> bool:
        try:
            function, arguments = self._calls.get(timeout_s > 0, timeout_s or None)
        except Empty:
            return False
        function(*arguments)
        return True

    def wait(self, deferred: Deferred[Any], limit_s: float = 30.0) -> None:
        """Run what threads ask for until ``deferred`` has fired."""
        deadline = time.monotonic() + limit_s
        while not deferred.called or deferred.paused:
            if time.monotonic() > deadline:
                raise AssertionError("nothing came back from the store")
            self.advance(0)  # the turns of a reactor
            self.run_calls(0.05)


class StoreTestCase(SynchronousTestCase):
    """A store, and short words for what tests do with it all the time."""

    store: MailStore
    clock: Clock

    def result(self, deferred: Deferred[Any]) -> Any:
        return self.successResultOf(deferred)

    def failure(self, deferred: Deferred[Any], *kinds: type[Exception]) -> Exception:
        return self.failureResultOf(deferred, *kinds).value

    def account(self, login_name: str = "ann@example.org") -> Account:
        domain = login_name.rpartition("@")[2]
        if self.result(self.store.directory.domain(domain)) is None:
            self.result(self.store.directory.add_domain(domain))
        return self.result(self.store.directory.add_account(login_name, "", ""))

    def stage(self, octets: bytes) -> StagedContent:
        writer = self.store.new_content()
        paused = writer.write(octets)
        if paused is not None:
            self.result(paused)
        return self.result(writer.finish())

    def append(self, account: Account, mailbox: str, *messages: bytes, flags: Flags | None = None) -> Appended:
        new = [NewMessage(self.stage(octets), flags or Flags()) for octets in messages]
        return self.result(self.store.account_mail(account.account_id).append(mailbox, new))

    def assert_sound(self) -> None:
        """Nothing is wrong with the store, down to the octets."""
        self.assertEqual(self.result(self.store.maintenance.verify(True)), [])


class InMemory(StoreTestCase):
    """A store run where it is called: SQLite in memory, or what ``--store-url`` names."""

    settings = StoreSection()
    quota = NO_QUOTA_SETTINGS

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.store = stores.make_store(self.clock, self.settings, self.quota)
        self.addCleanup(self.store.close)


class OnDisk(StoreTestCase):
    """A store with its writer and reader threads: SQLite in a file, or what ``--store-url`` names."""

    settings = StoreSection(sqlite_checkpoint_interval=0.05)
    quota = NO_QUOTA_SETTINGS

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="pymailsuite-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.clock = self.bell = Bell()
        self.url = self.make_url()
        # Time is the tests' own, wherever the database is.
        self.patch(type(open_engine(self.url, self.settings)), "clock", "")
        self.store = self.open_store()

    def make_url(self) -> str:
        """Where there is no store yet, or an empty one."""
        return stores.lent_url() or f"sqlite:///{self.folder}/store.sqlite"

    def open_store(self) -> MailStore:
        store = mail_store(self.settings, self.bell, url=self.url, quota=self.quota)
        self.result(store.open())
        self.addCleanup(self.close_store, store)
        return store

    def close_store(self, store: MailStore) -> None:
        self.result(store.close())

    def result(self, deferred: Deferred[Any]) -> Any:
        self.bell.wait(deferred)
        return self.successResultOf(deferred)

    def failure(self, deferred: Deferred[Any], *kinds: type[Exception]) -> Exception:
        self.bell.wait(deferred)
        return self.failureResultOf(deferred, *kinds).value

    def hold(self, store: MailStore, account: Account | None = None) -> threading.Event:
        """Keep a store's transaction open, with the account locked, until the event is set."""
        go, started = threading.Event(), threading.Event()

        def hold_txn(txn: Transaction) -> None:
            if account is not None:
                lock_account_txn(txn, account.account_id)
            started.set()
            go.wait(10)

        store.database.run("hold", hold_txn)
        self.bell.advance(0)
        self.assertTrue(started.wait(10))
        self.addCleanup(go.set)
        return go
