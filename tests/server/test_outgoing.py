"""A server that DNS and users would lead back to itself."""

from __future__ import annotations

import imaplib
import smtplib
from collections.abc import Mapping
from typing import Any

from tests.acceptance import acceptance
from tests.server.mail_hosts import MailHostsCase
from tests.support.patience import PATIENCE_S, until
from tests.support.server import TunedServer

ZONE = {
    ("loop.test", "MX"): ["10 lo.loop.test."],
    ("lo.loop.test", "A"): ["127.0.0.1"],
    ("any.test", "A"): ["0.0.0.0"],
    ("mapped.test", "AAAA"): ["::ffff:127.0.0.1"],
}
RECIPIENTS = ["joe@loop.test", "joe@any.test", "joe@mapped.test", "joe@[127.0.0.1]", "joe@[IPv6:::1]"]


class _Server(TunedServer):
    """As everywhere, the port of mail hosts is the one that it listens on itself."""

    def _more_settings(self) -> Mapping[str, Mapping[str, Any]]:
        return {**super()._more_settings(), "relay": {"port": self.port(25)}}


class OutgoingTests(MailHostsCase):
    zone = ZONE

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.start_server(["ann"], {}, _Server)

    def reports(self) -> str:
        with imaplib.IMAP4("127.0.0.1", self.server.port(143)) as reader:
            reader.login("ann@example.test", "test")
            count = int((reader.select()[1][0] or b"0").decode())
            if not count:
                return ""
            found = reader.fetch(f"1:{count}", "(BODY[])")[1]
        return "\n".join(one[1].decode("latin-1") for one in found if isinstance(one, tuple))

    @acceptance("S057")
    def test_mail_that_leads_back_to_us_fails_at_once_without_a_connection(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE_S) as client:
            client.sendmail("ann@example.test", RECIPIENTS, b"From: ann@example.test\r\n\r\nHello\r\n")
        until(lambda: self.reports().count("Status: 5.4.6") == len(RECIPIENTS))
        self.assertEqual([line for line in self.server.output if "relay.connected" in line], [])
