"""curl and openssl: the lines a person types first."""

from __future__ import annotations

import pytest

from tests.acceptance import acceptance
from tests.interop.base import ServerTestCase, needs

MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: by curl\r\n\r\nHello\r\n.dot\r\n"


@pytest.mark.interop
class CurlTests(ServerTestCase):
    """Every protocol, in clear with STARTTLS and with TLS from the start."""

    def _curl(self, *arguments: str, stdin: bytes = b"", fails: bool = False) -> bytes:
        login = f"{self.user}:{self.server.password}"
        return self.run_client("curl", "-sS", "--insecure", "--user", login, *arguments, stdin=stdin, fails=fails)

    def _submit(self, url: str, *options: str) -> None:
        self._curl(url, *options, "--mail-from", self.user, "--mail-rcpt", self.user, "-T", "-", stdin=MESSAGE)

    @needs("curl")
    @acceptance("S003", "S086", "S138")
    def test_submission_and_reading_over_implicit_tls(self) -> None:
        self._submit(f"smtps://127.0.0.1:{self.server.port(465)}")
        for url in (
            f"imaps://127.0.0.1:{self.server.port(993)}/INBOX;MAILINDEX=1",
            f"pop3s://127.0.0.1:{self.server.port(995)}/1",
        ):
            self.assertTrue(self._curl(url).endswith(MESSAGE), url)

    @needs("curl")
    @acceptance("S004", "S138", "S189")
    def test_submission_and_reading_with_starttls(self) -> None:
        self._submit(f"smtp://127.0.0.1:{self.server.port(587)}", "--ssl-reqd")
        for url in (
            f"imap://127.0.0.1:{self.server.port(143)}/INBOX;MAILINDEX=1",
            f"pop3://127.0.0.1:{self.server.port(110)}/1",
        ):
            self.assertTrue(self._curl(url, "--ssl-reqd").endswith(MESSAGE), url)

    @needs("curl")
    def test_a_wrong_password_is_refused_everywhere(self) -> None:
        for url in (
            f"imaps://127.0.0.1:{self.server.port(993)}/INBOX;MAILINDEX=1",
            f"pop3s://127.0.0.1:{self.server.port(995)}/1",
        ):
            self._curl("--user", f"{self.user}:wrong", url, fails=True)

    @needs("openssl")
    @acceptance("S094")
    def test_openssl_speaks_imap_both_ways(self) -> None:
        dialogue = f"a login {self.user} {self.server.password}\nb select inbox\nc logout\n".encode()
        for options in (
            [f"127.0.0.1:{self.server.port(993)}"],
            [f"127.0.0.1:{self.server.port(143)}", "-starttls", "imap"],
        ):
            said = self.run_client("openssl", "s_client", "-quiet", "-crlf", "-connect", *options, stdin=dialogue)
            self.assertIn(b"b OK [READ-WRITE]", said)
            self.assertIn(b"* BYE", said)
