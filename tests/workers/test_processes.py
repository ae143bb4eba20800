"""A server of several processes, as an operator meets it: start, crash, drain, reload."""

from __future__ import annotations

import contextlib
import imaplib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.support.patience import PATIENCE_S, until
from tests.support.server import Server, TunedServer, free_port_base

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no corpse."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


def workers_of(pid: int) -> list[int]:
    """The workers that a parent has now."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def talk(connection: socket.socket, line: str) -> str:
    """Send a line, answer a reply."""
    connection.sendall(line.encode() + b"\r\n")
    return connection.recv(1000).decode()


class WorkersCase(unittest.TestCase):
    """Tests with a server of three workers and two accounts."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.server = Server(self.folder, ["ann", "bob"], "--workers", "3")
        self.addCleanup(self.end)

    def end(self) -> None:
        if self.server._process is not None:
            self.server.kill()

    def smtp(self) -> socket.socket:
        """A greeted SMTP connection."""
        connection = socket.create_connection(("127.0.0.1", self.server.port(25)), PATIENCE_S)
        self.addCleanup(connection.close)
        self.assertTrue(connection.recv(1000).startswith(b"220 "))
        return connection

    def pop3(self) -> socket.socket:
        """A greeted POP3 connection."""
        connection = socket.create_connection(("127.0.0.1", self.server.port(110)), PATIENCE_S)
        self.addCleanup(connection.close)
        self.assertTrue(connection.recv(1000).startswith(b"+OK"))
        return connection

    def deliver(self, name: str = "ann") -> None:
        """Send a message."""
        with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE_S) as client:
            client.sendmail("x@example.org", [f"{name}@example.test"], "Subject: word\r\n\r\nText\r\n")

    def imap(self, name: str = "ann") -> imaplib.IMAP4:
        """A session with INBOX selected."""
        client = imaplib.IMAP4("127.0.0.1", self.server.port(143), PATIENCE_S)
        self.addCleanup(client.shutdown)
        client.login(f"{name}@example.test", "test")
        client.select()
        return client

    def log(self) -> str:
        """What all processes have logged."""
        return "".join(self.server.output)


class LifeTests(WorkersCase):
    """From start to stop."""

    def test_all_workers_serve_and_all_end_with_the_parent(self) -> None:
        self.server.start()
        pid = self.server.pid
        workers = workers_of(pid)
        self.assertEqual(len(workers), 3)
        self.deliver()
        self.assertEqual(self.imap().search(None, "ALL"), ("OK", [b"1"]))
        self.assertEqual(self.server.stop(), -signal.SIGINT)
        self.assertEqual([worker for worker in workers if is_alive(worker)], [])
        self.assertNotIn("Traceback", self.log())
        for number in (1, 2, 3):
            self.assertIn(f" info [{number}] server.ready ", self.log())

    def test_no_secret_stands_on_a_command_line_or_in_the_environment(self) -> None:
        self.server.start()
        for pid in workers_of(self.server.pid):
            seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            self.assertNotIn(b"example.test", seen)

    def test_a_killed_worker_takes_its_connections_only_and_is_replaced(self) -> None:
        self.server.start()
        connections: list[socket.socket] = []

        def several_serve() -> bool:
            connections.append(self.pop3())
            return len(set(re.findall(r" \[(\d)\] connection\.opened pop3 ", self.log()))) > 1

        until(several_serve)
        victim, *others = workers_of(self.server.pid)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(workers_of(self.server.pid)) == 3)
        alive = 0
        for connection in connections:
            try:
                alive += talk(connection, "CAPA").startswith("+OK")
            except ConnectionError:
                continue
        self.assertGreater(alive, 0)
        self.assertTrue(all(is_alive(other) for other in others))
        self.assertTrue(talk(self.pop3(), "CAPA").startswith("+OK"))
        until(lambda: self.log().count(" workers.serving ") == 4)
        self.assertIn("signal SIGKILL", self.log())

    def test_a_stop_cuts_no_accepted_command(self) -> None:
        self.server.start()
        connections = [self.smtp() for _ in range(6)]
        for connection in connections:
            talk(connection, "HELO client.example")
            talk(connection, "MAIL FROM:<x@example.org>")
            talk(connection, "RCPT TO:<ann@example.test>")
            self.assertTrue(talk(connection, "DATA").startswith("354 "))
            connection.sendall(b"Subject: under way\r\n\r\nText\r\n.\r\n")
        os.kill(self.server.pid, signal.SIGTERM)
        accepted = 0
        for connection in connections:
            with connection.makefile("rb") as replies:
                accepted += any(line.startswith(b"250 ") for line in replies)
        assert self.server._process is not None
        self.server._process.wait(PATIENCE_S)
        self.server._process = None
        self.server.start()
        _, (found,) = self.imap().search(None, "ALL")
        self.assertEqual(len(found.split()), accepted)


