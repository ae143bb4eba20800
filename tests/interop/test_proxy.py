"""A front end and a back-end, both of them servers of ours, with TLS that is verified between them."""

from __future__ import annotations

import contextlib
import imaplib
import re
import socket
import ssl
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.acceptance import acceptance
from tests.support.patience import PATIENCE_S, until
from tests.support.server import TunedServer, running

ANN = "ann@far.test"
SESSIONS = 8
"""That an account may have at the back-end."""

FETCHES = 8
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 4 * 1024 * 128 + b"\r\n"


@acceptance("S135")
class ProxyTests(unittest.TestCase):
    """Users of ``far.test`` have no account at the front end."""

    back: ClassVar[TunedServer]
    front: ClassVar[TunedServer]

    @classmethod
    def setUpClass(cls) -> None:
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        imap = {"failed_login_delay": "10ms"}
        cls.back = stack.enter_context(
            running(
                TunedServer(
                    folder / "back",
                    ["ann"],
                    {"imap": {**imap, "connections_per_account": SESSIONS}},
                    domain="far.test",
                )
            )
        )
        cls.front = TunedServer(folder / "front", ["ann"], {})
        (ca,) = folder.glob("back/**/certificate.pem")
        backends: dict[str, Any] = {
            "far.test": {"host": "127.0.0.1", "port": cls.back.port(993), "ca": str(ca)},
            "plain.test": {"host": "localhost", "port": cls.back.port(143), "tls": "starttls", "ca": str(ca)},
            "doubtful.test": {"host": "127.0.0.1", "port": cls.back.port(993)},
            "named.test": {"host": "127.0.0.1", "port": cls.back.port(993), "ca": str(ca), "name": "other.test"},
            "own.test": {"host": "127.0.0.1", "port": cls.front.port(143), "tls": "none"},
            "away.test": {"host": "127.0.0.1", "port": cls.back.port(24), "tls": "none"},
        }
        cls.front._settings = {"imap": {**imap, "backends": backends}}
        stack.enter_context(running(cls.front))

    def client(self) -> imaplib.IMAP4:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client = imaplib.IMAP4_SSL("127.0.0.1", self.front.port(993), ssl_context=context, timeout=PATIENCE_S)
        self.addCleanup(self.cut, client)
        return client

    def cut(self, client: imaplib.IMAP4) -> None:
        """The client is gone, if it is not already."""
        with contextlib.suppress(OSError):
            client.shutdown()

    def logged_in(self) -> imaplib.IMAP4:
        client = self.client()
        client.login(ANN, self.back.password)
        return client

    def refusal(self, login_name: str, password: str = "test") -> str:
        with self.assertRaises(imaplib.IMAP4.error) as raised:
            self.client().login(login_name, password)
        return str(raised.exception)

    def test_mail_of_any_size_passes_both_ways(self) -> None:
        client = self.logged_in()
        self.assertEqual(client.select()[0], "OK")
        self.assertEqual(client.append("INBOX", None, None, BIG)[0], "OK")  # type: ignore[arg-type]
        client.noop()
        _, data = client.fetch("*", "(BODY.PEEK[])")
        assert isinstance(data[0], tuple)
        self.assertEqual(data[0][1], BIG)
        self.assertEqual(client.logout()[0], "BYE")

    def peak(self) -> int:
        """Octets of memory that the front end has needed at most."""
        status = Path(f"/proc/{self.front.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
    def test_a_client_that_does_not_read_makes_the_back_end_wait(self) -> None:
        client, other = self.logged_in(), self.logged_in()
        for each in (client, other):
            each.select()
        client.append("INBOX", None, None, BIG)  # type: ignore[arg-type]
        other.noop()
        other.fetch("*", "(BODY.PEEK[])")
        before = self.peak()
        for number in range(FETCHES):
            client.send(b"f%d FETCH * (BODY.PEEK[])\r\n" % number)
        # The front end is at work for others while that client does not read.
        for _ in range(3):
            other.fetch("*", "(BODY.PEEK[])")
        received = 0
        while received < FETCHES * len(BIG):
            received += len(client.read(min(65536, FETCHES * len(BIG) - received)))
        line = client.readline()
        while not line.startswith(b"f%d OK" % (FETCHES - 1)):
            self.assertTrue(line)
            line = client.readline()
        self.assertLess(self.peak() - before, 2 * len(BIG))

    def test_news_come_in_idle(self) -> None:
        client, other = self.logged_in(), self.logged_in()
        client.select()
        client.send(b"i IDLE\r\n")
        while not client.readline().startswith(b"+"):
            pass
        other.append("INBOX", None, None, b"Subject: news\r\n\r\nnew\r\n")  # type: ignore[arg-type]
        while b"EXISTS" not in (line := client.readline()):
            self.assertTrue(line)
        client.send(b"DONE\r\n")
        while not client.readline().startswith(b"i OK"):
            pass

    def test_what_is_sent_behind_the_login_is_for_the_back_end(self) -> None:
        with socket.create_connection(("127.0.0.1", self.front.port(143)), PATIENCE_S) as connection:
            file = connection.makefile("rb")
            file.readline()
            connection.sendall(f"a LOGIN {ANN} test\r\nb SELECT INBOX\r\nc LOGOUT\r\n".encode())
            lines = file.read().split(b"\r\n")
        found = [line.split(b" ")[:2] for line in lines if line[:2] in (b"a ", b"b ", b"c ")]
        self.assertEqual(found, [[b"a", b"OK"], [b"b", b"OK"], [b"c", b"OK"]])

    def test_refusals(self) -> None:
        wrong = self.refusal(ANN, "wrong")
        self.assertIn("[AUTHENTICATIONFAILED]", wrong)
        self.assertEqual(wrong, self.refusal("ann@example.test", "wrong"))
        # By STARTTLS, and a user who is unknown there.
        self.assertEqual(wrong, self.refusal("ann@plain.test"))
        for domain in ("away.test", "doubtful.test", "named.test", "own.test"):
            self.assertIn("[UNAVAILABLE]", self.refusal(f"ann@{domain}"), domain)

    def test_the_user_of_another_domain_logs_in_here(self) -> None:
        client = self.client()
        client.login("ann@example.test", self.front.password)
        self.assertEqual(client.select()[0], "OK")

    def test_clients_that_vanish_leave_no_session_behind(self) -> None:
        def session() -> imaplib.IMAP4 | None:
            try:
                return self.logged_in()
            except imaplib.IMAP4.error:
                return None

        for _ in range(2 * SESSIONS):
            self.cut(until(session))
