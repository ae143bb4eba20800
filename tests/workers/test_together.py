"""One account served by several workers at once: what one does the others show, and nobody works against another."""

from __future__ import annotations

import contextlib
import imaplib
import os
import poplib
import random
import re
import signal
import socket
import threading
import time

from tests.acceptance import acceptance
from tests.support.patience import PATIENCE_S, at_best, until
from tests.support.server import TunedServer
from tests.workers.test_processes import WorkersCase, workers_of


def worker_of(port: int, server_pid: int) -> int | None:
    """Which worker serves the connection from this local port (from the table of TCP connections)."""
    inode = None
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            fields = line.split()
            if int(fields[2].rpartition(":")[2], 16) == port and fields[9] != "0":
                inode = fields[9]
    for pid in workers_of(server_pid):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") == f"socket:[{inode}]":
                    return pid
    return None


class Session:
    """An IMAP session spoken by hand: it tells what the server said, tagged or not."""

    def __init__(self, case: WorkersCase, name: str = "ann") -> None:
        self.socket = socket.create_connection(("127.0.0.1", case.server.port(143)), PATIENCE_S)
        case.addCleanup(self.socket.close)
        self._file = self.socket.makefile("rb")
        case.addCleanup(self._file.close)
        self._file.readline()
        self.exists = 0
        self.command(f"LOGIN {name}@example.test test")
        self.command("SELECT INBOX")
        until(lambda: worker_of(self.socket.getsockname()[1], case.server.pid) is not None)
        self.worker = worker_of(self.socket.getsockname()[1], case.server.pid)

    def line(self) -> str:
        """The next line; the number of messages is followed as a client does."""
        line = self._file.readline().decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            raise ConnectionError("the server closed")
        if match := re.fullmatch(r"\* (\d+) EXISTS", line):
            self.exists = int(match[1])
        elif re.fullmatch(r"\* \d+ EXPUNGE", line):
            self.exists -= 1
        return line

    def command(self, text: str) -> list[str]:
        """The lines of the answer, the tagged one last."""
        self.socket.sendall(f"A {text}\r\n".encode())
        lines = [self.line()]
        while not lines[-1].startswith("A "):
            lines.append(self.line())
        return lines

    def append(self, subject: str) -> None:
        """Put a message into INBOX."""
        message = f"Subject: {subject}\r\n\r\nText\r\n"
        self.socket.sendall(f"A APPEND INBOX {{{len(message)}+}}\r\n{message}\r\n".encode())
        while not self.line().startswith("A OK"):
            continue

    def subjects(self) -> list[str]:
        """Of all messages, in order."""
        lines = self.command("FETCH 1:* (UID FLAGS ENVELOPE)") if self.exists else []
        return [line.split("ENVELOPE (", 1)[1] for line in lines if "ENVELOPE" in line]


class TogetherTests(WorkersCase):
    """Sessions in different workers."""

    def pair(self) -> tuple[Session, Session]:
        """Two sessions that different workers serve."""
        first = Session(self)
        for _ in range(40):
            second = Session(self)
            if second.worker != first.worker:
                return first, second
            second.socket.close()
        raise AssertionError("one worker took every connection")

    @acceptance("S087")
    def test_idle_in_one_worker_sees_what_another_does_within_200_ms(self) -> None:
        self.server.start()
        here, there = self.pair()
        here.socket.sendall(b"I IDLE\r\n")
        while not here.line().startswith("+"):
            continue
        for _ in range(3):
            at_best(lambda: self.delay(there, here), 0.2)

    @staticmethod
    def delay(there: Session, here: Session) -> float:
        """Seconds from the answer to an APPEND until the session in IDLE hears of it."""
        there.append("word")
        began, goal = time.monotonic(), here.exists + 1
        while here.exists < goal:
            here.line()
        return time.monotonic() - began

    @acceptance("S087")
    def test_what_the_bus_lost_the_poll_finds(self) -> None:
        self.server = TunedServer(self.folder, ["ann"], {"server": {"workers": 3}, "notices": {"poll": 1}})
        self.server.start()
        here, there = self.pair()
        here.socket.sendall(b"I IDLE\r\n")
        while not here.line().startswith("+"):
            continue
        # Every word between workers goes through the parent, which now says nothing.
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                self.delay(there, here)
        finally:
            os.kill(self.server.pid, signal.SIGCONT)
        # And it is told at once again.
        for _ in range(3):
            at_best(lambda: self.delay(there, here), 0.2)

    @acceptance("S146")
    def test_a_maildrop_locked_in_one_worker_is_in_use_in_all_and_free_once_that_is_killed(self) -> None:
        # Whoever waited for the end of the lease would wait too long.
        lasting = {"server": {"workers": 3}, "pop3": {"lock_lease": 2 * PATIENCE_S}}
        self.server = TunedServer(self.folder, ["ann"], lasting)
        self.server.start()

        def log_in() -> poplib.POP3:
            client = poplib.POP3("127.0.0.1", self.server.port(110), PATIENCE_S)
            self.addCleanup(client.close)
            client.user("ann@example.test")
            client.pass_("test")
            return client

        holder = log_in()
        for _ in range(6):
            with self.assertRaisesRegex(poplib.error_proto, "IN-USE"):
                log_in()
        victim = worker_of(holder.sock.getsockname()[1], self.server.pid)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)

        def is_free() -> bool:
            try:
                log_in().quit()
            except (poplib.error_proto, ConnectionError):
                return False
            return True

        until(is_free)

    @acceptance("S087", "S210")
    def test_ten_sessions_over_all_workers_agree_after_random_work(self) -> None:
        self.server.start()
        sessions = [Session(self) for _ in range(10)]
        self.assertGreater(len({session.worker for session in sessions}), 1)
        failures: list[BaseException] = []

        def work(number: int) -> None:
            chance = random.Random(number)
            session = sessions[number]
            try:
                for step in range(25):
                    match chance.randrange(6):
                        case 0 | 1:
                            session.append(f"{number} {step}")
                        case 2:
                            if session.exists:
                                role = chance.randint(1, session.exists)
                                session.command(f"STORE {role} +FLAGS (\\Seen)")
                        case 3:
                            if session.exists > 5:
                                session.command(f"STORE {chance.randint(1, session.exists)} +FLAGS (\\Deleted)")
                        case 4:
                            session.command("EXPUNGE")
                        case _:
                            answer = session.command("NOOP")[-1]
                            assert answer.startswith("A OK"), answer
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        for session in sessions:
            session.command("NOOP")
        seen = {(session.exists, *session.subjects()) for session in sessions}
        self.assertEqual(len(seen), 1, seen)
        self.assertEqual(Session(self).exists, sessions[0].exists)
        self.assertNotIn("locked", self.log())
        self.assertNotIn("Traceback", self.log())


class LimitTests(WorkersCase):
    """A limit is that of the machine."""

    def test_connections_are_counted_together(self) -> None:
        self.server = TunedServer(
            self.folder, ["ann"], {"server": {"workers": 3}, "imap": {"connections_per_account": 6}}
        )
        self.server.start()
        logged_in = 0
        for _ in range(10):
            client = imaplib.IMAP4("127.0.0.1", self.server.port(143), PATIENCE_S)
            self.addCleanup(client.shutdown)
            with contextlib.suppress(imaplib.IMAP4.error):
                logged_in += client.login("ann@example.test", "test")[0] == "OK"
            # Each must have heard of the one before.
            time.sleep(0.2)
        self.assertEqual(logged_in, 6)
