"""Rules that the store keeps for domains and accounts: set while a server runs, and what senders are then told."""

from __future__ import annotations

import imaplib
import json
import smtplib
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support import commands
from tests.support.dns import ZoneServer
from tests.support.patience import until
from tests.support.proxied import ProxiedSmtp
from tests.support.server import TunedServer, running

ZONE = {
    ("strict.example", "MX"): ["10 mx.strict.example."],
    ("mx.strict.example", "A"): ["198.51.100.7"],
    ("_dmarc.strict.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("10.113.0.203.bl.example", "A"): ["127.0.0.2"],
    ("sender.example", "MX"): ["10 mail.sender.example."],
    ("mail.sender.example", "A"): ["127.0.0.1"],
}
SETTINGS: dict[str, dict[str, Any]] = {
    "smtp": {"trusted_networks": [], "plaintext_login": True, "proxy_protocol": ["127.0.0.0/8"]},
    "directory": {"cache_life": 0.2},
    "dnsbl": {"action": "reject", "lists": [{"zone": "bl.example", "action": "reject"}]},
    "greylist": {"action": "reject", "when": "always"},
    "policy": {"recipients": {"example.test": {"actions": {"greylist": "off"}}}},
}
SENDER = "joe@strict.example"
ANN, BOB = "ann@example.test", "bob@example.test"
FORGED = b"From: joe@strict.example\r\nSubject: x\r\n\r\nx\r\n"


class RecipientRuleTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def command(self, *words: str) -> Any:
        """What a command answers while the server runs."""
        done = commands.run(*words, "--config", str(self.folder / "pymailsuite.toml"), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_recipients_with_other_rules_get_messages_of_their_own(self) -> None:
        zone = ZoneServer(ZONE)
        with zone:
            settings = {**SETTINGS, "dns": {"servers": [zone.address]}}
            with running(TunedServer(self.folder, ["ann", "bob"], settings)) as server:
                self.port = server.port(25)
                self._everybody_has_the_same_rules()
                self.command("account", "rule", ANN, "dmarc", "log")
                self._they_are_sent_to_separately()
                self.command("account", "rule", ANN, "dnsbl", "off")
                self._a_listed_client_reaches_whom_it_may()
                self.command("domain", "rule", "example.test", "greylist", "reject")
                self.command("account", "rule", ANN, "greylist", "off")
                self._only_who_wants_it_is_greylisted()
                self.assertEqual(len(self.command("account", "rules")), 1)

    def test_our_own_queue_sends_separately_at_once(self) -> None:
        with ZoneServer(ZONE) as zone:
            dns = {"servers": [zone.address]}
            for name in ("here", "there"):
                (self.folder / name).mkdir()
            settings = {
                "dns": dns,
                "smtp": {"trusted_networks": []},
                "policy": {"recipients": {BOB: {"actions": {"dmarc": "log"}}}},
            }
            there = TunedServer(self.folder / "there", ["ann", "bob", "cy"], settings)
            with running(there):
                relay = {"relayhost": f"127.0.0.1:{there.port(25)}", "tls": "off"}
                here = TunedServer(self.folder / "here", ["sue"], {"dns": dns, "relay": relay}, domain="sender.example")
                with running(here), smtplib.SMTP("127.0.0.1", here.port(587), timeout=20) as client:
                    client.login("sue@sender.example", "test")
                    client.sendmail(
                        "sue@sender.example",
                        [ANN, BOB, "cy@example.test"],
                        FORGED.replace(b"joe@strict", b"sue@sender"),
                    )
                    for name in ("ann", "bob", "cy"):
                        self._wait_for_mail(there, f"{name}@example.test")

    def _wait_for_mail(self, server: TunedServer, login: str) -> None:
        # The queue would wait for five minutes before it tries again.
        with imaplib.IMAP4("127.0.0.1", server.port(143)) as reader:
            reader.login(login, "test")
            until(lambda: reader.select()[1] != [b"0"], patience_s=60)

    def _send(self, recipients: list[str]) -> tuple[dict[str, tuple[int, bytes]], str]:
        """Who was refused at RCPT, and what was said to the message."""
        with ProxiedSmtp("203.0.113.9", self.port) as client:
            try:
                return client.sendmail(SENDER, recipients, FORGED), "250"
            except smtplib.SMTPDataError as error:
                return {}, f"{error.smtp_code} {error.smtp_error.decode()}"

    def _everybody_has_the_same_rules(self) -> None:
        refused, reply = self._send([ANN, BOB])
        self.assertEqual((refused, reply[:3]), ({}, "550"))

    def _they_are_sent_to_separately(self) -> None:
        refused = until(lambda: self._send([ANN, BOB])[0])
        self.assertEqual({name: code for name, (code, _) in refused.items()}, {BOB: 452})
        self.assertTrue(refused[BOB][1].startswith(b"4.5.3 "), refused)
        refused, reply = self._send([BOB])
        self.assertEqual((refused, reply[:9]), ({}, "550 5.7.1"))
        # And the other way round.
        with ProxiedSmtp("203.0.113.9", self.port) as client:
            client.ehlo()
            client.mail(SENDER)
            self.assertEqual([client.rcpt(name)[0] for name in (BOB, ANN)], [250, 452])
            client.rset()
            self.assertEqual(client.sendmail(SENDER, [ANN], FORGED), {})

    def _a_listed_client_reaches_whom_it_may(self) -> None:
        self._until_rcpt("203.0.113.10", {ANN: 250, BOB: 550})

    def _only_who_wants_it_is_greylisted(self) -> None:
        self._until_rcpt("203.0.113.9", {ANN: 250, BOB: 451})

    def _until_rcpt(self, ip: str, expected: dict[str, int]) -> None:
        """Replies to RCPT in transactions of one recipient each, once the server has seen the change."""

        def found() -> dict[str, int]:
            replies = {}
            with ProxiedSmtp(ip, self.port) as client:
                client.ehlo()
                for name in expected:
                    client.mail(SENDER)
                    replies[name] = client.rcpt(name)[0]
                    client.rset()
            return replies

        until(lambda: found() == expected)
