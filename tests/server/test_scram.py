"""SCRAM by all three protocols, against a running server, bound to its certificate."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import imaplib
import poplib
import smtplib
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import TestCase

import pytest

from tests.acceptance import acceptance
from tests.support.scram import ScramClient
from tests.support.server import Server, TunedServer, running

ANN = "ann@example.test"
PLAIN_TEXT = ssl._create_unverified_context()


@pytest.fixture(scope="class")
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    """One server for all."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"auth": {"scram": True, "scram_iterations": 4096}}
        request.cls.server = stack.enter_context(running(TunedServer(folder, ["ann"], settings)))
        yield


class Conversation(ScramClient):
    """Answers challenges in turn: as imaplib and smtplib ask for them."""

    def __init__(self, password: str, certificate: bytes, *, plus: bool) -> None:
        header, bound = (b"p=tls-server-end-point,,", hashlib.sha256(certificate).digest()) if plus else (b"n,,", b"")
        super().__init__(ANN, password, header, bound)
        self._turn = 0

    def __call__(self, challenge: bytes | None = None) -> bytes:
        self._turn += 1
        if self._turn == 1:
            return self.first()
        if self._turn == 2:
            return self.final(challenge or b"")
        assert self.is_server(challenge or b"")
        return b""


@pytest.mark.usefixtures("server")
class ScramTests(TestCase):
    """The account has keys from its first login with a password on."""

    server: Server

    def setUp(self) -> None:
        client = self._imap()
        client.login(ANN, self.server.password)
        client.logout()

    def _imap(self) -> imaplib.IMAP4_SSL:
        client = imaplib.IMAP4_SSL("127.0.0.1", self.server.port(993), ssl_context=PLAIN_TEXT)
        self.addCleanup(client.sock.close)
        return client

    @staticmethod
    def _certificate(client: object) -> bytes:
        return client.getpeercert(binary_form=True)  # type: ignore[attr-defined,no-any-return]

    @acceptance("S134")
    def test_imap(self) -> None:
        self.assertIn("AUTH=SCRAM-SHA-256-PLUS", self._imap().capabilities)
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"):
            for password in ("wrong", self.server.password):
                client = self._imap()
                talk = Conversation(password, self._certificate(client.sock), plus=mechanism.endswith("PLUS"))
                if password == "wrong":
                    with self.assertRaisesRegex(imaplib.IMAP4.error, "AUTHENTICATIONFAILED"):
                        client.authenticate(mechanism, talk)
                else:
                    self.assertEqual(client.authenticate(mechanism, talk)[0], "OK")

    @acceptance("S134")
    def test_submission(self) -> None:
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"):
            with smtplib.SMTP("127.0.0.1", self.server.port(587), "client.example") as client:
                client.starttls(context=PLAIN_TEXT)
                client.ehlo()
                self.assertIn(mechanism, client.esmtp_features["auth"].split())
                talk = Conversation(
                    self.server.password, self._certificate(client.sock), plus=mechanism.endswith("PLUS")
                )

                def answer(challenge: bytes | None = None, talk: Conversation = talk) -> str:
                    return talk(challenge).decode()

                self.assertEqual(client.auth(mechanism, answer)[0], 235)

    @acceptance("S134")
    def test_pop3(self) -> None:
        client = poplib.POP3_SSL("127.0.0.1", self.server.port(995), context=PLAIN_TEXT)
        self.addCleanup(client.close)
        self.assertIn("SCRAM-SHA-256-PLUS", client.capa()["SASL"])
        talk = Conversation(self.server.password, self._certificate(client.sock), plus=True)
        reply = client._shortcmd("AUTH SCRAM-SHA-256-PLUS " + base64.b64encode(talk()).decode())
        while reply.startswith(b"+ "):
            answer = talk(base64.b64decode(reply[2:]))
            reply = client._shortcmd(base64.b64encode(answer).decode())
        self.assertEqual(reply[:3], b"+OK")
