"""The certificate and what is negotiated."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.tls import TlsSettings
from pymailsuite.errors import ConfigError
from pymailsuite.server.tls import (
    IMAP_TLS,
    CertificateFiles,
    ForeignProtocol,
    Renewal,
    ServerTls,
    TlsService,
    certificate_files,
    make_context,
    make_self_signed,
    read_pem,
)
from tests.acceptance import acceptance

_SHOWN = "the certificate was shown"


def _look(connection: SSL.Connection, *certificate: object) -> bool:
    connection.set_app_data(_SHOWN)
    return True


def client_context(maximum: int = 0, protocols: tuple[bytes, ...] = ()) -> SSL.Context:
    """What a client's connections are made from."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_verify(SSL.VERIFY_PEER, _look)
    if maximum:
        context.set_max_proto_version(maximum)
    if protocols:
        context.set_alpn_protos(list(protocols))
    return context


def handshake(
    server_context: SSL.Context,
    *,
    maximum: int = 0,
    context: SSL.Context | None = None,
    session: SSL.Session | None = None,
) -> SSL.Connection:
    """A client's connection after a handshake in memory; SSL.Error if they do not come together.

    ``session`` is of an earlier connection from the same ``context``, which the client asks to go on with. The
    ``app_data`` of the connection tell whether the certificate was shown: if it goes on with a session it is not.
    """
    server, client = SSL.Connection(server_context, None), SSL.Connection(context or client_context(maximum), None)
    server.set_accept_state()
    client.set_connect_state()
    if session is not None:
        client.set_session(session)
    for _ in range(6):
        for near, far in ((client, server), (server, client)):
            try:
                near.do_handshake()
            except SSL.WantReadError:
                pass
            try:
                far.bio_write(near.bio_read(65536))
            except SSL.WantReadError:
                pass
    client.do_handshake()
    try:
        client.recv(1)  # tickets of TLS 1.3 come behind the handshake
    except SSL.WantReadError:
        pass
    return client


