"""A server in use is backed up and copied by processes that are killed in the middle; what comes of it is whole.

What a client was told is kept in a ledger, and looked for by IMAP in a server on the restored or copied store.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance import acceptance
from tests.durability.clients import MailboxView, imap, message, send, smtp
from tests.support import commands
from tests.support.patience import until
from tests.support.postgres import PostgresServer
from tests.support.server import Server, running

USERS = ("ann", "bob")
SIZES = (500, 4000, 60_000, 700_000)
COMMAND_LIMIT_S = 120.0
KILLS = 1


def run(*arguments: str, code: int | None = 0) -> Any:
    """What a command prints with ``--json``."""
    done = commands.run(*arguments, "--json")
    assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else done.stderr


def run_then_kill(has_begun: Callable[[], bool], moment: float, *arguments: str) -> None:
    """Kill the command some time after it has begun to write, or let it end if it is quicker.

    ``moment``, 0 to 1, is the share of the time until then that it has for its work before it is killed.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pymailsuite", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: process.poll() is not None or has_begun())
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait((time.monotonic() - started) * moment)
    process.kill()
    process.wait(COMMAND_LIMIT_S)


def has_segments(backup: Path) -> bool:
    """Whether octets are on their way into a backup."""
    return any(backup.glob("segments/*"))


def has_contents(server: PostgresServer) -> bool:
    """Whether a copy has begun to fill the database."""
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT to_regclass('unfinished')").fetchone()
        return row is not None and row[0] is not None


