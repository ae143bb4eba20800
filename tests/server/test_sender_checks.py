"""SPF and lists in a whole server: what clients are told, and what stands in the message."""

import imaplib
import smtplib
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance import acceptance
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running

ZONE = {
    ("sender.example", "TXT"): ['"v=spf1 ip4:198.51.100.7 exp=why.sender.example -all"'],
    ("sender.example", "A"): ["198.51.100.7"],
    ("why.sender.example", "TXT"): ['"%{i} is not ours, says %{r}"'],
    ("soft.example", "TXT"): ['"v=spf1 ~all"'],
    ("soft.example", "A"): ["198.51.100.7"],
    ("bad.example.uri.example", "A"): ["127.0.0.2"],
}
MESSAGE = b"From: joe@soft.example\r\nSubject: x\r\n\r\nhttp://www.bad.example/\r\n"


class SenderCheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    @acceptance("S007", "S156", "S158")
    def test_clients_and_senders_are_refused_and_mail_is_marked(self) -> None:
        (self.folder / "blocked").write_text("127.0.0.9  # a test\n", encoding="utf-8")
        with ZoneServer(ZONE) as zone:
            settings = {
                "smtp": {"trusted_networks": [], "plaintext_login": True},
                "dns": {"servers": [zone.address]},
                "lists": {"at_once": True, "sources": [{"name": "blocked", "file": str(self.folder / "blocked")}]},
                "dnsbl": {"lists": [{"zone": "uri.example", "kind": "uri", "score": 4.0}]},
            }
            with running(TunedServer(self.folder, ["ann"], settings)) as server:
                self._talk(server)

    def _talk(self, server: TunedServer) -> None:
        with socket.create_connection(("127.0.0.1", server.port(25)), source_address=("127.0.0.9", 0)) as blocked:
            self.assertTrue(blocked.recv(1000).startswith(b"554 5.7.1 "))
        with smtplib.SMTP("127.0.0.1", server.port(25), timeout=PATIENCE_S) as client:
            client.ehlo("mx.soft.example")
            client.mail("joe@sender.example")
            code, text = client.rcpt("ann@example.test")
            self.assertEqual((code, text[:7]), (550, b"5.7.23 "))
            self.assertIn(b"sender.example explains: 127.0.0.1 is not ours, says mail.example.test", text)
            client.rset()
            client.sendmail("joe@soft.example", ["ann@example.test"], MESSAGE)
        with imaplib.IMAP4("127.0.0.1", server.port(143)) as reader:
            reader.login("ann@example.test", "test")
            reader.select()
            found = reader.fetch("1", "(BODY[HEADER])")[1][0]
            assert isinstance(found, tuple)
        header = found[1].decode()
        self.assertIn("Received-SPF: softfail (mail.example.test: soft.example probably", header)
        self.assertIn("smtp.mailfrom=joe@soft.example", header)
        self.assertRegex(header, r"X-Policy-Score: \d+ \(.*\bspf\b.*\bdnsbl\b")
