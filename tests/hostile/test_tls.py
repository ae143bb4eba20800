"""What is said before TLS is never taken for what is said within (the STARTTLS injection of 2011 and 2021)."""

from __future__ import annotations

import pytest

from tests.acceptance import acceptance
from tests.hostile.base import HostileTestCase, Wire

pytestmark = [pytest.mark.interop, pytest.mark.slow]


class InjectionTests(HostileTestCase):
    """Commands in the same packet as STARTTLS, and in one of their own before the handshake."""

    def begin(self, standard: int, command: bytes, injected: bytes, answer: bytes) -> Wire | None:
        """A connection within TLS; None if the server has closed it instead."""
        wire = self.connect(standard)
        if standard in (25, 587):
            wire.say(b"EHLO s.test")
        wire.send(command + b"\r\n" + injected)
        self.assertRegex(wire.line(), answer)
        wire.start_tls()
        return wire

    @acceptance("S189")
    def test_smtp(self) -> None:
        for port in (25, 587):
            injected = b"EHLO evil.test\r\nMAIL FROM:<forged@example.test>\r\nRCPT TO:<ann@example.test>\r\n"
            wire = self.begin(port, b"STARTTLS", injected, rb"\A220 ")
            assert wire is not None
            self.assertEqual(wire.say(b"RCPT TO:<ann@example.test>")[:4], b"503 ")
            self.assertEqual(wire.say(b"EHLO s.test")[:3], b"250")
            self.assertEqual(wire.say(b"QUIT")[:4], b"221 ")
            self.assertEqual(wire.rest(), b"")

    @acceptance("S189")
    def test_imap(self) -> None:
        wire = self.begin(143, b"t STARTTLS", b"x LOGIN ann@example.test test\r\ny NOOP\r\n", rb"\At OK ")
        assert wire is not None
        self.assertRegex(wire.obey(b"SELECT INBOX"), rb"\At BAD ")
        self.assertRegex(wire.obey(b"LOGIN ann@example.test test"), rb"\At OK ")
        self.assertIn(b"t BAD", wire.obey(b"STARTTLS"))

    @acceptance("S189")
    def test_pop3(self) -> None:
        wire = self.begin(110, b"STLS", b"USER ann@example.test\r\nPASS test\r\nSTAT\r\n", rb"\A\+OK ")
        assert wire is not None
        self.assertEqual(wire.say(b"STAT")[:4], b"-ERR")
        self.assertEqual(wire.say(b"PASS test")[:4], b"-ERR")
        self.assertEqual(wire.say(b"QUIT")[:3], b"+OK")
        self.assertEqual(wire.rest(), b"")

    @acceptance("S189")
    def test_plaintext_instead_of_the_handshake_is_executed_by_nobody(self) -> None:
        for port, command, more in (
            (25, b"STARTTLS", b"EHLO evil.test\r\n"),
            (143, b"t STARTTLS", b"x NOOP\r\n"),
            (110, b"STLS", b"CAPA\r\n"),
        ):
            wire = self.connect(port)
            if port == 25:
                wire.say(b"EHLO s.test")
            wire.send(command + b"\r\n")
            wire.line()
            wire.send(more * 10)
            # An alert of TLS at most, which begins with 0x15.
            self.assertRegex(wire.rest(), rb"(?s)\A(?:\x15.*)?\Z")

    @acceptance("S189")
    def test_garbage_on_the_tls_ports_is_hung_up_on(self) -> None:
        for port in (465, 993, 995):
            for octets in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 100_000, b"\x00" * 1000):
                wire = self.connect(port, greeted=False)
                wire.send(octets)
                wire.shut()
                self.assertRegex(wire.rest(), rb"(?s)\A(?:\x15.*)?\Z")
