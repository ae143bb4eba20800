"""SMTP conversations for transcripts and tests: the core alone, and the whole protocol on a fake transport."""

from __future__ import annotations

import tomllib
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from pymailsuite.config.sections.smtp import SmtpMxSettings, SmtpSettings, SubmissionSettings
from pymailsuite.errors import LoginRefused, MailError
from pymailsuite.interfaces import Account
from pymailsuite.sasl import mechanisms
from pymailsuite.smtp.extensions import OURS
from pymailsuite.smtp.factory import SmtpFactory
from pymailsuite.smtp.help import load_help
from pymailsuite.smtp.receiver import CommandLine, EndOfText, LineRefused, SmtpReceiver, Text, TextRefused
from pymailsuite.smtp.requests import (
    BeginMessage,
    BeginTls,
    CommitMessage,
    HoldBack,
    LogIn,
    ResolveRecipient,
    Service,
    SkipOctets,
)
from pymailsuite.smtp.session import SmtpSession
from pymailsuite.values import AccountId, Peer
from pymailsuite.wire.addresses import in_networks, may_send_passwords
from pymailsuite.wire.proxied import ProxiedFactory, ProxyRules
from tests.support.cred import make_portal
from tests.support.intake import RecordingIntake, TableResolver
from tests.support.transcripts import Transcript

HOST = "mail.example"
USERS = ("alice@mail.example", "bob@mail.example", "postmaster@mail.example")
PASSWORD = "secret"


class FakeTransport(StringTransport):
    """Remembers each write, knows of TLS and of connections cut, and closes at once."""

    protocol: Any = None

    def __init__(self, ip: str = "192.0.2.7") -> None:
        super().__init__(peerAddress=IPv4Address("TCP", ip, 2525))
        self.writes: list[bytes] = []
        self.tls_contexts: list[Any] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        """One segment."""
        self.writes.append(data)
        super().write(data)

    def startTLS(self, context: Any, normal: bool = True) -> None:
        """Remembered; octets stay as they are."""
        self.tls_contexts.append(context)

    def getHandle(self) -> Any:
        """A connection that has a cipher."""
        return self

    def get_cipher_name(self) -> str:
        """As OpenSSL would say."""
        return "TLS_AES_256_GCM_SHA384"

    def get_protocol_version_name(self) -> str:
        """As OpenSSL would say."""
        return "TLSv1.3"

    def abortConnection(self) -> None:
        """Remembered."""
        self.aborted = True
        super().abortConnection()

    def take(self) -> bytes:
        """What was written since the last call."""
        octets: bytes = self.value()
        self.clear()
        return octets


