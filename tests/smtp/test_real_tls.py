"""STARTTLS over real sockets and real TLS: what is sent in its packet, before and after."""

import datetime
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from pymailsuite.sasl import mechanisms
from pymailsuite.smtp.factory import SmtpFactory
from tests.acceptance import acceptance
from tests.smtp.conversations import HOST, USERS
from tests.support.cred import make_portal
from tests.support.intake import RecordingIntake, TableResolver


def certificate():
    """A self-signed certificate for a moment."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return PrivateCertificate.loadPEM(pem)


class Client:
    """A blocking client in a thread."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.lines = self.socket.makefile("rb")

    def send(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        """The last line of the next reply; empty if the connection ended."""
        while (line := self.lines.readline())[3:4] == b"-":
            pass
        return line.decode().rstrip("\r\n")

    def secure(self):
        """Go on with TLS."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)
        self.lines = self.socket.makefile("rb")

    def close(self):
        self.lines.close()
        self.socket.close()


class RealTlsTests(TestCase):
    """On loopback, port 0."""

    timeout = 120

    def listen(self, settings, implicit=False):
        """A server on a free port; its number."""
        self.resolver = TableResolver(*USERS)
        self.intake = RecordingIntake()
        context = certificate().options()
        self.factory = SmtpFactory(
            settings,
            HOST,
            self.resolver,
            self.intake,
            reactor,
            portal=make_portal({"alice@mail.example": "secret"}),
            mechanisms=mechanisms,
            tls_context=context,
        )
        factory = TLSMemoryBIOFactory(context, False, self.factory) if implicit else self.factory
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port.getHost().port

    def play(self, script, *arguments):
        """Run the client's part in a thread; fires once the server has seen the connections end."""
        ended = Deferred()

        def wait_for_end(result):
            if self.factory.connections:
                reactor.callLater(0.01, wait_for_end, result)
            else:
                ended.callback(result)

        deferToThread(script, *arguments).addCallbacks(wait_for_end, ended.errback)
        return ended

    @acceptance("S189")
    def test_commands_in_the_packet_of_starttls_are_not_executed_after_the_handshake(self):
        def script(port):
            client = Client(port)
            heard = [client.reply()]
            client.send(b"EHLO client.example\r\n")
            heard.append(client.reply())
            client.send(b"STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@client.example>\r\n")
            heard.append(client.reply())
            client.secure()
            client.send(b"NOOP\r\n")
            heard.append(client.reply())
            client.send(b"MAIL FROM:<a@client.example>\r\n")
            heard.append(client.reply())
            client.send(
                b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<alice@mail.example>\r\nDATA\r\n"
            )
            heard += [client.reply() for _ in range(4)]
            client.send(b"text\r\n.\r\nQUIT\r\n")
            heard += [client.reply() for _ in range(3)]
            client.close()
            return [line[:3] for line in heard]

        def check(codes):
            self.assertEqual(codes, ["220", "250", "220", "250", "503", "250", "250", "250", "354", "250", "221", ""])
            [message] = self.intake.committed
            self.assertRegex(message.peer.tls, r"\ATLSv1\.3 TLS_\w+\Z")
            self.assertEqual(str(message.envelope.reverse_path), "a@client.example")

        return self.play(script, self.listen(SmtpMxSettings())).addCallback(check)

    @acceptance("S003")
    def test_implicit_tls_says_nothing_before_the_handshake(self):
        def script(port):
            client = Client(port)
            client.socket.settimeout(0.2)
            early = b""
            try:
                early = client.socket.recv(1)
            except TimeoutError:
                client.socket.settimeout(10)
            client.secure()
            heard = [client.reply()]
            client.send(b"EHLO client.example\r\nAUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQBzZWNyZXQ=\r\nQUIT\r\n")
            heard += [client.reply()[:3] for _ in range(4)]
            client.close()
            return early, heard

        def check(result):
            early, heard = result
            self.assertEqual(early, b"")
            self.assertEqual(heard, ["220 mail.example ESMTP ready", "250", "235", "221", ""])

        return self.play(script, self.listen(SubmissionSettings(), implicit=True)).addCallback(check)

    def test_a_client_that_shuts_down_its_side_gets_its_answers(self):
        def script(port):
            client = Client(port)
            client.send(
                b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<alice@mail.example>\r\nDATA\r\n"
                b"text\r\n.\r\n"
            )
            client.socket.shutdown(socket.SHUT_WR)
            heard = [client.reply()[:3] for _ in range(7)]
            client.close()
            return heard

        def check(heard):
            self.assertEqual(heard, ["220", "250", "250", "250", "354", "250", ""])
            self.assertEqual(len(self.intake.committed), 1)

        return self.play(script, self.listen(SmtpMxSettings())).addCallback(check)

    @acceptance("S208")
    def test_ten_megabytes_over_tls_pass_whole(self):
        text = b"".join(b"%06d line of a long message with some text in it\r\n" % number for number in range(200_000))

        def script(port):
            client = Client(port)
            client.send(b"EHLO client.example\r\nSTARTTLS\r\n")
            [client.reply() for _ in range(3)]
            client.secure()
            client.send(b"EHLO x\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<alice@mail.example>\r\nDATA\r\n")
            [client.reply() for _ in range(4)]
            client.send(text + b".\r\n")
            answer = client.reply()
            client.send(b"QUIT\r\n")
            client.reply()
            client.close()
            return answer[:3]

        def check(code):
            self.assertEqual(code, "250")
            self.assertEqual(self.intake.committed[0].octets, text)

        return self.play(script, self.listen(SmtpMxSettings())).addCallback(check)
