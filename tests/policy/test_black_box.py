"""A whole server behind a played proxy: any client address, a made-up zone, and a name server that is dead."""

from __future__ import annotations

import imaplib
import shutil
import socket
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, ClassVar

from tests.acceptance import acceptance
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer

RECORDS = {
    ("client.example", "MX"): ["10 mx.client.example."],
    ("mx.client.example", "A"): ["203.0.113.9"],
    ("null.example", "MX"): ["0 ."],
    ("9.113.0.203.in-addr.arpa", "PTR"): ["mx.client.example."],
    ("dyn-203-0-113-10.provider.example", "A"): ["203.0.113.10"],
    ("10.113.0.203.in-addr.arpa", "PTR"): ["dyn-203-0-113-10.provider.example."],
}
SILENT = ("dead.example",)


class PolicyBlackBoxTests(unittest.TestCase):
    """``pymailsuite dev --proxy-protocol``."""

    server: ClassVar[TunedServer]
    zone: ClassVar[ZoneServer]
    folder: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        cls.zone = ZoneServer(RECORDS, silent=SILENT)
        cls.zone.__enter__()
        settings: dict[str, dict[str, Any]] = {
            "policy": {"budget": 3},
            "dns": {"servers": [cls.zone.address], "timeout": 60, "lifetime": 60},
        }
        cls.server = TunedServer(cls.folder, ["user"], settings, "--proxy-protocol")
        cls.server.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.stop()
        cls.zone.__exit__(None, None, None)
        shutil.rmtree(cls.folder)

    def talk(self, *commands: str, ip: str = "203.0.113.9", text: bytes = b"") -> list[str]:
        """The last line of the reply to each command, the greeting's first, as a client at ``ip``."""
        with socket.create_connection(("127.0.0.1", self.server.port(25)), timeout=PATIENCE_S) as connection:
            connection.sendall(f"PROXY TCP4 {ip} 127.0.0.1 4711 25\r\n".encode())
            stream: Any = connection.makefile("rb")
            replies = [self._reply(stream)]
            for command in commands:
                connection.sendall(command.encode() + b"\r\n")
                replies.append(self._reply(stream))
            if text:
                connection.sendall(text + b"\r\n.\r\n")
                replies.append(self._reply(stream))
            return replies

    def _reply(self, stream: Any) -> str:
        while True:
            line: str = stream.readline().decode()
            if line[3:4] != "-":
                return line.rstrip()

    @acceptance("S010", "S011", "S012", "S013")
    def test_helo_forms(self) -> None:
        for name in ("localhost", "hostnameonly", "192.168.1.1"):
            self.assertTrue(self.talk(f"HELO {name}")[1].startswith("550 5.7.1 "), name)
        self.assertTrue(self.talk("EHLO [203.0.113.9]")[1].startswith("250 "))
        self.assertEqual(self.talk("MAIL FROM:<a@client.example>")[1], "503 5.5.1 Polite people say HELO first")

    @acceptance("S030", "S031", "S032", "S033", "S034")
    def test_senders(self) -> None:
        for sender, reply in (
            ("a@client.example", "250 2.1.0"),
            ("", "250 2.1.0"),
            ("a", "553 5.5.4 Domain name required"),
            ("a@192.168.0.18", "550 5.1.8 Sender address must have a domain"),
            ("a@localhost", "550 5.1.8"),
            ("a@myfakedomain.not", "550 5.1.8 Sender domain does not exist"),
            ("a@null.example", "550 5.7.27"),
        ):
            answer = self.talk("EHLO mx.client.example", f"MAIL FROM:<{sender}>")[2]
            self.assertTrue(answer.startswith(reply), (sender, answer))

    @acceptance("S034")
    def test_a_dead_name_server_costs_the_budget_and_no_more(self) -> None:
        began = time.monotonic()
        answer = self.talk("EHLO mx.client.example", "MAIL FROM:<a@dead.example>")[2]
        self.assertTrue(answer.startswith("451 4.1.8"), answer)
        # Far below the time that DNS is given elsewhere.
        self.assertLess(time.monotonic() - began, 30)

    @acceptance("S152")
    def test_what_was_found_is_told_in_the_message_and_forged_results_are_not(self) -> None:
        forged = b"Authentication-Results: mail.example.test; dkim=pass header.d=bank.example\r\n"
        text = forged + b"From: <a@client.example>\r\n\r\nhi"
        replies = self.talk(
            *("EHLO mx.client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<user@example.test>", "DATA"),
            text=text,
        )
        self.assertTrue(replies[-1].startswith("250 "), replies)
        with imaplib.IMAP4("127.0.0.1", self.server.port(143)) as client:
            client.login("user@example.test", "test")
            client.select()
            octets: Any = client.fetch("*", "(BODY.PEEK[HEADER])")[1][0]
        header = octets[1]
        self.assertNotIn(b"bank.example", header)
        self.assertIn(b"iprev=pass (mx.client.example)", header)
        self.assertLess(header.index(b"Authentication-Results"), header.index(b"Received: "))

    @acceptance("S151")
    def test_a_dynamic_name_adds_to_the_score(self) -> None:
        self.talk("EHLO mx.client.example", ip="203.0.113.10")
        deadline = time.monotonic() + PATIENCE_S
        while not any("dynamic_names at connect" in line for line in self.server.output):
            self.assertLess(time.monotonic(), deadline, "not in the log")
            time.sleep(0.05)