class TlsCase(SynchronousTestCase):
    """Tests with a folder for certificates."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.files = CertificateFiles(self.folder / "certificate.pem", self.folder / "key.pem")

    def settings(self, **settings: object) -> TlsSettings:
        return TlsSettings.model_validate(settings)

    def context(self, **settings: object) -> SSL.Context:
        return make_context(self.settings(**settings), read_pem(self.files), TlsService(IMAP_TLS))


class SelfSignedTests(TlsCase):
    """A certificate of our own making."""

    def test_it_is_for_the_host_and_for_loopback(self) -> None:
        files = certificate_files(self.settings(), "mail.example.test", self.folder)
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["mail.example.test", "localhost"])
        self.assertEqual([str(ip) for ip in names.get_values_for_type(x509.IPAddress)], ["127.0.0.1", "::1"])

    def test_its_key_is_for_the_owner_alone(self) -> None:
        files = certificate_files(self.settings(), "mail.example.test", self.folder)
        self.assertEqual(files.private_key.stat().st_mode & 0o777, 0o600)

    def test_it_is_kept_from_start_to_start(self) -> None:
        files = certificate_files(self.settings(), "mail.example.test", self.folder)
        before = files.certificate.read_bytes()
        certificate_files(self.settings(), "mail.example.test", self.folder)
        self.assertEqual(files.certificate.read_bytes(), before)

    def test_it_is_made_anew_for_another_host_name(self) -> None:
        files = certificate_files(self.settings(), "mail.example.test", self.folder)
        before = files.certificate.read_bytes()
        certificate_files(self.settings(), "other.example.test", self.folder)
        self.assertNotEqual(files.certificate.read_bytes(), before)

    def test_a_name_beyond_ascii_becomes_an_a_label(self) -> None:
        files = certificate_files(self.settings(), "mail.bücher.test", self.folder)
        before = files.certificate.read_bytes()
        certificate_files(self.settings(), "mail.bücher.test", self.folder)
        self.assertEqual(files.certificate.read_bytes(), before)


class ContextTests(TlsCase):
    """What is negotiated."""

    def setUp(self) -> None:
        super().setUp()
        make_self_signed(self.files, ["mail.example.test"])

    @acceptance("S189")
    def test_tls_1_3_and_1_2_are_spoken_and_nothing_older(self) -> None:
        context = self.context()
        self.assertEqual(handshake(context).get_protocol_version_name(), "TLSv1.3")
        self.assertEqual(handshake(context, maximum=SSL.TLS1_2_VERSION).get_protocol_version_name(), "TLSv1.2")
        for old in (SSL.TLS1_1_VERSION, SSL.TLS1_VERSION):
            with self.assertRaises(SSL.Error):
                handshake(context, maximum=old)

    @acceptance("S189")
    def test_the_least_version_can_be_raised(self) -> None:
        context = self.context(minimum="1.3")
        self.assertEqual(handshake(context).get_protocol_version_name(), "TLSv1.3")
        with self.assertRaises(SSL.Error):
            handshake(context, maximum=SSL.TLS1_2_VERSION)

    @acceptance("S189")
    def test_ciphers_can_be_chosen(self) -> None:
        context = self.context(ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")
        client = handshake(context, maximum=SSL.TLS1_2_VERSION)
        self.assertEqual(client.get_cipher_name(), "ECDHE-ECDSA-AES256-GCM-SHA384")

    def test_the_chain_is_sent(self) -> None:
        other = CertificateFiles(self.folder / "intermediate.pem", self.folder / "unused.pem")
        make_self_signed(other, ["intermediate.test"])
        self.files.certificate.write_bytes(self.files.certificate.read_bytes() + other.certificate.read_bytes())
        client = handshake(self.context())
        subjects = [certificate.get_subject().CN for certificate in client.get_peer_cert_chain() or []]
        self.assertEqual(subjects, ["mail.example.test", "intermediate.test"])


class ApplicationProtocolTests(TlsCase):
    """ALPN: a service speaks its own protocols and no other. Source: RFC 7301 §3.2."""

    def setUp(self) -> None:
        super().setUp()
        make_self_signed(self.files, ["mail.example.test"])

    def test_a_client_that_asks_for_ours_gets_it(self) -> None:
        for protocols in ((b"imap",), (b"h2", b"imap"), (b"imap", b"pop3")):
            with self.subTest(protocols=protocols):
                client = handshake(self.context(), context=client_context(protocols=protocols))
                self.assertEqual(client.get_alpn_proto_negotiated(), b"imap")

    def test_a_client_that_asks_for_none_is_served(self) -> None:
        self.assertEqual(handshake(self.context()).get_alpn_proto_negotiated(), b"")

    def test_a_client_that_asks_for_others_is_refused(self) -> None:
        for maximum in (0, SSL.TLS1_2_VERSION):
            with self.subTest(maximum=maximum), self.assertRaises(ForeignProtocol):
                handshake(self.context(), context=client_context(maximum, (b"http/1.1", b"h2")))


class FaultTests(TlsCase):
    """Files that cannot be used are named with their setting."""

    def fault(self, settings: TlsSettings) -> str:
        with self.assertRaises(ConfigError) as caught:
            files = certificate_files(settings, "mail.example.test", self.folder)
            make_context(settings, read_pem(files), TlsService(IMAP_TLS))
        return caught.exception.public

    def test_a_missing_certificate(self) -> None:
        missing = self.folder / "missing.pem"
        self.assertEqual(
            self.fault(self.settings(certificate=missing)), f"tls.certificate: {missing}: No such file or directory"
        )

    def test_a_file_without_a_certificate(self) -> None:
        make_self_signed(self.files, ["a.test"])
        fault = self.fault(self.settings(certificate=self.files.private_key))
        self.assertEqual(fault, f"tls.certificate: no PEM certificate in {self.files.private_key}")

    def test_a_file_without_a_key(self) -> None:
        make_self_signed(self.files, ["a.test"])
        fault = self.fault(self.settings(certificate=self.files.certificate))
        self.assertEqual(fault, f"tls.private_key: no usable PEM private key in {self.files.certificate}")

    def test_the_key_of_another_certificate(self) -> None:
        make_self_signed(self.files, ["a.test"])
        other = CertificateFiles(self.folder / "c.pem", self.folder / "k.pem")
        make_self_signed(other, ["b.test"])
        fault = self.fault(self.settings(certificate=self.files.certificate, private_key=other.private_key))
        self.assertIn("is not the key of", fault)

    def test_ciphers_nobody_knows(self) -> None:
        self.assertEqual(self.fault(self.settings(ciphers="ROT13")), "tls.ciphers: OpenSSL knows none of 'ROT13'")


class RenewalTests(TlsCase):
    """A certificate is renewed while the server runs."""

    def setUp(self) -> None:
        super().setUp()
        make_self_signed(self.files, ["old.test"])
        self.now = 0.0
        self.server_tls = ServerTls(self.settings(), self.files, lambda: self.now)
        self.tls = self.server_tls.for_service(IMAP_TLS)

    def subject(self) -> str:
        certificate = handshake(self.tls.context()).get_peer_certificate()
        assert certificate is not None
        return str(certificate.get_subject().CN)

    def change_files(self, octets: bytes | None = None) -> None:
        make_self_signed(self.files, ["new.test"])
        if octets is not None:
            self.files.certificate.write_bytes(octets)
        os.utime(self.files.certificate, (1, 1))

    def test_it_is_what_twisted_asks_for(self) -> None:
        verifyObject(IOpenSSLServerConnectionCreator, self.tls)
        self.assertIsInstance(self.tls.serverConnectionForTLS(None), SSL.Connection)

    def test_new_files_are_in_use_within_a_minute(self) -> None:
        self.change_files()
        self.assertEqual(self.subject(), "old.test")
        self.now = 61.0
        self.assertEqual(self.subject(), "new.test")

    def test_files_that_cannot_be_used_change_nothing(self) -> None:
        self.change_files(b"half a certif")
        self.now = 61.0
        self.assertEqual(self.subject(), "old.test")

    def test_files_that_could_not_be_used_are_read_again(self) -> None:
        self.change_files()
        self.files.private_key.rename(self.folder / "elsewhere.pem")
        self.assertIs(self.server_tls.renew(), Renewal.FAILED)
        self.assertEqual(self.subject(), "old.test")
        (self.folder / "elsewhere.pem").rename(self.files.private_key)
        self.now = 61.0
        self.assertEqual(self.subject(), "new.test")
        self.assertIs(self.server_tls.renew(), Renewal.UNCHANGED)

    def test_a_lasting_fault_is_told_once(self) -> None:
        self.change_files(b"half a certif")
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertIs(self.server_tls.renew(), Renewal.FAILED)
        self.assertEqual([event["event"] for event in logs], ["tls.renewal_failed"])


class ResumptionTests(TlsCase):
    """A client that comes back."""

    def setUp(self) -> None:
        super().setUp()
        make_self_signed(self.files, ["mail.example.test"])

    def is_resumed(self, first: SSL.Context, then: SSL.Context, maximum: int) -> bool:
        """Whether what a client has of one service spares it the handshake with the next."""
        context = client_context(maximum)
        before = handshake(first, context=context)  # kept, or its session is given up
        again = handshake(then, context=context, session=before.get_session())
        return again.get_app_data() != _SHOWN

    def test_it_goes_on_at_the_service_that_it_knows_and_at_no_other(self) -> None:
        tls = ServerTls(self.settings(), self.files, lambda: 0.0)
        imap, *others = (tls.for_service((name,)).context() for name in (b"imap", b"pop3", b"smtp", b"http/1.1"))
        for maximum in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            self.assertTrue(self.is_resumed(imap, imap, maximum))
            for other in others:
                self.assertFalse(self.is_resumed(imap, other, maximum))

    def test_a_service_may_do_without_and_so_may_all(self) -> None:
        without = ServerTls(self.settings(), self.files, lambda: 0.0).for_service(IMAP_TLS, session_tickets=False)
        all_without = ServerTls(self.settings(session_tickets=False), self.files, lambda: 0.0).for_service(IMAP_TLS)
        for maximum in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            for tls in (without, all_without):
                self.assertFalse(self.is_resumed(tls.context(), tls.context(), maximum))