class BusySession:
    """Clients that hand in mail and tidy up all the time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self.accepted: list[str] = []
        self.filed: list[str] = []
        self._defects: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._until_over, args=(job,), daemon=True) for job in (self._submit, self._file)
        ]

    @contextmanager
    def going_on(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(60)
        assert not self._defects, self._defects

    def _until_over(self, job: Any) -> None:
        try:
            job()
        except BaseException as defect:
            self._defects.append(defect)

    def _submit(self) -> None:
        client = smtp(self._server)
        for number in itertools.count():
            if self._over.wait(0.02):
                return
            token = f"in-{number}"
            if send(client, self._server.addresses, message(token, SIZES[number % len(SIZES)])):
                self.accepted.append(token)

    def _file(self) -> None:
        """APPEND into one mailbox, MOVE into another, flags on the way, and now and then an EXPUNGE."""
        client = imap(self._server, self._server.addresses[0])
        client.create("Left")
        client.create("Right")
        for number in itertools.count():
            if self._over.wait(0.02):
                return
            token = f"file-{number}"
            assert client.append("Left", "(\\Seen)", "", message(token))[0] == "OK"
            self.filed.append(token)
            client.select("Left")
            client.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Flagged)")
            client.uid("MOVE", "1:*", "Right")
            if number % 20 == 19:
                client.append("Left", "(\\Deleted)", "", message("gone"))
                client.select("Left")
                client.expunge()

    def wait_for(self, number: int) -> None:
        """Until so many more have been accepted."""
        goal = len(self.accepted) + number
        deadline = time.monotonic() + 60
        while len(self.accepted) < goal and not self._defects and time.monotonic() < deadline:
            time.sleep(0.05)


Views = dict[tuple[str, str], MailboxView]


def views(server: Server) -> Views:
    """The mailboxes of all users."""
    found = {}
    for address in server.addresses:
        client = imap(server, address)
        for name in ("INBOX", "Left", "Right") if address == server.addresses[0] else ("INBOX",):
            found[address, name] = MailboxView(client, name)
        client.logout()
    return found


@pytest.mark.slow
class MovingTests(unittest.TestCase):
    """With real processes only."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def config_of(self, server: Server) -> tuple[str, str]:
        return ("--config", str(server.directory / "pymailsuite.toml"))

    def assert_sound(self, server: Server) -> None:
        self.assertEqual(run("store", "verify", "--deep", *self.config_of(server)), [])

    def assert_all_there(self, found: Views, accepted: list[str], filed: list[str]) -> None:
        """What had been acknowledged is there, and nothing is there twice."""
        for (address, name), view in found.items():
            twice = [token for token, number in Counter(view.tokens.values()).items() if number > 1]
            self.assertEqual(twice, [], (address, name))
            if name == "INBOX":
                self.assertEqual(set(accepted) - set(view.tokens.values()), set())
        address = next(iter(found))[0]
        held = [*found[address, "Left"].tokens.values(), *found[address, "Right"].tokens.values()]
        self.assertEqual(set(filed) - set(held), set())
        self.assertEqual(len(held), len(set(held)))

    @acceptance("S201", "S262")
    def test_backups_of_a_busy_server_that_are_killed_and_resumed_restore_whole(self) -> None:
        moments = random.Random(20261122)
        backup = str(self.folder / "backup")
        with running(Server(self.folder / "one", USERS)) as server:
            session = BusySession(server)
            with session.going_on():
                session.wait_for(20)
                has_begun = partial(has_segments, Path(backup))
                for _ in range(KILLS):
                    run_then_kill(has_begun, moments.random(), "store", "backup", backup, *self.config_of(server))
                accepted, filed = list(session.accepted), list(session.filed)
                first = run("store", "backup", backup, *self.config_of(server))
                session.wait_for(10)
                second = run("store", "backup", backup, *self.config_of(server))
            self.assertLess(second["new_octets"], second["octets"])
            self.assertGreater(second["octets"], first["octets"])
            self.assertEqual(run("store", "backup", backup, "--verify", *self.config_of(server)), [])
            self.assert_sound(server)
            everything = views(server)
            # One folder is lost, and comes back from the backup, while the server runs.
            self.empty(server, "Right")
            lost = run("store", "restore", backup, "--account", server.addresses[0], *self.config_of(server))
            self.assertEqual(set(lost["restored"]) - {"Left", "INBOX"}, {"Right"})
            self.assertEqual(lost["account_made"], False)
            again = views(server)
            self.assertLessEqual(set(filed), self.filed_in(again))
            self.assert_sound(server)
        restored = Server(self.folder / "two", USERS)
        restored.prepare()
        # The store goes again; what is wanted of it is its configuration.
        for path in restored.directory.glob("store.sqlite*"):
            path.unlink()
        names = [one["set"] for one in run("store", "backups", backup)]
        self.assertIn(first["set"], names)
        run("store", "restore", backup, "--deep", "--at", self.moment(first["set"]), *self.config_of(restored))
        with running(restored):
            found = views(restored)
            self.assert_all_there(found, accepted, filed)
            for key, view in found.items():
                self.assertEqual(view.uid_validity, everything[key].uid_validity)
                for uid, token in view.tokens.items():
                    self.assertEqual(everything[key].tokens.get(uid, token), token)
                self.assertGreater(view.uid_next, everything[key].uid_next)
            self.assert_sound(restored)

    @staticmethod
    def moment(name: str) -> str:
        """A set's name as a date on the command line."""
        return f"{name[:4]}-{name[4:6]}-{name[6:11]}:{name[11:13]}:{name[13:-1]}+00:00"

    @staticmethod
    def filed_in(found: Views) -> set[str]:
        return {token for (_, name), view in found.items() if name != "INBOX" for token in view.tokens.values()}

    @staticmethod
    def empty(server: Server, name: str) -> None:
        client = imap(server, server.addresses[0])
        client.select(name)
        client.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Deleted)")
        client.expunge()
        client.logout()

    @acceptance("S201")
    def test_a_busy_store_moves_to_postgresql_and_back_by_copies_that_are_killed(self) -> None:
        moments = random.Random(20261123)
        postgres = PostgresServer(durable=True)
        self.addCleanup(postgres.remove)
        postgres.start()
        with running(Server(self.folder / "one", USERS)) as server:
            session = BusySession(server)
            with session.going_on():
                session.wait_for(20)
                sqlite = f"sqlite://{server.directory}/store.sqlite"
                self.copy_with_kills(sqlite, postgres.url(), partial(has_contents, postgres), moments)
                self.assertFalse(run("store", "copy", sqlite, postgres.url(), code=1)["complete"])
            before = views(server)
            server.stop()
            result = run("store", "copy", sqlite, postgres.url(), "--deep")
            self.assertTrue(result["complete"] and result["resumed"])
        moved = Server(self.folder / "two", USERS, "--store", postgres.url())
        with running(moved):
            self.assert_same(before, views(moved))
            self.assert_all_there(views(moved), session.accepted, session.filed)
            self.assert_sound(moved)
            moved.stop()
            target = f"sqlite://{self.folder}/back.sqlite"
            file = self.folder / "back.sqlite"
            self.copy_with_kills(postgres.url(), target, lambda: file.exists() and file.stat().st_size > 0, moments)
            self.assertTrue(run("store", "copy", postgres.url(), target)["complete"])
        with running(Server(self.folder / "three", USERS, "--store", target)) as back:
            self.assert_same(before, views(back))
            self.assert_sound(back)

    @staticmethod
    def copy_with_kills(source: str, target: str, has_begun: Callable[[], bool], moments: random.Random) -> None:
        for _ in range(KILLS):
            run_then_kill(has_begun, moments.random(), "store", "copy", source, target)

    def assert_same(self, before: Views, after: Views) -> None:
        """Every number is as it was."""
        for (old_key, old), (new_key, new) in zip(before.items(), after.items(), strict=True):
            self.assertEqual(old_key[1], new_key[1])
            self.assertEqual((new.uid_validity, new.uid_next), (old.uid_validity, old.uid_next))
            self.assertEqual((new.tokens, new.flags), (old.tokens, old.flags))

    def test_rebuilding_changes_nothing_in_a_sound_store_even_in_use(self) -> None:
        with running(Server(self.folder / "one", USERS)) as server:
            session = BusySession(server)
            with session.going_on():
                session.wait_for(15)
                self.assert_sound(server)
                run("store", "rebuild", *self.config_of(server))
                session.wait_for(5)
            before = views(server)
            done = run("store", "rebuild", *self.config_of(server))
            self.assertGreater(done.pop("contents_scanned"), 20)
            self.assertEqual(set(done.values()), {0}, done)
            self.assert_same(before, views(server))
            self.assert_all_there(before, session.accepted, session.filed)
            self.assert_sound(server)
