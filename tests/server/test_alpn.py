"""ALPN at every port that speaks TLS, from the first octet or after STARTTLS: RFC 7301."""

from __future__ import annotations

import socket
import ssl
import tempfile
import unittest
from pathlib import Path

from attrs import frozen

from tests.server.test_twistd import insecure_context
from tests.support.patience import PATIENCE_S, until
from tests.support.server import TunedServer, free_port_base, running

_HTTPS = 80
"""Instead of 443, which would be the 143 of another test's server."""


@frozen
class Port:
    """A port, the ALPN name of what is spoken there, and what to send before TLS; ``end`` begins the line that ends
    each of the answers to it."""

    standard: int
    protocol: str
    before: tuple[tuple[bytes, bytes], ...] = ()
    greeting: bytes = b""


_PORTS = (
    Port(25, "smtp", ((b"EHLO client.example\r\n", b"250 "), (b"STARTTLS\r\n", b"220 ")), b"220 "),
    Port(587, "smtp", ((b"EHLO client.example\r\n", b"250 "), (b"STARTTLS\r\n", b"220 ")), b"220 "),
    Port(465, "smtp"),
    Port(143, "imap", ((b"a STARTTLS\r\n", b"a OK"),), b"* OK"),
    Port(993, "imap"),
    Port(110, "pop3", ((b"STLS\r\n", b"+OK"),), b"+OK"),
    Port(995, "pop3"),
    Port(_HTTPS, "http/1.1"),
)


class ApplicationProtocolTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        https = [f"tcp:{free_port_base() + _HTTPS}:interface=127.0.0.1"]
        cls.server = TunedServer(folder, ["ann"], {"listeners": {"https": https}})
        cls.enterClassContext(running(cls.server))

    def negotiated(self, port: Port, *protocols: str) -> str | None:
        """The protocol that is agreed on; ssl.SSLError if the server refuses."""
        context = insecure_context()
        if protocols:
            context.set_alpn_protocols(protocols)
        with socket.create_connection(("127.0.0.1", self.server.port(port.standard)), PATIENCE_S) as plain:
            if port.greeting:
                lines = plain.makefile("rb", buffering=0)
                self.assertTrue(lines.readline().startswith(port.greeting))
                for command, end in port.before:
                    plain.sendall(command)
                    while not lines.readline().startswith(end):
                        pass
            with context.wrap_socket(plain, server_hostname="mail.example.test") as secured:
                return secured.selected_alpn_protocol()

    def test_the_protocol_of_the_port_is_agreed_on(self) -> None:
        for port in _PORTS:
            with self.subTest(port=port.standard):
                self.assertEqual(self.negotiated(port, "xmpp-client", port.protocol), port.protocol)

    def test_a_client_that_names_none_is_served(self) -> None:
        for port in _PORTS:
            with self.subTest(port=port.standard):
                self.assertIsNone(self.negotiated(port))

    def test_a_protocol_that_does_not_belong_to_the_port_is_refused(self) -> None:
        for port in _PORTS:
            foreign = "imap" if port.protocol == "pop3" else "pop3"
            with self.subTest(port=port.standard), self.assertRaises(ssl.SSLError) as caught:
                self.negotiated(port, foreign)
            self.assertIn("NO_APPLICATION_PROTOCOL", str(caught.exception).upper().replace(" ", "_"))

    def test_the_log_says_why(self) -> None:
        with self.assertRaises(ssl.SSLError):
            self.negotiated(Port(993, "imap"), "made-up")
        until(lambda: any("tls.alpn_refused" in line and "made-up" in line for line in self.server.output))
        self.assertNotIn("Traceback", "".join(self.server.output))