class KillTests(WorkersCase):
    """Whoever is killed, the ports come back by themselves.

    Nothing that is under way delays that; a server that stops in good order would wait for it for an hour here.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = TunedServer(
            self.folder, ["ann", "bob"], {"maintenance": {"stop_grace": 3600.0}, "workers": {"stop_limit": 3600.0}},
            "--workers", "2",
        )  # fmt: skip

    def keep_busy(self) -> None:
        """Sessions with commands under way: long searches, and one that the client leaves half said."""
        self.deliver()
        client = self.imap()
        text = b"Subject: long\r\n\r\n" + "w\u00f6rd ".encode() * 30_000
        for _ in range(10):
            client.append("INBOX", None, None, text)
        keys = b" ".join(b"NOT BODY {6+}\r\nn\xc3\xb8%03d" % number for number in range(400))
        for _ in range(4):
            self.imap().send(b"t SEARCH CHARSET UTF-8 " + keys + b"\r\n")
        self.imap().send(b"t APPEND INBOX {100}\r\n")

    def start_again(self) -> None:
        """As a supervisor does, at once."""
        self.server.start()
        self.deliver()
        self.assertTrue(talk(self.pop3(), "CAPA").startswith("+OK"))

    def test_the_parent(self) -> None:
        self.server.start()
        workers = workers_of(self.server.pid)
        self.keep_busy()
        self.server.kill()
        self.start_again()
        until(lambda: not any(map(is_alive, workers)))

    def test_a_worker_and_then_the_parent(self) -> None:
        self.server.start()
        first, second = workers_of(self.server.pid)
        self.keep_busy()
        os.kill(first, signal.SIGKILL)
        self.server.kill()
        self.start_again()
        until(lambda: not is_alive(second))

    def test_the_parent_and_then_a_worker(self) -> None:
        self.server.start()
        first, second = workers_of(self.server.pid)
        self.keep_busy()
        self.server.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
        self.start_again()
        until(lambda: not is_alive(second))

    def test_every_worker(self) -> None:
        self.server.start()
        old = workers_of(self.server.pid)
        self.keep_busy()
        for worker in old:
            os.kill(worker, signal.SIGKILL)
        until(lambda: self.log().count(" workers.serving ") == 4)
        self.deliver()


class ReloadTests(WorkersCase):
    """SIGHUP."""

    def reload(self, old: list[int]) -> None:
        os.kill(self.server.pid, signal.SIGHUP)
        until(lambda: not set(old) & set(workers_of(self.server.pid)))

    def change(self, old: str, new: str) -> None:
        """The configuration file."""
        file = self.folder / "pymailsuite.toml"
        text = file.read_text()
        self.assertIn(old, text)
        file.write_text(text.replace(old, new))

    def test_new_workers_have_the_new_settings_and_nobody_is_refused_meanwhile(self) -> None:
        self.server.start()
        old = workers_of(self.server.pid)
        self.change("[smtp]\n", '[smtp]\nbanner = "reloaded"\n')
        os.kill(self.server.pid, signal.SIGHUP)
        while set(old) & set(workers_of(self.server.pid)):
            try:
                self.deliver()
            except (smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected) as answer:
                # From a worker that has just been told to end; RFC 5321 §3.8.
                self.assertEqual(getattr(answer, "smtp_code", 421), 421)
            except smtplib.SMTPRecipientsRefused as answer:
                self.assertEqual({code for code, _ in answer.recipients.values()}, {421})
        with socket.create_connection(("127.0.0.1", self.server.port(25)), PATIENCE_S) as connection:
            self.assertIn(b"reloaded", connection.recv(1000))
        self.assertEqual(len(workers_of(self.server.pid)), 3)

    def test_a_configuration_with_a_fault_leaves_everything_as_it_was(self) -> None:
        self.server.start()
        old = workers_of(self.server.pid)
        connection = self.smtp()
        self.change("[smtp]\n", "[smtp]\nbaner = 1\n")
        os.kill(self.server.pid, signal.SIGHUP)
        until(lambda: "workers.reload_refused" in self.log())
        self.assertIn("smtp.baner: unknown setting", self.log())
        self.assertEqual(workers_of(self.server.pid), old)
        self.assertTrue(talk(connection, "NOOP").startswith("250 "))

    def test_ports_and_the_number_of_workers_may_change(self) -> None:
        self.server.start()
        old = workers_of(self.server.pid)
        before, after = self.server.port(110), self.server.port(80)
        self.change(f"tcp:{before}:interface=127.0.0.1", f"tcp:{after}:interface=127.0.0.1")
        self.change("workers = 3", "workers = 2")
        self.reload(old)
        self.assertEqual(len(workers_of(self.server.pid)), 2)
        with socket.create_connection(("127.0.0.1", after), PATIENCE_S) as connection:
            self.assertTrue(connection.recv(1000).startswith(b"+OK"))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", before), PATIENCE_S)
        self.deliver()


class StartTests(unittest.TestCase):
    """What keeps the server from starting is said as one process alone says it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.port_base = free_port_base()
        (self.folder / "mail.toml").write_text(
            '[server]\nhostname = "mail.example.test"\ndomains = ["example.test"]\ndata_dir = "data"\nworkers = 2\n'
            "[listeners]\nsubmission = []\nsubmissions = []\nimaps = []\npop3 = []\npop3s = []\n"
            f'smtp = ["tcp:{self.port_base + 25}:interface=127.0.0.1"]\n'
            f'imap = ["tcp:{self.port_base + 143}:interface=127.0.0.1"]\n'
        )

    def twistd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        command = [*TWISTD, "-n", "--pidfile=", "pymailsuite", "--config", "mail.toml", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", self.port_base + 143)):
            ended = self.twistd()
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"pymailsuite: listeners.imap: cannot listen on tcp:{self.port_base + 143}", ended.stderr)
        self.assertNotIn("Traceback", ended.stderr)

    def test_a_store_that_cannot_be_opened(self) -> None:
        (self.folder / "data").mkdir()
        (self.folder / "data/store.sqlite").write_bytes(b"this is no database, whatever it is called" * 100)
        ended = self.twistd()
        self.assertEqual(ended.returncode, 1)
        store = self.folder / "data/store.sqlite"
        self.assertEqual(ended.stderr, f"pymailsuite: the store {store}: file is not a database\n")
        self.assertNotIn("ready", ended.stdout)

    def test_checkers_of_twistd_work_in_workers(self) -> None:
        command = [*TWISTD, "-n", "--pidfile=", "pymailsuite", "--config", "mail.toml"]
        command += ["--auth", "memory:ann@example.test:fromtwistd"]
        (self.folder / "mail.toml").write_text(
            (self.folder / "mail.toml").read_text() + "[imap]\nplaintext_login = true\n"
        )
        with (self.folder / "log").open("w") as log:
            server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True)
        assert server.stdout is not None
        try:
            self.assertEqual(server.stdout.readline(), "ready\n", (self.folder / "log").read_text())
            adding = [sys.executable, "-m", "pymailsuite", "account", "add", "ann@example.test", "--password-stdin"]
            adding += ["--config", str(self.folder / "mail.toml")]
            subprocess.run(adding, input="other", text=True, check=True, timeout=PATIENCE_S)
            with imaplib.IMAP4("127.0.0.1", self.port_base + 143, PATIENCE_S) as client:
                self.assertEqual(client.login("ann@example.test", "fromtwistd")[0], "OK")
        finally:
            server.terminate()
            server.wait(PATIENCE_S)
            server.stdout.close()
