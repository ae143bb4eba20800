"""``pymailsuite why``: what a real server did is told from its record."""

from __future__ import annotations

import contextlib
import imaplib
import json
import poplib
import smtplib
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance import acceptance
from tests.support import commands, patience
from tests.support.dns import ZoneServer
from tests.support.proxied import ProxiedSmtp
from tests.support.server import TunedServer, running
from tests.support.socket_sink import SocketSink

ZONE = {
    ("strict.example", "TXT"): ['"v=spf1 ip4:198.51.100.7 -all"'],
    ("strict.example", "A"): ["198.51.100.7"],
    ("soft.example", "TXT"): ['"v=spf1 ?all"'],
    ("soft.example", "A"): ["198.51.100.7"],
}
MESSAGE = b"From: joe@soft.example\r\nMessage-ID: <1@soft.example>\r\nSubject: a secret plan\r\n\r\nhush\r\n"


class WhyCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def why(self, *arguments: str, code: int = 0) -> str:
        """What it says, once it has that to say: a server writes its history down a little later."""
        config = str(self.folder / "pymailsuite.toml")

        def told() -> CompletedProcess[str] | None:
            done = commands.run("why", *arguments, "--config", config)
            return done if done.returncode == code else None

        done = patience.until(told)
        assert done is not None
        return done.stdout

    def stories(self, *arguments: str, until: Callable[[Any], bool] = bool) -> Any:
        """What it says as JSON, as soon as that is as wanted."""
        return patience.until(lambda: until(found := json.loads(self.why(*arguments, "--json"))) and found)


class WhyTests(WhyCase):
    @acceptance("S154")
    def test_refusals_attempts_and_folders_are_told(self) -> None:
        for kind in ("junk", "discard"):
            (self.folder / kind).write_text(f"{kind}@soft.example\n", encoding="utf-8")
        with ZoneServer(ZONE) as zone, SocketSink(script={".": ["451 4.7.1 not yet", "250 2.0.0 mine now"]}) as sink:
            settings: dict[str, dict[str, Any]] = {
                "smtp": {"trusted_networks": ["127.0.0.9/32"], "plaintext_login": True},
                "dns": {"servers": [zone.address]},
                "lists": {
                    "sources": [
                        {"name": kind, "file": str(self.folder / kind), "action": kind} for kind in ("junk", "discard")
                    ]
                },
                "queue": {"retry_first": 0.2, "poll": 0.2},
                "relay": {"relayhost": f"[127.0.0.1]:{sink.port}", "tls": "off"},
            }
            with running(TunedServer(self.folder, ["ann"], settings)) as server:
                self._refused_by_spf(server)
                self._delivered_here(server)
                self._relayed(server)
                self._disposed_of(server)

    def _refused_by_spf(self, server: TunedServer) -> None:
        with smtplib.SMTP("127.0.0.1", server.port(25), timeout=patience.PATIENCE_S) as client:
            client.ehlo("mx.strict.example")
            client.mail("joe@strict.example")
            self.assertEqual(client.rcpt("ann@example.test")[0], 550)
        (story,) = self.stories("joe@strict.example")
        self.assertEqual((story["kind"], story["policy"]), ("refused", "spf"))
        self.assertEqual(story["peer"]["helo"], "mx.strict.example")
        self.assertTrue(story["reply"].startswith("550 5.7.23 SPF MAIL FROM check failed"), story["reply"])
        (applied,) = [one for one in story["rulings"] if one["policy"] == "spf"]
        self.assertEqual(applied["evidence"]["result"], "fail")
        self.assertIn("v=spf1 ip4:198.51.100.7 -all", json.dumps(applied["evidence"]["trace"]))
        told = self.why("ANN@example.test")
        self.assertIn("recipient refused", told)
        self.assertIn("(by spf)", told)
        self.assertEqual([one["id"] for one in self.stories("127.0.0.1")], [story["id"]])

    def _delivered_here(self, server: TunedServer) -> None:
        with smtplib.SMTP("127.0.0.1", server.port(25), timeout=patience.PATIENCE_S) as client:
            client.sendmail("joe@soft.example", ["ann@example.test"], MESSAGE)
        (story,) = self.stories("<1@soft.example>")
        self.assertEqual(story["recipients"][0]["now"], ["INBOX"])
        self.assertIn("into INBOX of ann@example.test\n", self.why(story["id"]))
        with imaplib.IMAP4("127.0.0.1", server.port(143)) as reader:
            reader.login("ann@example.test", "test")
            reader.select()
            reader.create("Plans")
            reader.uid("MOVE", "1", "Plans")
        told = self.why(story["id"].lower())
        self.assertIn("into INBOX of ann@example.test, now in Plans\n", told)
        self.assertIn(f"reply     250 2.0.0 {story['id']} Message accepted", told)
        self.assertNotIn("secret", told + json.dumps(self.stories(story["id"])))

    def _relayed(self, server: TunedServer) -> None:
        with smtplib.SMTP(
            "127.0.0.1", server.port(25), timeout=patience.PATIENCE_S, source_address=("127.0.0.9", 0)
        ) as client:
            client.sendmail("ann@example.test", ["bob@far.example"], MESSAGE)
        (story,) = self.stories("bob@far.example", until=lambda found: found and len(found[0]["attempts"]) == 2)
        self.assertEqual([one["state"] for one in story["attempts"]], ["delayed", "delivered"])
        self.assertIn("451 4.7.1 not yet", story["attempts"][0]["reply"])
        self.assertIn("mine now", story["attempts"][1]["reply"])
        self.assertIn("said: 451 4.7.1 not yet; again at ", self.why(story["id"]))
        (entry_id,) = {one["entry_id"] for one in story["attempts"]}
        self.assertEqual([one["id"] for one in self.stories(entry_id)], [story["id"]])
        self.why("nobody@example.test", code=1)

    def _disposed_of(self, server: TunedServer) -> None:
        for kind in ("junk", "discard"):
            with smtplib.SMTP("127.0.0.1", server.port(25), timeout=patience.PATIENCE_S) as client:
                client.sendmail(f"{kind}@soft.example", ["ann@example.test"], MESSAGE)
        self.assertIn("ann@example.test: taken for junk, now in Junk\n", self.why("junk@soft.example"))
        self.assertIn("ann@example.test: thrown away, as a check wants it\n", self.why("discard@soft.example"))
        with imaplib.IMAP4("127.0.0.1", server.port(143)) as reader:
            reader.login("ann@example.test", "test")
            self.assertEqual([reader.select(name)[1] for name in ("INBOX", "Junk")], [[b"0"], [b"1"]])


