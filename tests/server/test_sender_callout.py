"""A whole server asks the sender's own host before it takes a message: by DNS, over a connection, once a sender."""

from __future__ import annotations

import smtplib
from typing import Any, ClassVar

from tests.acceptance import acceptance
from tests.server.mail_hosts import MailHostsCase
from tests.support.patience import PATIENCE_S
from tests.support.socket_sink import SocketSink

ANN = "ann@example.test"
ZONE = {
    ("peer.example", "MX"): ["10 mx.peer.example."],
    ("mx.peer.example", "A"): ["127.0.0.11"],
    ("gone.example", "MX"): ["10 mx.gone.example."],
    ("mx.gone.example", "A"): ["127.0.0.12"],
}
SCRIPT = {
    "RCPT nobody@peer.example": "550 5.1.1 no such user here",
    "RCPT busy@peer.example": "451 4.2.0 greylisted, come back",
    "RCPT listed@peer.example": "550 5.7.1 your address is on our list",
}


class SenderCalloutTests(MailHostsCase):
    """``peer.example`` has a host that answers, ``gone.example`` one where nobody listens."""

    zone = ZONE
    host: ClassVar[SocketSink]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.host = cls.start_host("127.0.0.11", script=SCRIPT)
        settings: dict[str, dict[str, Any]] = {
            "smtp": {"trusted_networks": []},
            "relay": {"port": cls.host.port},
            "sender_callout": {"action": "reject"},
            # What else is to be said about these senders.
            **{name: {"action": "off"} for name in ("spf", "dmarc", "sender_domain", "iprev", "helo")},
        }
        cls.start_server(["ann"], settings)

    def send(self, sender: str) -> tuple[int, str]:
        """The reply to DATA, or to the message."""
        with smtplib.SMTP("127.0.0.1", self.server.port(25), "mx.peer.example", timeout=PATIENCE_S) as client:
            client.ehlo()
            client.mail(sender)
            self.assertEqual(client.rcpt(ANN)[0], 250)
            try:
                code, text = client.data(b"Subject: x\r\n\r\nhello\r\n")
            except smtplib.SMTPDataError as refused:
                code, text = refused.smtp_code, refused.smtp_error  # type: ignore[assignment]
            return code, text.decode()

    def asked(self) -> int:
        """How often the sender's host has been connected to."""
        return self.host.connections

    @acceptance("S035")
    def test_a_sender_that_its_own_host_takes_is_taken_and_asked_about_once(self) -> None:
        before = self.asked()
        self.assertEqual([self.send("joe@peer.example")[0] for _ in range(2)], [250, 250])
        self.assertEqual(self.asked() - before, 1)
        # It was a question only.
        self.assertEqual(self.host.messages, [])

    @acceptance("S035")
    def test_one_that_its_own_host_refuses_is_refused_in_that_hosts_words(self) -> None:
        before = self.asked()
        for _ in range(2):
            code, text = self.send("nobody@peer.example")
            self.assertEqual(code, 550)
            self.assertIn("5.1.8 Sender is refused by its own host mx.peer.example: 550 5.1.1 no such user here", text)
        self.assertEqual(self.asked() - before, 1)

    def test_nothing_follows_from_a_refusal_for_now_or_of_ourselves(self) -> None:
        self.assertEqual([self.send(f"{name}@peer.example")[0] for name in ("busy", "listed")], [250, 250])

    def test_nor_from_a_host_that_cannot_be_reached(self) -> None:
        self.assertEqual(self.send("joe@gone.example")[0], 250)

    def test_the_null_sender_and_our_own_users_are_not_asked_about(self) -> None:
        before = self.asked()
        self.assertEqual([self.send(sender)[0] for sender in ("", ANN)], [250, 250])
        self.assertEqual(self.asked(), before)
