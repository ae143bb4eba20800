"""An outside extension of SMTP: a parameter of RCPT, and a policy that reads it."""

from __future__ import annotations

import imaplib
import smtplib
import tempfile
import unittest
from pathlib import Path

from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running
from tests.support.wheels import installed

MESSAGE = b"From: desk@example.test\r\nSubject: x\r\n\r\nHello\r\n"


class SmtpExtensionTests(unittest.TestCase):
    def test_the_ticket_named_with_a_recipient_is_told_in_the_message(self) -> None:
        settings = {"policy": {"plugins": {"tickets": {"action": "score", "exempt": []}}}}
        with installed("smtp_extension") as environment, tempfile.TemporaryDirectory() as folder:
            server = TunedServer(Path(folder), ["ann"], settings, environment=environment)
            with running(server):
                with smtplib.SMTP("127.0.0.1", server.port(25), timeout=PATIENCE_S) as client:
                    client.ehlo()
                    self.assertIn("xticket", client.esmtp_features)
                    client.mail("desk@example.test")
                    self.assertEqual(client.rcpt("ann@example.test", ["XTICKET=none"])[0], 501)
                    self.assertEqual(client.rcpt("ann@example.test", ["XTICKET=4711"])[0], 250)
                    self.assertEqual(client.data(MESSAGE)[0], 250)
                with imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S) as reader:
                    reader.login("ann@example.test", "test")
                    reader.select()
                    (_, octets), _ = reader.fetch("1", "(BODY.PEEK[HEADER.FIELDS (X-TICKET)])")[1]
        self.assertEqual(octets, b"X-Ticket: 4711\r\n\r\n")
