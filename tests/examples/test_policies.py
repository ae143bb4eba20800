"""Outside policies: one that keeps state in the store, and one that reads messages and changes them."""

from __future__ import annotations

import email
import imaplib
import smtplib
import tempfile
import unittest
from email.message import EmailMessage
from pathlib import Path

from pymailsuite.policy.assembly import policy_factories
from tests.acceptance import acceptance
from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running
from tests.support.wheels import installed


def message(text: str) -> EmailMessage:
    """With a text that is sent in base64."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "desk@peer.example", "ann@example.test", "hello"
    made.set_content(text, cte="base64")
    return made


class PolicyTests(unittest.TestCase):
    @acceptance("S187")
    def test_a_sender_is_counted_and_refused_and_a_text_is_read_and_marked(self) -> None:
        rate = {"action": "reject", "exempt": [], "limit": 2}
        words = {"action": "score", "exempt": [], "words": ["Rechnung"], "mark": "[money]"}
        settings = {"policy": {"plugins": {"sender_rate": rate, "text_words": words}}}
        with (
            installed("stateful_policy", "reading_policy") as environment,
            tempfile.TemporaryDirectory() as folder,
        ):
            server = TunedServer(Path(folder), ["ann"], settings, environment=environment)
            with running(server):
                with smtplib.SMTP("127.0.0.1", server.port(25), timeout=PATIENCE_S) as client:
                    client.send_message(message("Anbei die Rechnung für Mai"))
                    client.send_message(message("Nichts als Grüße"))
                    with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                        client.send_message(message("One more"))
                    client.send_message(message("One of another"), from_addr="else@peer.example")
                with imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S) as reader:
                    reader.login("ann@example.test", "test")
                    reader.select()
                    found = reader.fetch("1:*", "(BODY.PEEK[])")[1]
        self.assertEqual(refused.exception.recipients["ann@example.test"][0], 550)
        subjects = [email.message_from_bytes(one[1])["Subject"] for one in found if isinstance(one, tuple)]
        self.assertEqual(subjects, ["[money] hello", "hello", "hello"])

    def test_a_policy_is_there_as_long_as_its_package_is(self) -> None:
        with installed("reading_policy"):
            self.assertIn("text_words", policy_factories())
        self.assertNotIn("text_words", policy_factories())
