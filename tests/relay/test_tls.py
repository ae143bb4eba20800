"""Opportunistic TLS over real sockets on loopback."""

from __future__ import annotations

import datetime
import hashlib
from base64 import b64encode
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor, ssl
from twisted.internet.defer import succeed
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import TestCase

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces import Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.relay.relay import Relay
from pymailsuite.values import Address, ContentId, QueueId
from tests.support.smtp_sink import CLOSE, NO_TLS, SinkProtocol, SmtpSink

LOGIN = {"relayhost": "b.example", "relayhost_login": "me", "relayhost_password": "secret"}
HELLO = b"Subject: hello\r\n\r\nWorld\r\n"


class Authority:
    """Makes certificates, and is to be believed or not."""

    def __init__(self, name: str = "authority.example") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder_for(self.name, self.name, self.key).add_extension(constraints, critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def options(self, *names: str, days: int = 1) -> tuple[ssl.CertificateOptions, str]:
        """A certificate for host names and addresses, and the SHA-256 of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host")])
        general = [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        builder = builder_for(self.name, subject, key, days)
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return options_of(builder.sign(self.key, hashes.SHA256()), key), hashlib.sha256(der).hexdigest()


def builder_for(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    began, ends = now - datetime.timedelta(days=2), now + datetime.timedelta(days=days)
    serial = x509.random_serial_number()
    return x509.CertificateBuilder(issuer, subject, key.public_key(), serial, began, ends)


def options_of(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.CertificateOptions:
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ssl.PrivateCertificate.loadPEM(pem).options()


def self_signed() -> ssl.CertificateOptions:
    """A certificate nobody could verify, as most mail hosts have."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone-else.example")])
    return options_of(builder_for(name, name, key).sign(key, hashes.SHA256()), key)


