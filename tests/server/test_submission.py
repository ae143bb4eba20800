"""Mail of users in a whole server: as whom they may send, what becomes of it, and who gets the answers."""

from __future__ import annotations

import imaplib
import smtplib
import time
from typing import ClassVar

from pymailsuite.policy.dkim.private_keys import write_key_file
from pymailsuite.policy.dkim.verify import verify_message
from tests.acceptance import acceptance
from tests.policy.dkim.support import private_key, resolver, run, signing_key
from tests.server.mail_hosts import MailHostsCase
from tests.support.patience import PATIENCE_S, until
from tests.support.socket_sink import SocketSink

ZONE = {("far.example", "MX"): ["10 mx.far.example."], ("mx.far.example", "A"): ["127.0.0.31"]}
ANN, TENANT = "ann@example.test", "carol@tenant.example"
JOE = "joe@far.example"


class SubmissionTests(MailHostsCase):
    zone = ZONE
    far: ClassVar[SocketSink]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.far = cls.start_host("127.0.0.31")
        key = cls.folder / "s1.pem"
        write_key_file(key, private_key())
        keys = [{"domain": domain, "selector": "s1", "file": str(key)} for domain in ("example.test", "tenant.example")]
        settings = {
            "smtp": {"trusted_networks": [], "offer_login": True, "plaintext_login": True},
            "directory": {"cache_life": 0.2},
            "relay": {"port": cls.far.port, "idle_close": "200ms"},
            "dkim_sign": {"keys": keys},
        }
        cls.start_server(["ann", "bob"], settings)
        cls.command("domain", "add", "tenant.example")
        cls.command("account", "add", TENANT, "--no-password")
        cls.command("alias", "set", "sales@example.test", ANN, JOE)

    def client(self, port: int = 587) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self.server.port(port), "client.example", timeout=PATIENCE_S)
        self.addCleanup(client.close)
        client.login(ANN, self.server.password)
        return client

    def code(self, reverse_path: str, author: str, port: int = 587) -> int:
        """The code of the reply to MAIL if that is not 250, else of that to the message."""
        with self.client(port) as client:
            code = client.mail(reverse_path)[0]
            if code != 250:
                return code
            self.assertEqual(client.rcpt("bob@example.test")[0], 250)
            return client.data(f"From: {author}\r\nSubject: x\r\n\r\nx\r\n")[0]

    @acceptance("S199", "S045")
    def test_nobody_sends_in_anothers_name_until_it_is_granted_and_then_no_longer_than_that(self) -> None:
        for port in (587, 25):
            for author in (ANN, "Ann+list@EXAMPLE.test", "sales@example.test"):
                self.assertEqual(self.code(author, author, port), 250)
            for author in (TENANT, "bob@example.test", JOE):
                self.assertEqual([self.code(author, ANN, port), self.code(ANN, author, port)], [553, 550], author)
                self.assertEqual(self.code("", author, port), 550)
        for grant in (TENANT, "@tenant.example"):
            self.command("account", "grant-send-as", ANN, grant)
            self.assertEqual(self.code(TENANT, TENANT), 250)
            self.assertEqual(self.code("x@tenant.example", ANN), 250 if grant.startswith("@") else 553)
            self.command("account", "revoke-send-as", ANN, grant)
            until(lambda: self.code(TENANT, ANN) == 553)

    @acceptance("S044", "S194")
    def test_what_is_handed_in_goes_out_complete_and_signed_and_tells_no_blind_copies(self) -> None:
        before = len(self.far.messages)
        with self.client() as client:
            text = f"To: {JOE}\nBcc: secret@example.test,\n hidden@far.example\nSubject: scan\n\n.\n..x\nline\n"
            # As a scanner sends it, with LF alone.
            for command in (f"MAIL FROM:<{ANN}>", f"RCPT TO:<{JOE}>", "RCPT TO:<hidden..@far.example>", "DATA"):
                client.putcmd(command)
                self.assertIn(client.getreply()[0], (250, 354))
            client.send(text.encode() + b"\r\n.\r\n")
            self.assertEqual(client.getreply()[0], 250)
        taken = self.far.wait_for(before + 1)[-1]
        self.assertEqual(sorted(taken.recipients), ["hidden..@far.example", JOE])
        header, _, body = taken.octets.partition(b"\r\n\r\n")
        self.assertEqual(body, b".\r\n..x\r\nline\r\n\r\n")
        self.assertNotIn(b"secret", header)
        self.assertNotIn(b"\nBcc", header)
        for field in (b"\r\nFrom: ann@example.test\r\n", b"\r\nDate: ", b"\r\nMessage-ID: <"):
            self.assertEqual(header.count(field), 1, header)
        results = run(verify_message(taken.octets, resolver(signing_key(domain="example.test")), time.time()))
        self.assertEqual([result.passed for result in results], [True])

    def test_a_reply_to_a_report_reaches_those_in_charge(self) -> None:
        hostname = self.hostname()
        with smtplib.SMTP("127.0.0.1", self.server.port(25), "mx.far.example", timeout=PATIENCE_S) as client:
            client.ehlo()
            client.mail("")
            for recipient in (f"MAILER-DAEMON@{hostname}", "<postmaster>"):
                self.assertEqual(client.rcpt(recipient)[0], 250, recipient)
                client.rset()
                client.mail("")
            self.assertEqual(client.rcpt(f"nobody@{hostname}")[0], 550)
            client.rset()
            client.sendmail(
                "joe@far.example", [f"postmaster@{hostname}", "abuse@example.test"], b"Subject: why?\r\n\r\n"
            )

        def arrived() -> bool:
            with imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S) as reader:
                reader.login(ANN, self.server.password)
                reader.select("INBOX", readonly=True)
                return len(reader.search(None, "SUBJECT", '"why?"')[1][0].split()) == 1

        until(arrived)

    def hostname(self) -> str:
        """As the server calls itself."""
        with smtplib.SMTP("127.0.0.1", self.server.port(25), "mx.far.example", timeout=PATIENCE_S) as client:
            return client.ehlo()[1].split()[0].decode()
