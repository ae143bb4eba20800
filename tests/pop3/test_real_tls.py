"""STLS and implicit TLS over real sockets, with the standard library's client."""

import poplib
import socket
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from pymailsuite.config.sections.pop3 import Pop3Settings
from pymailsuite.config.sections.tls import TlsSettings
from pymailsuite.pop3 import Pop3Factory
from pymailsuite.server.tls import POP3_TLS, ServerTls, certificate_files
from tests.acceptance import acceptance
from tests.pop3.support import HOST, MESSAGES, PASSWORDS, World
from tests.pop3.test_reading import message

_TIMEOUT_S = 20


def _unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _download(client):
    """Log in and take everything; the octets of each message, and what QUIT said."""
    ((login_name, password), *_) = PASSWORDS.items()
    client.user(login_name)
    client.pass_(password)
    count, _ = client.stat()
    messages = [b"\r\n".join(client.retr(number)[1]) + b"\r\n" for number in range(1, count + 1)]
    client.dele(1)
    return messages, client.quit()


def _download_after_stls(port):
    client = poplib.POP3("127.0.0.1", port, timeout=_TIMEOUT_S)
    assert "STLS" in client.capa() and "USER" not in client.capa()
    client.stls(_unverified())
    assert "STLS" not in client.capa() and "USER" in client.capa()
    return _download(client)


def _download_by_implicit_tls(port):
    return _download(poplib.POP3_SSL("127.0.0.1", port, timeout=_TIMEOUT_S, context=_unverified()))


def _inject(port):
    """Commands in the packet of STLS; what is answered to NOOP within TLS."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as plain:
        with plain.makefile("rb") as lines:
            lines.readline()
            plain.sendall(b"STLS\r\nUSER alice@mail.example\r\nPASS wonderland\r\nDELE 1\r\nQUIT\r\n")
            reply = lines.readline()
        with _unverified().wrap_socket(plain) as secure:
            secure.sendall(b"NOOP\r\n")
            return reply, secure.recv(1000)


class RealTlsTests(TestCase):
    def setUp(self):
        self.messages = [MESSAGES["one"], MESSAGES["dots"], message(3, 900_000)]
        world = World(*self.messages)
        tls = TlsSettings()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server_tls = ServerTls(tls, certificate_files(tls, HOST, Path(folder.name)), reactor.seconds)
        options = server_tls.for_service(POP3_TLS)
        self.world = world
        factory = Pop3Factory(Pop3Settings(), HOST, world.portal, reactor, world.store.state, tls_context=options)
        self.pop3 = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.pop3s = reactor.listenTCP(0, TLSMemoryBIOFactory(options, False, factory), interface="127.0.0.1")
        for port in (self.pop3, self.pop3s):
            self.addCleanup(port.stopListening)

    @acceptance("S138", "S189")
    async def test_mail_is_downloaded_after_stls_and_by_implicit_tls(self):
        for download, listener in ((_download_after_stls, self.pop3), (_download_by_implicit_tls, self.pop3s)):
            messages, farewell = await deferToThread(download, listener.getHost().port)
            self.assertEqual(messages, self.messages)
            self.messages = self.messages[1:]
            self.assertIn(b"messages left)" if len(self.messages) > 1 else b"1 message left)", farewell)
        self.assertEqual(self.world.mailbox.messages, 1)

    @acceptance("S189")
    async def test_what_came_with_stls_is_not_executed_within_tls(self):
        reply, within = await deferToThread(_inject, self.pop3.getHost().port)
        self.assertEqual(reply, b"+OK begin TLS negotiation\r\n")
        self.assertEqual(within, b"-ERR log in first\r\n")
        self.assertEqual(self.world.portal.checker.asked, [])
        self.assertEqual(self.world.mailbox.messages, 3)