class TlsTests(TestCase):
    timeout = 120

    def relay_to(self, sink: SmtpSink, by_address: bool = False, **options: Any) -> Relay:
        port = reactor.listenTCP(0, sink, interface="127.0.0.1")
        if by_address:
            options["relayhost"] = f"[127.0.0.1]:{port.getHost().port}"
        self.addCleanup(port.stopListening)
        resolver = FakeResolver(mx={"b.example": [(10, "mx.b.example")]}, a={"mx.b.example": ["127.0.0.1"]})
        settings = RelaySettings(port=port.getHost().port, ports={"mx.b.example": port.getHost().port}, **options)
        relay = Relay(settings, "us.example", resolver, lambda *_: succeed(HELLO), reactor)
        self.addCleanup(relay.close)
        return relay

    async def attempt(self, relay: Relay) -> Outcome:
        recipient = QueuedRecipient(0, Address("bob", "b.example"), "b.example")
        sender = Address("alice", "a.example")
        entry = QueueEntry(QueueId("Q1"), ContentId(1), len(HELLO), 18, sender, (recipient,), 0.0)
        (outcome,) = await relay.attempt(entry, "b.example", entry.recipients)
        return outcome

    async def test_tls_is_used_where_offered_whatever_the_certificate(self) -> None:
        sink = SmtpSink(reactor, tls=self_signed())
        relay = self.relay_to(sink)
        for _ in range(2):
            self.assertEqual((await self.attempt(relay)).state, RecipientState.DELIVERED)
        self.assertEqual([(message.tls, message.content) for message in sink.messages], [(True, HELLO)] * 2)
        self.assertEqual(sink.connections, 1)

    async def test_a_failed_handshake_is_tried_again_without_tls_and_remembered(self) -> None:
        sink = SmtpSink(reactor, tls=NO_TLS)
        relay = self.relay_to(sink)
        self.assertEqual((await self.attempt(relay)).state, RecipientState.DELIVERED)
        self.assertEqual((sink.messages[0].tls, sink.connections), (False, 2))
        self.assertEqual(sink.commands.count("STARTTLS"), 1)

    async def test_the_fallback_can_be_forbidden(self) -> None:
        for options in ({"tls_fallback": False}, {"tls": "required"}):
            sink = SmtpSink(reactor, tls=NO_TLS)
            outcome = await self.attempt(self.relay_to(sink, **options))
            self.assertEqual(outcome.state, RecipientState.DELAYED)
            self.assertEqual(sink.messages, [])

    async def test_replies_sent_in_the_clear_after_starttls_are_thrown_away(self) -> None:
        sink = SmtpSink(reactor, tls=self_signed())
        sink.script["STARTTLS"] = ["220 go\r\n250-injected\r\n250 AUTH PLAIN"]
        relay = self.relay_to(sink)
        outcome = await self.attempt(relay)
        # The octets of both may come in one packet or in two; in neither case are they believed.
        self.assertEqual(outcome.state, RecipientState.DELIVERED)

    async def test_the_relayhost_is_logged_in_to_over_tls_only(self) -> None:
        for tls in ("opportunistic", "required", "off"):
            plain = SmtpSink(reactor, extensions=["AUTH PLAIN"])
            self.assertEqual((await self.attempt(self.relay_to(plain, tls=tls, **LOGIN))).state, RecipientState.DELAYED)
            self.assertNotIn("AUTH", " ".join(plain.commands))

    def authority(self) -> tuple[Authority, str]:
        authority = Authority()
        file = Path(self.mktemp())
        file.write_bytes(authority.certificate)
        return authority, str(file)

    async def outcome_with(self, tls: Any, **options: Any) -> tuple[RecipientState, str]:
        """What became of a message, and what was wrong; the password must not have been told if it was not sent."""
        sink = SmtpSink(reactor, extensions=["AUTH PLAIN"], tls=tls)
        outcome = await self.attempt(self.relay_to(sink, **{**LOGIN, **options}))
        told = any(command.startswith("AUTH") for command in sink.commands)
        self.assertEqual(told, outcome.state is RecipientState.DELIVERED)
        return outcome.state, outcome.reply

    async def test_a_password_is_told_only_to_a_host_that_has_proved_its_name(self) -> None:
        authority, ca = self.authority()
        stranger, impostor = Authority("stranger.example"), Authority()
        for names, options in (
            (("b.example",), {}),
            (("mx.b.example",), {}),
            (("*.b.example",), {}),
            (("smart.example",), {"relayhost_name": "smart.example"}),
        ):
            tls, _ = authority.options(*names)
            self.assertEqual((await self.outcome_with(tls, relayhost_ca=ca, **options))[0], RecipientState.DELIVERED)
        for issuer, names, days, why in (
            (stranger, ("b.example",), 1, "nobody we believe"),
            (impostor, ("b.example",), 1, "its signature is wrong"),
            (authority, ("a.example",), 1, "not for b.example"),
            (authority, ("b.example",), -1, "expired"),
        ):
            tls, _ = issuer.options(*names, days=days)
            state, reply = await self.outcome_with(tls, relayhost_ca=ca)
            self.assertEqual(state, RecipientState.DELAYED)
            self.assertIn(why, reply)
        tls, _ = authority.options("b.example")
        state, reply = await self.outcome_with(tls)
        self.assertIn("nobody we believe", reply)
        state, reply = await self.outcome_with(tls, relayhost_ca=ca, relayhost_name="smart.example")
        self.assertIn("not for smart.example", reply)
        state, reply = await self.outcome_with(self_signed())
        self.assertIn("signed by itself", reply)

    async def test_a_relayhost_named_by_its_address_proves_the_address(self) -> None:
        authority, ca = self.authority()
        for name, state in (("127.0.0.1", RecipientState.DELIVERED), ("127.0.0.2", RecipientState.DELAYED)):
            tls, _ = authority.options(name)
            sink = SmtpSink(reactor, extensions=["AUTH PLAIN"], tls=tls)
            relay = self.relay_to(sink, by_address=True, **{**LOGIN, "relayhost_ca": ca})
            self.assertEqual((await self.attempt(relay)).state, state)

    async def test_a_key_that_the_settings_name_proves_whatever_the_certificate_says(self) -> None:
        tls, key = Authority().options("nobody.example", days=-1)
        encoded = b64encode(bytes.fromhex(key)).decode()
        for keys, state in (
            ([key], RecipientState.DELIVERED),
            (["0" * 64, f"sha256//{encoded}"], RecipientState.DELIVERED),
            (["0" * 64], RecipientState.DELAYED),
        ):
            self.assertEqual((await self.outcome_with(tls, relayhost_keys=keys))[0], state)

    def test_authorities_that_cannot_be_read_are_an_error_of_the_settings(self) -> None:
        nonsense = Path(self.mktemp())
        nonsense.write_text("no certificate\n", encoding="utf-8")
        for file in (nonsense, Path("/nonexistent/ca.pem")):
            settings = RelaySettings(**LOGIN, relayhost_ca=file)
            with self.assertRaisesRegex(ConfigError, "relay.relayhost_ca"):
                Relay(settings, "us.example", FakeResolver(), lambda *_: succeed(HELLO), reactor)

    async def test_it_can_be_said_that_nothing_need_be_proved_and_that_all_must(self) -> None:
        self.assertEqual(
            (await self.outcome_with(self_signed(), relayhost_verify="never"))[0], RecipientState.DELIVERED
        )
        sink = SmtpSink(reactor, tls=self_signed())
        for verify, state in (("login", RecipientState.DELIVERED), ("always", RecipientState.DELAYED)):
            relay = self.relay_to(sink, relayhost="b.example", relayhost_verify=verify)
            self.assertEqual((await self.attempt(relay)).state, state, verify)
        plain = SmtpSink(reactor)
        relay = self.relay_to(plain, relayhost="b.example", relayhost_verify="always")
        self.assertEqual((await self.attempt(relay)).state, RecipientState.DELAYED)

    async def test_a_handshake_that_drips_in_has_an_end(self) -> None:
        class Dripping(SmtpSink):
            def buildProtocol(self, addr: Any) -> SinkProtocol:
                made = super().buildProtocol(addr)
                made.dataReceived = partial(self.drip, made, made.dataReceived)  # type: ignore[method-assign]
                return made

            def drip(self, protocol: SinkProtocol, received: Any, octets: bytes) -> None:
                if not protocol.secure:
                    received(octets)
                    return
                # A record that is said to be long, and comes octet by octet.
                record = iter(b"\x16\x03\x03\x3f\xff\x02" + bytes(10_000))
                dripping = LoopingCall(lambda: protocol.transport.write(bytes([next(record)])))
                dripping.start(0.01)
                lost = protocol.connectionLost

                def connection_lost(*args: Any) -> None:
                    dripping.stop()
                    lost(*args)

                protocol.connectionLost = connection_lost  # type: ignore[method-assign]
                protocol.dataReceived = lambda data: None  # type: ignore[method-assign]

        sink = Dripping(reactor, tls=NO_TLS)
        relay = self.relay_to(sink, command_timeout=0.3, tls="required")
        outcome = await self.attempt(relay)
        self.assertEqual((outcome.state, outcome.status), (RecipientState.DELAYED, "4.4.2"))

    async def test_a_host_that_closes_on_starttls_delays_the_message(self) -> None:
        sink = SmtpSink(reactor, extensions=["STARTTLS"], script={"STARTTLS": CLOSE})
        outcome = await self.attempt(self.relay_to(sink))
        self.assertEqual(outcome.state, RecipientState.DELAYED)
