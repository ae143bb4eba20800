"""Two processes on one store ask strangers to come back, and both know who did."""

from __future__ import annotations

import contextlib
import shutil
import smtplib
import socket
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from tests.acceptance import acceptance
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running

RECORDS = {
    ("client.example", "MX"): ["10 mx.client.example."],
    ("mx.client.example", "A"): ["203.0.113.9"],
    ("9.113.0.203.in-addr.arpa", "PTR"): ["mx.client.example."],
    ("big.example", "MX"): ["10 mx.big.example."],
    ("big.example", "TXT"): ['"v=spf1 ip4:203.0.113.0/24 ip4:198.51.100.0/24 -all"'],
    ("mx.big.example", "A"): ["203.0.113.10"],
    ("mx.big.example", "TXT"): ['"v=spf1 ip4:203.0.113.0/24 ip4:198.51.100.0/24 -all"'],
}
DELAY_S = 2


class GreylistBlackBoxTests(unittest.TestCase):
    server: TunedServer

    def reply_to_rcpt(self, sender: str, ip: str, to: str = "user") -> str:
        """As a client at ``ip``, which says nothing more."""
        with socket.create_connection(("127.0.0.1", self.server.port(25)), timeout=PATIENCE_S) as connection:
            connection.sendall(f"PROXY TCP4 {ip} 127.0.0.1 4711 25\r\n".encode())
            stream: Any = connection.makefile("rb")
            stream.readline()
            for line in ("HELO mx.big.example", f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}@example.test>"):
                connection.sendall(line.encode() + b"\r\n")
                reply: bytes = stream.readline()
            return reply.decode().rstrip()

    def come_back(self, sender: str, ip: str) -> str:
        """The reply once it is no longer 451, or after much patience."""
        deadline = time.monotonic() + PATIENCE_S
        while (reply := self.reply_to_rcpt(sender, ip)).startswith("451") and time.monotonic() < deadline:
            time.sleep(0.1)
        return reply

    @acceptance("S170", "S171")
    def test_strangers_come_back(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        with contextlib.ExitStack() as stack:
            zone = stack.enter_context(ZoneServer(RECORDS))
            settings = {
                "server": {"workers": 2},
                "smtp": {"proxy_protocol": ["127.0.0.0/8"]},
                "dns": {"servers": [zone.address]},
                "greylist": {"action": "reject", "when": "always", "delay": DELAY_S, "auto_allow_after": 0},
            }
            self.server = stack.enter_context(running(TunedServer(folder, ["user", "friend"], settings)))
            self._strangers()
            self._providers()
            self._correspondents()

    def _strangers(self) -> None:
        reply = self.reply_to_rcpt("a@client.example", "203.0.113.9")
        self.assertRegex(reply, rf"^451 4\.7\.1 Greylisted, try again in [1-{DELAY_S}] s$")
        self.assertTrue(self.come_back("a@client.example", "203.0.113.9").startswith("250 "))
        for sender, ip, to in (
            ("b@client.example", "203.0.113.9", "user"),
            ("a@client.example", "198.51.100.9", "user"),
            ("a@client.example", "203.0.113.9", "friend"),
        ):
            self.assertTrue(self.reply_to_rcpt(sender, ip, to).startswith("451 4.7.1 Greylisted"), (sender, ip, to))
        self.assertTrue(self.reply_to_rcpt("", "198.51.100.9").startswith("250 "), "call-outs are answered")

    def _providers(self) -> None:
        self.assertTrue(self.reply_to_rcpt("a@big.example", "203.0.113.10").startswith("451 "))
        self.assertTrue(self.come_back("a@big.example", "198.51.100.10").startswith("250 "))

    def _correspondents(self) -> None:
        self.assertTrue(self.reply_to_rcpt("c@client.example", "203.0.113.9").startswith("451 "))
        with smtplib.SMTP("127.0.0.1", self.server.port(587), timeout=PATIENCE_S) as client:
            client.login("user@example.test", "test")
            client.mail("user@example.test")
            client.rcpt("d@client.example")
            client.docmd("DATA")
            client.send(b"Subject: hi\r\n\r\nhi\r\n.\r\n")
            self.assertEqual(client.getreply()[0], 250)
        self.assertTrue(self.come_back("d@client.example", "203.0.113.9").startswith("250 "))
