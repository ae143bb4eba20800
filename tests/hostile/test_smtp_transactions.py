"""What lies between the commands of a transaction: it stays whole, or it is gone, and is never half of either."""

from __future__ import annotations

from base64 import b64encode

import pytest
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from tests.smtp.conversations import PASSWORD, Server, WireConversation

ODD = {
    "nothing": b"",
    "white space": b"  \t ",
    "NUL": b"a\0b",
    "8-bit": b"\xff\xfe\xe9",
    "UTF-8": "<jörg@bücher.example>".encode(),
    "100 KB": b"x" * 100_000,
    "format strings": b"%s%n%x {0} {event} {log_failure} ${PATH} $(id)",
    "brackets and quotes": b'"<>(\\"@@,;:[[',
    "a command": b"x\rRSET",
    "another command": b"RSET",
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("verb", [b"VRFY", b"EXPN", b"HELP", b"NOOP", b"ETRN", b"SEND", b"XYZZY"])
def test_what_is_no_part_of_a_transaction_leaves_it_whole(verb: bytes, what: str) -> None:
    server = Server()
    wire = server.connect()
    wire.say("EHLO client.example", "MAIL FROM:<a@client.example>")
    for after in ("RCPT TO:<alice@mail.example>", "RCPT TO:<bob@mail.example>"):
        wire.receive(b"%b %b\r\n" % (verb, ODD[what]))
        lines = wire.output().split(b"\r\n")
        # One reply, in ASCII, of no great length, with nothing in it that was not ours to say.
        assert {line[:3] for line in lines[:-1]} in (
            {b"250"},
            {b"252"},
            {b"214"},
            {b"500"},
            {b"501"},
            {b"502"},
            {b"504"},
        )
        assert all(line.isascii() and len(line) < 200 and b"\0" not in line for line in lines)
        assert sum(line[3:4] == b" " for line in lines) == 1
        assert wire.say(after) == "250 2.1.5 Recipient ok\r\n"
    assert wire.say("DATA").startswith("354 ")
    assert wire.say("Subject: x", "", ".").startswith("250 ")
    (message,) = server.intake.messages
    assert str(message.envelope.reverse_path) == "a@client.example"
    assert [str(one) for one in message.envelope.recipients] == ["alice@mail.example", "bob@mail.example"]


class StateTests(SynchronousTestCase):
    """After what ends a transaction, in whatever way, the next one knows nothing of it."""

    def setUp(self) -> None:
        self.server = Server()

    def begun(self, *more: str) -> WireConversation:
        wire = self.server.connect()
        wire.say("EHLO client.example", "MAIL FROM:<a@client.example> BODY=8BITMIME SMTPUTF8", *more)
        return wire

    def assert_nothing_is_left(self, wire: WireConversation) -> None:
        """No sender, no recipient, no parameter: and a message goes through."""
        self.assertEqual(wire.say("DATA")[:4], "503 ")
        self.assertEqual(wire.say("RCPT TO:<bob@mail.example>")[:4], "503 ")
        self.assertEqual(wire.say("MAIL FROM:<b@client.example>")[:4], "250 ")
        self.assertEqual(wire.say("DATA")[:4], "554 ")
        self.assertEqual(wire.say("RCPT TO:<ü@mail.example>")[:4], "553 ")
        wire.say("RCPT TO:<bob@mail.example>", "DATA")
        self.assertEqual(wire.say("Subject: second", "", ".")[:4], "250 ")
        envelope = self.server.intake.messages[-1].envelope
        self.assertEqual(
            (str(envelope.reverse_path), [str(one) for one in envelope.recipients], envelope.smtputf8),
            ("b@client.example", ["bob@mail.example"], False),
        )
        self.assertEqual(envelope.body.value, "7BIT")

    def test_a_text_that_is_refused(self) -> None:
        for text in (b"bare\nline\r\n.\r\n", b"nul\0\r\n.\r\n", b"x" * 1_100_000 + b"\r\n.\r\n"):
            wire = self.begun("RCPT TO:<alice@mail.example>", "DATA")
            wire.output()
            wire.receive(text)
            self.assertEqual(wire.output()[:1], b"5")
            self.assert_nothing_is_left(wire)

    def test_a_message_that_is_too_big(self) -> None:
        self.server = Server(SmtpMxSettings(message_size=65_536))
        wire = self.begun("RCPT TO:<alice@mail.example>", "DATA")
        wire.output()
        wire.receive((b"x" * 70 + b"\r\n") * 1000 + b".\r\n")
        self.assertEqual(wire.output()[:4], b"552 ")
        self.assert_nothing_is_left(wire)

    def test_a_sender_that_is_refused(self) -> None:
        wire = self.server.connect()
        wire.say("EHLO client.example")
        for refused in (
            "MAIL FROM:<a@client.example> SMTPUTF8 X=Y",
            "MAIL FROM:<a@client.example> SMTPUTF8 SIZE=9999999999",
        ):
            self.assertEqual(wire.say(refused)[:1], "5")
            self.assertEqual(wire.say("RCPT TO:<alice@mail.example>")[:4], "503 ")
        self.assert_nothing_is_left(wire)

    def test_a_reset_and_a_second_greeting(self) -> None:
        for end in ("RSET", "EHLO other.example", "HELO other.example"):
            wire = self.begun("RCPT TO:<alice@mail.example>")
            self.assertEqual(wire.say(end)[:3], "250")
            if end.startswith("HELO"):
                wire.say("EHLO client.example")
            self.assert_nothing_is_left(wire)

    def test_a_greeting_that_is_refused_ends_nothing(self) -> None:
        wire = self.begun("RCPT TO:<alice@mail.example>")
        self.assertEqual(wire.say("EHLO")[:4], "501 ")
        self.assertEqual(wire.say("DATA")[:4], "354 ")

    def test_tls_in_the_middle_of_a_transaction(self) -> None:
        wire = self.begun("RCPT TO:<alice@mail.example>")
        self.assertEqual(wire.say("STARTTLS")[:4], "220 ")
        wire.act("tls", "")
        self.assertEqual(wire.say("DATA")[:4], "503 ")
        wire.say("EHLO client.example")
        self.assert_nothing_is_left(wire)

    def test_a_login_within_a_transaction_is_refused_and_leaves_it_whole(self) -> None:
        self.server = Server(SubmissionSettings())
        wire = self.server.connect(secure=True)
        token = b64encode(f"\0alice@mail.example\0{PASSWORD}".encode()).decode()
        self.assertIn("235 ", wire.say("EHLO client.example", f"AUTH PLAIN {token}"))
        wire.say("MAIL FROM:<alice@mail.example>")
        for recipient in ("bob@mail.example", "alice@mail.example"):
            # A response that comes along is no response: it is read as a command.
            self.assertRegex(wire.say("AUTH LOGIN", "NOOP"), r"\A503 [^\n]*\n250 [^\n]*\n\Z")
            self.assertEqual(wire.say(f"RCPT TO:<{recipient}>")[:4], "250 ")
        self.assertEqual(wire.say("DATA")[:4], "354 ")

    def test_chunks_that_are_no_commands_however_they_are_cut(self) -> None:
        chunk = b"RSET\r\nQUIT\r\nMAIL FROM:<forged@mail.test>\r\n"
        for cut in range(0, len(chunk), 7):
            wire = self.begun("RCPT TO:<alice@mail.example>")
            wire.output()
            wire.receive(b"BDAT %d LAST\r\n" % len(chunk) + chunk[:cut])
            wire.receive(chunk[cut:])
            self.assertEqual(wire.output()[:4], b"502 ")
            self.assertEqual(wire.say("DATA")[:4], "354 ")
