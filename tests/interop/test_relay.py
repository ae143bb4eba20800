"""Outgoing mail of a whole server: submitted by a real client, found by real DNS, taken by a real mail host."""

from __future__ import annotations

import contextlib
import imaplib
import json
import smtplib
import ssl
import tempfile
import time
import unittest
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.acceptance import acceptance
from tests.support import commands
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S, at_best, until
from tests.support.server import TunedServer, running
from tests.support.socket_sink import SocketSink

ANN = "ann@example.test"
BODY = b"plain\r\n.\r\n..two dots\r\n.a dot and more\r\n\r\n" + "grüße\r\n".encode() + b"end\r\n"

ZONE = {
    ("one.test", "MX"): ["10 mx.one.test."],
    ("mx.one.test", "A"): ["127.0.0.11"],
    ("two.test", "MX"): ["20 worse.two.test.", "10 better.two.test."],
    ("better.two.test", "A"): ["127.0.0.12"],
    ("worse.two.test", "A"): ["127.0.0.13"],
    ("gone.test", "MX"): ["10 mx.gone.test."],
    ("mx.gone.test", "A"): ["127.0.0.14"],
    ("null.test", "MX"): ["0 ."],
}


class RelayTestCase(unittest.TestCase):
    """One server, one zone; a test opens the hosts it needs, all at ``port`` and each at an address of its own."""

    server: ClassVar[TunedServer]
    zone: ClassVar[ZoneServer]
    port: ClassVar[int]
    queue_settings: ClassVar[dict[str, Any]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cls.zone = stack.enter_context(ZoneServer(ZONE, broken=["broken.test"], silent=["silent.test"]))
        cls.port = stack.enter_context(SocketSink("127.0.0.10")).port
        settings: dict[str, dict[str, Any]] = {
            "dns": {"servers": [cls.zone.address], "timeout": "300ms", "lifetime": "1s"},
            "relay": {"port": cls.port, "dead_host": "0s", "idle_close": "200ms"},
            "queue": cls.queue_settings,
        }
        cls.server = stack.enter_context(running(TunedServer(folder, ["ann"], settings)))

    def host(self, ip: str, script: Any = None) -> SocketSink:
        """A mail host until the end of the test."""
        sink = SocketSink(ip, self.port, script)
        sink.__enter__()
        self.addCleanup(sink.__exit__)
        return sink

    def submit(self, *recipients: str, sender: str = ANN, subject: str = "") -> bytes:
        """Give the server a message as a user does, over TLS; its octets."""
        octets = f"From: {ANN}\r\nTo: somebody\r\nSubject: {subject or self.id()}\r\n\r\n".encode() + BODY
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with smtplib.SMTP_SSL("127.0.0.1", self.server.port(465), timeout=PATIENCE_S, context=context) as client:
            client.login(ANN, self.server.password)
            client.sendmail(sender, recipients, octets, ["BODY=8BITMIME"])
        return octets

    def queue(self, *command: str) -> Any:
        """What ``pymailsuite queue`` says, a process of its own."""
        config = self.server.directory / "pymailsuite.toml"
        done = commands.run("queue", *command, "--config", str(config), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def entry(self, recipient: str) -> Any:
        """The queue's entry for a recipient, None if there is none (any more)."""
        for entry in self.queue("list"):
            for one in entry["recipients"]:
                if one["recipient"] == recipient:
                    return {**one, **{key: entry[key] for key in ("queue_id", "held", "sender")}}
        return None

    def attempted(self, recipient: str) -> Any:
        """The same, once it has been attempted."""

        def look() -> Any:
            entry = self.entry(recipient)
            return entry if entry is not None and entry["attempts"] else None

        return until(look)

    def reports(self, about: str) -> list[EmailMessage]:
        """The reports in the sender's INBOX that name an address."""
        client = imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S)
        client.login(ANN, self.server.password)
        client.select("INBOX", readonly=True)
        _, data = client.uid("FETCH", "1:*", "BODY.PEEK[]")
        client.logout()
        found = [item[1] for item in data if isinstance(item, tuple)]
        return [message_from_bytes(octets, policy=policy.default) for octets in found if about.encode() in octets]

    def report(self, about: str) -> tuple[EmailMessage, Any]:
        """The only report about a recipient, and its fields."""
        (report,) = until(lambda: self.reports(about))
        self.assertEqual((report["Return-Path"], report.get_content_type()), ("<>", "multipart/report"))
        status = list(report.iter_parts())[1]
        blocks: Any = status.get_payload()
        (fields,) = [block for block in blocks if about in str(block["Final-Recipient"])]
        return report, fields


@pytest.mark.slow
class RelayTests(RelayTestCase):
    @acceptance("S078", "S057")
    def test_a_message_reaches_the_host_that_mx_names_octet_for_octet(self) -> None:
        sink = self.host("127.0.0.11")
        octets = self.submit("bob@one.test")
        (message,) = sink.wait_for()
        self.assertEqual((message.sender, message.recipients), (ANN, ("bob@one.test",)))
        received, _, rest = message.octets.partition(b"From: ")
        self.assertEqual(b"From: " + rest, octets)
        self.assertTrue(received.startswith(b"Received: from "))
        until(lambda: self.entry("bob@one.test") is None)

    @acceptance("S078")
    def test_the_next_host_is_tried_where_the_best_is_away(self) -> None:
        worse = self.host("127.0.0.13")
        self.submit("bob@two.test")
        worse.wait_for()

    @acceptance("S078")
    def test_a_flush_by_another_process_is_heard_within_two_seconds(self) -> None:
        tries = iter(range(8))
        replies = ["451 4.2.0 try later", "250 2.1.5 ok"]
        sink = self.host("127.0.0.11", {f"RCPT later{number}@one.test": replies for number in range(8)})

        def time_to_flush() -> float:
            number = next(tries)
            self.submit(f"later{number}@one.test")
            waiting = self.attempted(f"later{number}@one.test")
            self.assertEqual((waiting["attempts"], waiting["status"]), (1, "4.2.0"))
            self.assertEqual((waiting["reply"], waiting["host"]), ("451 4.2.0 try later", "mx.one.test"))
            self.assertEqual(len(sink.messages), number)
            self.assertEqual(self.queue("flush", waiting["queue_id"]), {"flushed": 1})
            began = time.monotonic()
            sink.wait_for(number + 1)
            return time.monotonic() - began

        at_best(time_to_flush, 2.0)

    @acceptance("S078")
    def test_the_queue_commands_act_on_the_running_server(self) -> None:
        self.host("127.0.0.11", {"RCPT": "451 4.2.0 try later"})
        self.submit("kept@one.test", subject="a subject to show")
        queue_id = self.attempted("kept@one.test")["queue_id"]
        (shown,) = self.queue("show", queue_id)
        self.assertEqual((shown["sender"], shown["waiting"], shown["held"]), (ANN, 1, False))
        self.assertEqual(self.queue("hold", queue_id), {"held": 1})
        config = str(self.server.directory / "pymailsuite.toml")
        self.assertIn("held", commands.run("queue", "flush", queue_id, "--config", config).stderr)
        time.sleep(2)
        held = self.entry("kept@one.test")
        self.assertEqual((held["held"], held["attempts"]), (True, 1))
        self.assertEqual(self.queue("release", queue_id), {"released": 1})
        self.queue("flush", queue_id)
        until(lambda: self.entry("kept@one.test")["attempts"] == 2)
        self.assertEqual(self.queue("delete", "--yes", queue_id), {"deleted": 1})
        self.assertIsNone(self.entry("kept@one.test"))
        self.assertEqual(self.reports("kept@one.test"), [])

    @acceptance("S079", "S080")
    def test_a_refusal_is_reported_with_the_words_of_the_host(self) -> None:
        self.host("127.0.0.11", {"RCPT": "550 5.1.1 no such user here"})
        self.submit("nobody@one.test", subject="to be returned")
        report, fields = self.report("nobody@one.test")
        self.assertEqual((fields["Action"], fields["Status"]), ("failed", "5.1.1"))
        self.assertEqual(fields["Diagnostic-Code"], "smtp; 550 5.1.1 no such user here")
        self.assertEqual(fields["Remote-MTA"], "dns; mx.one.test")
        self.assertIn("to be returned", list(report.iter_parts())[2].as_string())
        self.assertIsNone(self.entry("nobody@one.test"))

    @acceptance("S079")
    def test_nobody_is_told_of_a_refused_report(self) -> None:
        refused = self.host("127.0.0.11", {"RCPT": "550 5.1.1 no such user here"})
        with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE_S) as client:
            client.sendmail("", ["bounced@one.test"], b"Subject: a report\r\n\r\nof somebody's\r\n")
        until(lambda: refused.connections and self.entry("bounced@one.test") is None)
        self.assertEqual(self.reports("bounced@one.test"), [])

    @acceptance("S079")
    def test_a_domain_without_mail_is_reported_at_once(self) -> None:
        for address, status in (("bob@null.test", "5.1.10"), ("bob@nosuch.invalid", "5.1.2")):
            self.submit(address)
            self.assertEqual(self.report(address)[1]["Status"], status)

    @acceptance("S078")
    def test_a_host_that_takes_no_mail_now_and_dns_that_fails_let_mail_wait(self) -> None:
        greeting = {"GREETING": ["421 4.3.2 too busy", "554 5.3.2 no service", "220 hello"]}
        sink = self.host("127.0.0.11", greeting)
        self.submit("patient@one.test")
        first = self.attempted("patient@one.test")
        self.assertEqual((first["state"], first["reply"]), ("delayed", "421 4.3.2 too busy"))
        self.queue("flush", first["queue_id"])
        second = until(lambda: (one := self.entry("patient@one.test"))["attempts"] == 2 and one)
        self.assertEqual((second["state"], second["reply"]), ("delayed", "554 5.3.2 no service"))
        self.queue("flush", first["queue_id"])
        sink.wait_for()
        for domain in ("broken.test", "silent.test"):
            self.submit(f"bob@{domain}")
            waiting = self.attempted(f"bob@{domain}")
            self.assertEqual((waiting["state"], waiting["status"]), ("delayed", "4.4.3"))

    def test_what_cannot_be_reached_waits(self) -> None:
        self.submit("bob@gone.test")
        waiting = self.attempted("bob@gone.test")
        self.assertEqual((waiting["state"], waiting["status"]), ("delayed", "4.4.1"))

    def test_the_log_names_hosts_we_connect_to_and_no_ports_of_lookups(self) -> None:
        self.host("127.0.0.11")
        self.submit("logged@one.test")
        until(lambda: "logged@one.test" in "".join(self.server.output))
        log = "".join(self.server.output)
        self.assertRegex(log, r"relay\.connected to mx\.one\.test\[127\.0\.0\.11\]")
        self.assertNotRegex(log, r"connection\.opened relay|_Datagrams starting|\(UDP Port")


