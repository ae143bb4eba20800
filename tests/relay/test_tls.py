"""Opportunistic TLS over real sockets on loopback."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor, ssl
from twisted.internet.defer import succeed
from twisted.trial.unittest import TestCase

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces import Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.relay.relay import Relay
from pymailsuite.values import Address, ContentId, QueueId
from tests.support.smtp_sink import CLOSE, NO_TLS, SmtpSink

HELLO = b"Subject: hello\r\n\r\nWorld\r\n"


def self_signed() -> ssl.CertificateOptions:
    """A certificate nobody could verify, as most mail hosts have."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone-else.example")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ssl.PrivateCertificate.loadPEM(pem).options()


class TlsTests(TestCase):
    timeout = 120

    def relay_to(self, sink: SmtpSink, **options: Any) -> Relay:
        port = reactor.listenTCP(0, sink, interface="127.0.0.1")
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
            self.assertEqual(outcome.state, RecipientState.WAITING)
            self.assertEqual(sink.messages, [])

    async def test_replies_sent_in_the_clear_after_starttls_are_thrown_away(self) -> None:
        sink = SmtpSink(reactor, tls=self_signed())
        sink.script["STARTTLS"] = ["220 go\r\n250-injected\r\n250 AUTH PLAIN"]
        relay = self.relay_to(sink)
        outcome = await self.attempt(relay)
        # The octets of both may come in one packet or in two; in neither case are they believed.
        self.assertEqual(outcome.state, RecipientState.DELIVERED)

    async def test_the_relayhost_is_logged_in_to_over_tls_only(self) -> None:
        sink = SmtpSink(reactor, extensions=["AUTH PLAIN"], tls=self_signed())
        relay = self.relay_to(sink, relayhost="b.example", relayhost_login="me", relayhost_password="secret")
        self.assertEqual((await self.attempt(relay)).state, RecipientState.DELIVERED)
        self.assertIn("AUTH PLAIN AG1lAHNlY3JldA==", sink.commands)
        plain = SmtpSink(reactor, extensions=["AUTH PLAIN"])
        relay = self.relay_to(plain, relayhost="b.example", relayhost_login="me", relayhost_password="secret")
        self.assertEqual((await self.attempt(relay)).state, RecipientState.WAITING)
        self.assertNotIn("AUTH", " ".join(plain.commands))

    async def test_a_host_that_closes_on_starttls_delays_the_message(self) -> None:
        sink = SmtpSink(reactor, extensions=["STARTTLS"], script={"STARTTLS": CLOSE})
        outcome = await self.attempt(self.relay_to(sink))
        self.assertEqual(outcome.state, RecipientState.WAITING)
