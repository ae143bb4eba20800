"""A whole server behind a played proxy heeds what author domains publish."""

from __future__ import annotations

import imaplib
import shutil
import socket
import tempfile
import unittest
from pathlib import Path
from typing import Any

from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer
from tests.support.socket_sink import SocketSink

RECORDS = {
    ("shop.example", "MX"): ["10 mx.shop.example."],
    ("shop.example", "TXT"): ['"v=spf1 ip4:203.0.113.9 -all"'],
    ("mx.shop.example", "A"): ["203.0.113.9"],
    ("mx.shop.example", "TXT"): ['"v=spf1 a -all"'],
    ("9.113.0.203.in-addr.arpa", "PTR"): ["mx.shop.example."],
    ("_dmarc.shop.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("bank.example", "MX"): ["10 mx.bank.example."],
    ("_dmarc.bank.example", "TXT"): ['"v=DMARC1; p=reject; ruf=mailto:owner@bank.example"'],
}


class DmarcBlackBoxTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        zone = ZoneServer(RECORDS)
        zone.__enter__()
        self.addCleanup(zone.__exit__, None, None, None)
        self.sink = SocketSink()
        self.sink.__enter__()
        self.addCleanup(self.sink.__exit__)
        settings: dict[str, dict[str, Any]] = {
            "smtp": {"proxy_protocol": ["127.0.0.0/8"]},
            "dns": {"servers": [zone.address]},
            "dmarc": {"failure_reports": True, "report_from": "dmarc@example.test", "failure_report_interval": 1},
            "relay": {"relayhost": f"[127.0.0.1]:{self.sink.port}", "tls": "off"},
        }
        self.server = TunedServer(folder, ["user"], settings)
        self.server.start()
        self.addCleanup(self.server.stop)

    def send(self, author: str) -> str:
        """The reply to the final dot."""
        with socket.create_connection(("127.0.0.1", self.server.port(25)), timeout=PATIENCE_S) as connection:
            connection.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 25\r\n")
            stream: Any = connection.makefile("rb")
            reply = self._reply(stream)
            for line in (
                *("EHLO mx.shop.example", "MAIL FROM:<a@shop.example>", "RCPT TO:<user@example.test>", "DATA"),
                f"From: <{author}>\r\nSubject: hi\r\n\r\nhi\r\n.",
            ):
                connection.sendall(line.encode() + b"\r\n")
                reply = self._reply(stream)
            return reply

    def _reply(self, stream: Any) -> str:
        while True:
            line: str = stream.readline().decode()
            if line[3:4] != "-":
                return line.rstrip()

    def test_a_forged_author_is_refused_and_reported_and_a_true_one_is_vouched_for(self) -> None:
        refused = self.send("ceo@bank.example")
        self.assertTrue(refused.startswith("550 5.7.1 Refused by the DMARC policy of bank.example"), refused)
        (report,) = self.sink.wait_for()
        self.assertEqual(("", ("owner@bank.example",)), (report.sender, report.recipients))
        self.assertIn(b"Reported-Domain: bank.example\r\n", report.octets)
        taken = self.send("news@mail.shop.example")
        self.assertTrue(taken.startswith("250 "), taken)
        with imaplib.IMAP4("127.0.0.1", self.server.port(143)) as client:
            client.login("user@example.test", "test")
            client.select()
            octets: Any = client.fetch("1:*", "(BODY.PEEK[HEADER])")[1][0]
        self.assertIn(
            b"dmarc=pass (p=reject dis=none) header.from=mail.shop.example", octets[1].replace(b"\r\n\t", b" ")
        )