class Server:
    """A factory and what is around it; ``connect`` gives protocols on fake transports."""

    def __init__(
        self,
        settings: SmtpSettings | None = None,
        *,
        tls: bool = True,
        clock: Clock | None = None,
        resolver: Any = None,
        intake: Any = None,
        **more: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.settings = settings or SmtpMxSettings()
        self.resolver = resolver or TableResolver(*USERS)
        self.intake = intake or RecordingIntake()
        self.portal = make_portal({"alice@mail.example": PASSWORD})
        self.factory = SmtpFactory(
            self.settings,
            HOST,
            self.resolver,
            self.intake,
            self.clock,
            portal=self.portal,
            mechanisms=mechanisms,
            tls_context="the context" if tls else None,
            **more,
        )
        proxies = getattr(self.settings, "proxy_protocol", ())
        rules = ProxyRules(lambda ip: in_networks(ip, proxies), required=False, timeout_s=5.0)
        self.entrance = ProxiedFactory(self.factory, rules, self.clock, lambda ip, why: None)

    def connect(self, ip: str = "192.0.2.7", secure: bool = False) -> WireConversation:
        """A new connection."""
        return WireConversation(self, ip, secure)


class WireConversation:
    """A connection through the protocol."""

    def __init__(self, server: Server, ip: str = "192.0.2.7", secure: bool = False) -> None:
        self.server = server
        self.transport = FakeTransport(ip)
        self.transport.protocol = server.entrance.buildProtocol(IPv4Address("TCP", ip, 2525))
        self.protocol.makeConnection(self.transport)
        if secure:
            self.protocol.handshakeCompleted()

    @property
    def protocol(self) -> Any:
        """What the transport gives its octets to."""
        return self.transport.protocol

    def receive(self, octets: bytes) -> None:
        """From the peer."""
        self.protocol.dataReceived(octets)
        self.server.clock.advance(0)  # the turns of a reactor

    def output(self) -> bytes:
        """To the peer."""
        return self.transport.take()

    def ended(self) -> bool:
        """Closed or cut."""
        return bool(self.transport.disconnecting or self.transport.aborted)

    def act(self, name: str, argument: str) -> None:
        """``advance SECONDS``, ``tls`` (the handshake is done)."""
        if name == "advance":
            self.server.clock.advance(float(argument))
        elif name == "tls":
            self.protocol.handshakeCompleted()
        else:
            raise ValueError(name)

    def say(self, *lines: str) -> str:
        """Send the lines as one piece; what was answered."""
        self.receive("".join(line + "\r\n" for line in lines).encode())
        return self.output().decode()

    def lose(self) -> None:
        """The connection is gone."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


class CoreConversation:
    """Receiver and session alone; requests are answered at once, held-back answers after ``advance``."""

    def __init__(self, settings: SmtpSettings, ip: str, secure: bool) -> None:
        service = Service(
            settings=settings,
            hostname=HOST,
            help_topics=load_help(None, commands=OURS.commands.values()),
            submission=isinstance(settings, SubmissionSettings),
            tls_available=True,
            mechanisms=mechanisms,
            extensions=OURS,
        )
        loopback = ip.startswith("127.")
        plaintext_login = may_send_passwords(ip, settings.plaintext_login)
        self.session = SmtpSession(service, Peer(ip=ip, port=2525, trusted=loopback), secure, plaintext_login)
        self.receiver = SmtpReceiver(self.session.line_limit)
        self.resolver = TableResolver(*USERS)
        self.intake = RecordingIntake()
        self.message: Any = None
        self._held_back_s: float | None = None
        self.session.greet()

    def receive(self, octets: bytes) -> None:
        """From the peer."""
        self.receiver.receive(octets)
        self._run()

    def output(self) -> bytes:
        """To the peer."""
        replies, self.session.outgoing = self.session.outgoing, []
        return b"".join(replies)

    def ended(self) -> bool:
        """The session wants the connection closed."""
        return self.session.ended

    def act(self, name: str, argument: str) -> None:
        """As of the protocol's; the core has no clock but for held-back answers."""
        if name == "advance":
            if self._held_back_s is not None and float(argument) >= self._held_back_s:
                self._held_back_s = None
                self.session.held_back()
                self._run()
        elif name == "tls":
            self.session.secured("TLSv1.3 TLS_AES_256_GCM_SHA384")
        else:
            raise ValueError(name)

    def _run(self) -> None:
        while not self.session.ended and self._held_back_s is None:
            event = self.receiver.next_event()
            if event is None:
                return
            request: Any = None
            if isinstance(event, CommandLine):
                request = self.session.line_received(event.line)
            elif isinstance(event, LineRefused):
                self.session.line_refused(event.error)
            elif isinstance(event, Text):
                self.message.write(event.octets)
            elif isinstance(event, TextRefused):
                self.message.abort()
            elif isinstance(event, EndOfText):
                request = self.session.text_ended(event)
            while request is not None:
                request = self._perform(request)

    def _perform(self, request: Any) -> Any:
        session = self.session
        if isinstance(request, ResolveRecipient):
            return self._resolve(request)
        if isinstance(request, BeginMessage):
            self.message = self.intake.open(request.envelope, request.recipients, request.peer)
            session.message_begun(self.message.queue_id)
            settings = session.settings
            repair = session.is_among(settings.repair_line_ends)
            self.receiver.expect_text(settings.message_size, settings.text_line, repair=repair)
        elif isinstance(request, CommitMessage):
            self.message.commit()
            session.message_committed(self.message.queue_id)
        elif isinstance(request, SkipOctets):
            self.receiver.skip(request.count)
        elif isinstance(request, BeginTls):
            self.receiver.drop_unread()
            session.tls_begun()
        elif isinstance(request, LogIn):
            credentials: Any = request.credentials
            if credentials.username == b"alice@mail.example" and credentials.checkPassword(PASSWORD.encode()):
                session.logged_in(Account(AccountId(1), "alice@mail.example"))
            else:
                return session.login_refused(LoginRefused())
        elif isinstance(request, HoldBack):
            self._held_back_s = request.delay_s
        return None

    def _resolve(self, request: ResolveRecipient) -> None:
        answers: list[Any] = []
        self.resolver.resolve(request.address).addBoth(answers.append)
        error = getattr(answers[0], "value", None)
        if isinstance(error, MailError):
            self.session.recipient_refused(error)
        else:
            self.session.recipient_resolved(answers[0])


def settings_of(transcript: Transcript) -> SmtpSettings:
    """``@service submission`` and ``@setting NAME = VALUE`` lines, as in a configuration file, as a section."""
    options = tomllib.loads("\n".join(transcript.arguments("setting")))
    section = SubmissionSettings if transcript.arguments("service") == ["submission"] else SmtpMxSettings
    return section.model_validate(options)


def _ip_of(transcript: Transcript) -> str:
    return (transcript.arguments("ip") or ["192.0.2.7"])[0]


def core(case: Any, transcript: Transcript) -> CoreConversation:
    """For ``transcripts(core=...)``."""
    return CoreConversation(settings_of(transcript), _ip_of(transcript), bool(transcript.arguments("tls")))


def protocol(case: Any, transcript: Transcript) -> WireConversation:
    """For ``transcripts(protocol=...)``."""
    server = Server(settings_of(transcript))
    return server.connect(_ip_of(transcript), secure=bool(transcript.arguments("tls")))
