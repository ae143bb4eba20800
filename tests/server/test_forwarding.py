"""Forwarding, bounces and bounce tags in a whole server, between mail hosts that a test plays."""

from __future__ import annotations

import smtplib
import ssl
import time
from typing import ClassVar

from pymailsuite.policy.arc.verify import verify_arc
from pymailsuite.policy.dkim.private_keys import write_key_file
from pymailsuite.policy.dkim.verify import verify_message
from tests.acceptance import acceptance
from tests.policy.dkim.support import private_key, resolver, run, signing_key
from tests.server.mail_hosts import MailHostsCase
from tests.support.patience import PATIENCE_S
from tests.support.socket_sink import SocketSink

ZONE = {
    ("peer.example", "MX"): ["10 mx.peer.example."],
    ("mx.peer.example", "A"): ["127.0.0.21"],
    ("peer.example", "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
    ("b.example", "MX"): ["10 mx.b.example."],
    ("mx.b.example", "A"): ["127.0.0.22"],
}
MESSAGE = b"From: sam@peer.example\r\nTo: team@example.test\r\nSubject: x\r\n\r\nHello\r\n"
OWN = b"From: ann@example.test\r\nTo: bob@b.example\r\nSubject: x\r\n\r\nHello\r\n"


class ForwardingTests(MailHostsCase):
    zone = ZONE
    peer: ClassVar[SocketSink]
    other: ClassVar[SocketSink]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.peer = cls.start_host("127.0.0.21")
        refusing = {"RCPT bob@b.example": "250 2.1.5 ok", "RCPT gone@b.example": "550 5.1.1 nobody here"}
        cls.other = cls.start_host("127.0.0.22", cls.peer.port, refusing)
        write_key_file(cls.folder / "s1.pem", private_key())
        settings = {
            "smtp": {"trusted_networks": []},
            "relay": {"port": cls.peer.port, "idle_close": "200ms"},
            "dkim_sign": {"keys": [{"domain": "example.test", "selector": "s1", "file": str(cls.folder / "s1.pem")}]},
            "arc": {"seal": True},
            "bounce_tags": {"domains": ["example.test"], "action": "reject"},
        }
        cls.start_server(["ann"], settings)
        cls.command("alias", "set", "team@example.test", "ann@example.test", "bob@b.example")
        cls.command("alias", "set", "lost@example.test", "gone@b.example")

    def send(self, sender: str, recipient: str, octets: bytes = MESSAGE) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port(25), "mx.peer.example", timeout=PATIENCE_S) as client:
            client.sendmail(sender, [recipient], octets)

    def refusal(self, sender: str, recipient: str) -> bytes:
        """What is said to RCPT."""
        with smtplib.SMTP("127.0.0.1", self.server.port(25), "mx.peer.example", timeout=PATIENCE_S) as client:
            client.ehlo()
            client.mail(sender)
            code, text = client.rcpt(recipient)
            return b"%d %b" % (code, text)

    @acceptance("S076")
    def test_forwarded_mail_is_sealed_and_its_bounces_find_the_sender(self) -> None:
        before = len(self.peer.messages)
        self.send("sam@peer.example", "team@example.test")
        forwarded = self.other.wait_for()[0]
        self.assertRegex(forwarded.sender, r"^SRS0=\w+=\w\w=peer\.example=sam@example\.test$")
        dns = resolver(signing_key(domain="example.test"))
        chain = run(verify_arc(forwarded.octets, dns, time.time()))
        self.assertEqual((chain.status.value, chain.hops[0].domain), ("pass", "example.test"))
        self.assertIn("spf=pass", chain.hops[0].results)
        self.send("", forwarded.sender, b"Subject: bounce\r\n\r\n")
        bounce = self.peer.wait_for(before + 1)[-1]
        self.assertEqual((bounce.sender, bounce.recipients), ("", ("sam@peer.example",)))
        changed = forwarded.sender.replace("=sam@", "=sue@")
        self.assertTrue(self.refusal("", changed).startswith(b"550 5.1.1 "))

    @acceptance("S076", "S194")
    def test_a_host_that_refuses_what_is_forwarded_is_reported_to_the_sender_signed(self) -> None:
        before = len(self.peer.messages)
        self.send("sam@peer.example", "lost@example.test")
        report = self.peer.wait_for(before + 1)[-1]
        self.assertEqual((report.sender, report.recipients), ("", ("sam@peer.example",)))
        (result,) = run(verify_message(report.octets, resolver(signing_key(domain="example.test")), time.time()))
        self.assertTrue(result.passed, result)

    @acceptance("S081")
    def test_nobody_gets_bounces_of_what_others_forged(self) -> None:
        before = len(self.peer.messages)
        self.assertTrue(self.refusal("sam@peer.example", "nobody@example.test").startswith(b"550 5.1.1 "))
        self.assertTrue(self.refusal("", "ann@example.test").startswith(b"550 5.7.1 "))
        taken = len(self.other.messages)
        context = ssl._create_unverified_context()
        with smtplib.SMTP_SSL("127.0.0.1", self.server.port(465), timeout=PATIENCE_S, context=context) as client:
            client.login("ann@example.test", self.server.password)
            client.sendmail("ann@example.test", ["bob@b.example"], OWN)
        sent = self.other.wait_for(taken + 1)[-1]
        self.assertRegex(sent.sender, r"^prvs=\w+=ann@example\.test$")
        self.send("", sent.sender, b"Subject: bounce\r\n\r\n")
        self.assertTrue(self.refusal("", sent.sender.replace("prvs=0", "prvs=1")).startswith(b"550 5.1.1 "))
        self.assertEqual(len(self.peer.messages), before)