PLAYED = {
    ("good.example", "MX"): ["10 mx.good.example."],
    ("good.example", "TXT"): ['"v=spf1 ip4:203.0.113.9 -all"'],
    ("strict.example", "MX"): ["10 mx.good.example."],
    ("_dmarc.strict.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("mild.example", "MX"): ["10 mx.good.example."],
    ("_dmarc.mild.example", "TXT"): ['"v=DMARC1; p=quarantine"'],
}


class OperatorTests(WhyCase):
    """A day's questions."""

    def test_each_question_has_its_answer(self) -> None:
        with ZoneServer(PLAYED) as zone, SocketSink(script={"RCPT": ["550 5.1.1 nobody here", "250 ok"]}) as sink:
            settings: dict[str, dict[str, Any]] = {
                "smtp": {"trusted_networks": [], "proxy_protocol": ["127.0.0.0/8"], "connections_per_address": 2},
                "dns": {"servers": [zone.address]},
                "greylist": {"action": "reject", "when": "always", "delay": 1},
                "directory": {"cache_life": 0.2},
                "history": {"limits_window": 1},
                "queue": {"poll": 0.2},
                "relay": {"relayhost": f"[127.0.0.1]:{sink.port}", "tls": "off"},
            }
            with running(TunedServer(self.folder, ["ann", "bob"], settings)) as server:
                self.port = server.port(25)
                self.command("alias", "set", "team@example.test", "ann@example.test", "sue@far.example")
                self.command("domain", "rule", "example.test", "greylist", "off")
                self.command("account", "rule", "bob@example.test", "greylist", "reject")
                self._sent_on_and_refused_there()
                self._refused_or_marked_by_dmarc()
                self._asked_to_wait_and_then_taken()
                self._too_many_at_once()
                self._wrong_passwords(server)

    def command(self, *words: str) -> None:
        config = str(self.folder / "pymailsuite.toml")
        done = commands.run(*words, "--config", config)
        self.assertEqual(done.returncode, 0, done.stderr)

    def _send(self, domain: str, recipient: str) -> int:
        text = f"From: joe@{domain}\r\nMessage-ID: <{recipient}.{domain}>\r\n\r\nx\r\n"
        with ProxiedSmtp("203.0.113.9", self.port) as client:
            try:
                client.sendmail(f"joe@{domain}", [recipient], text)
            except smtplib.SMTPRecipientsRefused as error:
                return error.recipients[recipient][0]
            except smtplib.SMTPDataError as error:
                return error.smtp_code
        return 250

    def _sent_on_and_refused_there(self) -> None:
        self.assertEqual(self._send("good.example", "team@example.test"), 250)
        (story,) = self.stories("sue@far.example", until=lambda found: found and found[0]["reports"])
        told = self.why("team@example.test")
        self.assertIn("recipient team@example.test: into INBOX of ann@example.test\n", told)
        self.assertIn("recipient team@example.test: on to sue@far.example\n", told)
        self.assertIn("at mail    spf: no objection; good.example permits 203.0.113.9", told)
        # The alias has the domain's rule.
        self.assertRegex(told, r"greylist about \S+: tempfail, set aside \(team@example.test wants greylist=off\)")
        self.assertIn("sue@far.example failed: 127.0.0.1 said: 550 5.1.1 nobody here", told)
        self.assertIn(f"report    sent to the sender as {story['reports'][0]}", told)
        self.assertIn(f"about     {story['id']}", self.why(story["reports"][0]))

    def _refused_or_marked_by_dmarc(self) -> None:
        self.assertEqual(self._send("strict.example", "ann@example.test"), 550)
        told = self.why("joe@strict.example")
        self.assertIn("message refused", told)
        self.assertIn("at message dmarc: reject; dmarc=fail for strict.example", told)
        self.assertIn("record=v=DMARC1; p=reject", told)
        self.assertIn("(by dmarc)", told)
        self.assertEqual(self._send("mild.example", "ann@example.test"), 250)
        told = self.why("joe@mild.example")
        self.assertIn("ann@example.test: taken for junk, now in Junk\n", told)
        self.assertIn("at message dmarc: marks it, for the mailbox of junk; ", told)

    def _asked_to_wait_and_then_taken(self) -> None:
        self.assertEqual(self._send("good.example", "bob@example.test"), 451)
        patience.until(lambda: self._send("good.example", "bob@example.test") == 250)
        self.stories("bob@example.test", until=lambda found: len(found) > 1 and "accepted" in str(found))
        told = self.why("bob@example.test")
        last, *_, first = told.split("\n\n")
        self.assertIn("accepted\n", last)
        self.assertIn("greylist about bob@example.test: no objection; returned: spf:good.example", last)
        self.assertIn("recipient refused\n", first)
        self.assertIn("reply     451 4.7.1 Greylisted, try again in ", first)

    def _too_many_at_once(self) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
                connection.sendall(b"PROXY TCP6 2001:db8::7 ::1 4711 25\r\n")
            stories = self.stories("2001:db8::99")
        self.assertEqual([(one["kind"], one["number"]) for one in stories], [("turned away", 3)])
        told = self.why("2001:db8::7")
        self.assertIn("too many connections\n", told)
        self.assertIn("number    3, from ", told)
        self.assertIn("reply     421 4.3.2 ", told)
        with ProxiedSmtp("203.0.113.78", self.port) as client, contextlib.suppress(smtplib.SMTPServerDisconnected):
            client.docmd("GET / HTTP/1.0")
        (story,) = self.stories("203.0.113.78")
        self.assertEqual((story["what"], story["reply"][:9]), ("cut_off", "421 4.7.0"))

    def _wrong_passwords(self, server: TunedServer) -> None:
        with imaplib.IMAP4("127.0.0.1", server.port(143)) as reader:
            self.assertRaises(imaplib.IMAP4.error, reader.login, "ann@example.test", "letmein")
        maildrop = poplib.POP3("127.0.0.1", server.port(110), timeout=20)
        maildrop.user("ann@example.test")
        self.assertRaises(poplib.error_proto, maildrop.pass_, "letmein")
        maildrop.close()
        stories = self.stories("127.0.0.1", until=lambda found: len(found) >= 2)
        found = sorted((one["protocol"], one["what"]) for one in stories)
        self.assertEqual(found, [("imap", "login_refused"), ("pop3", "login_refused")])
        self.assertNotIn("letmein", json.dumps(stories))