@pytest.mark.slow
class ScheduleTests(RelayTestCase):
    """Days in seconds."""

    queue_settings: ClassVar[dict[str, Any]] = {
        "retry_first": "1s",
        "retry_factor": 1.5,
        "retry_max": "2s",
        "retry_jitter": 0.0,
        "warn_after": "3s",
        "expire": "8s",
        "expire_reports": "4s",
    }

    @acceptance("S078", "S079")
    def test_a_message_is_tried_again_its_delay_reported_and_at_last_given_up(self) -> None:
        sink = self.host("127.0.0.11", {"RCPT": "451 4.2.1 mailbox busy"})
        self.submit("busy@one.test")
        (delayed,) = until(lambda: self.reports("Action: delayed"))
        self.assertIn("451 4.2.1 mailbox busy", delayed.as_string())
        self.assertIn("Will-Retry-Until", delayed.as_string())
        (expired,) = until(lambda: self.reports("Action: failed"))
        self.assertIn("Status: 4.4.7", expired.as_string())
        self.assertIn("451 4.2.1 mailbox busy", expired.as_string())
        self.assertIsNone(self.entry("busy@one.test"))
        self.assertEqual(len(self.reports("busy@one.test")), 2)
        # At 0, 1, 2.5, 4.5, 6.5 and 8 seconds.
        self.assertIn(sink.connections, range(5, 9))

    def test_a_retry_delivers_by_itself(self) -> None:
        sink = self.host("127.0.0.11", {"RCPT": ["451 4.2.0 later", "450 4.2.0 later still", "250 2.1.5 ok"]})
        self.submit("again@one.test")
        sink.wait_for()
        until(lambda: self.entry("again@one.test") is None)


del RelayTestCase
