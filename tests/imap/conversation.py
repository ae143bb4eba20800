"""IMAP sessions for tests: real protocols over string transports, on a real store in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.factory import ImapFactory
from pymailsuite.imap.protocol import ImapProtocol
from pymailsuite.imap.vocabulary import Vocabulary
from pymailsuite.interfaces import Account
from pymailsuite.interfaces.quota import DomainQuota, Limits, Quota
from pymailsuite.interfaces.rights import Rights
from pymailsuite.interfaces.sharing import AclEntry, Identifier, RightsChange
from pymailsuite.values import Flags, SystemFlag
from tests.support.cred import make_portal
from tests.support.imap import VOCABULARY
from tests.support.stores import append, fired, make_account, make_store
from tests.support.transcripts import Transcript

USER = "ann@example.org"
PASSWORD = "secret"

MESSAGE = (
    b"Date: Mon, 02 Feb 2026 03:04:05 +0000\r\nFrom: Bob <bob@example.net>\r\nTo: ann@example.org\r\n"
    b"Subject: Number %d\r\nMessage-ID: <%d@example.net>\r\n\r\nHello number %d.\r\n"
)


def message(number: int) -> bytes:
    """A small message that says its number."""
    return MESSAGE % (number, number, number)


class Transport(StringTransport):
    """A transport from a loopback address that can begin TLS and be cut."""

    def __init__(self, ip: str = "127.0.0.1") -> None:
        super().__init__(peerAddress=IPv4Address("TCP", ip, 40000))
        self.tls: Any = None
        self.aborted = False
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """ITCPTransport."""

    def startTLS(self, context: Any, normal: bool = True) -> None:
        self.tls = context

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True

    def getHandle(self) -> Any:
        return self

    def get_cipher_name(self) -> str:
        return "TEST"

    def get_protocol_version_name(self) -> str:
        return "TLSv1.3"


class Client:
    """One connection to the server, spoken to in whole lines."""

    def __init__(self, server: Server, ip: str, tls: bool) -> None:
        self.server = server
        self.clock = server.clock
        self.transport = Transport(ip)
        if tls:
            alsoProvides(self.transport, ISSLTransport)
        self.protocol = server.factory.buildProtocol(self.transport.getPeer())
        assert isinstance(self.protocol, ImapProtocol)
        self.protocol.makeConnection(self.transport)
        self.closed = False

    def output(self) -> bytes:
        """What the server sent since the last call."""
        octets = self.transport.value()
        self.transport.clear()
        return octets

    def send(self, octets: bytes) -> bytes:
        """Send octets; what the server answers."""
        self.protocol.dataReceived(octets)
        self.clock.advance(0)  # the turns of a reactor
        return self.output()

    def command(self, line: str) -> list[str]:
        """Send ``x`` and a command; the lines of its answer."""
        return self.send(f"x {line}\r\n".encode()).decode("utf-8", "backslashreplace").split("\r\n")[:-1]

    def login(self, user: str = USER) -> Client:
        """Log in as the user, or as another one."""
        self.output()
        assert self.command(f"LOGIN {user} {PASSWORD}")[-1].startswith("x OK")
        return self

    def close(self) -> None:
        """The connection is gone."""
        if not self.closed:
            self.closed = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Server:
    """A factory with one account on a fresh store."""

    def __init__(self, *, tls: Any = None, vocabulary: Vocabulary | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = make_store(self.clock)
        self.account: Account = make_account(self.store, USER)
        self.portal = make_portal({USER: PASSWORD}, self.store)
        defaults: dict[str, Any] = {"plaintext_login": True, "failed_login_delay": 0, "id_version": False}
        self.settings = ImapSettings(**{**defaults, **settings})
        self.factory = ImapFactory(
            self.settings,
            "mail.example.org",
            self.portal,
            self.store.notices,
            self.store,
            vocabulary or VOCABULARY,
            tls,
            self.clock,
        )

    @property
    def mail(self) -> Any:
        """The account's mail, behind the server's back."""
        return self.store.account_mail(self.account.account_id)

    def add_user(self, login_name: str) -> Account:
        """Another account, with the same password."""
        self.portal.checker.passwords[login_name] = PASSWORD
        return make_account(self.store, login_name)

    def share(self, mailbox: str, who: str, letters: str, owner: Account | None = None) -> None:
        """Give rights to a mailbox, behind the server's back; with ``-`` in front of the identifier negative ones."""
        entry = AclEntry(Identifier.parse(who.removeprefix("-")), Rights.parse(letters), who.startswith("-"))
        account_id = (owner or self.account).account_id
        fired(self.store.sharing.set_rights(account_id, mailbox, None, entry, RightsChange.REPLACE))

    def set_quota(self, name: str, *limits: str) -> None:
        """The quota of an account, or the total of ``@DOMAIN``: ``storage=OCTETS``, ``messages=N``, ``mailboxes=N``."""
        given = {name: int(value) for name, value in (one.split("=") for one in limits)}
        directory = self.store.directory
        if name.startswith("@"):
            fired(directory.change_domain_quota(name[1:], lambda _: DomainQuota(total=Limits(**given))))
        else:
            fired(directory.change_account_quota(name, lambda _: Quota(**given)))

    def deliver(self, *numbers: int, mailbox: str = "INBOX", flags: Flags | None = None) -> None:
        """Messages arrive."""
        given = [flags] * len(numbers) if flags is not None else ()
        append(self.store, self.account, mailbox, *[message(number) for number in numbers], flags=given)

    def connect(self, ip: str = "127.0.0.1", *, tls: bool = False) -> Client:
        """A client that has not read the greeting; ``tls``: its connection is encrypted from the start."""
        return Client(self, ip, tls)


_FLAGS = {f"\\{flag.name.capitalize()}": flag for flag in SystemFlag if flag.name}


def read_flags(words: str) -> Flags:
    """Flags as a transcript writes them."""
    system, keywords = SystemFlag(0), set()
    for word in words.split():
        if word in _FLAGS:
            system |= _FLAGS[word]
        else:
            keywords.add(word)
    return Flags(system, frozenset(keywords))


class Conversation:
    """What the transcript runner drives: several sessions of one server, one of them speaking.

    ``@`` lines: ``setting NAME VALUE``; ``user LOGIN_NAME`` (another); ``mailbox NAME``;
    ``quota LOGIN_NAME storage=OCTETS messages=N mailboxes=N`` (``@DOMAIN``: its total);
    ``share NAME IDENTIFIER RIGHTS``; ``messages N`` (in INBOX); ``login`` (session 1 is logged
    in); ``select NAME`` (and has this selected); ``tls`` (STARTTLS is offered); ``from IP``.

    ``X:`` steps: ``session N [USER]`` (a logged-in session of that number speaks and is listened to from now on);
    ``advance SECONDS``; ``deliver N``; ``share NAME IDENTIFIER [RIGHTS]``; ``quota`` as above; ``lost``.
    """

    def __init__(self, transcript: Transcript) -> None:
        settings: dict[str, Any] = {}
        for argument in transcript.arguments("setting"):
            name, _, value = argument.partition(" ")
            settings[name] = (
                json.loads(value) if value.startswith(("[", "{")) else {"true": True, "false": False}.get(value, value)
            )
        self.server = Server(tls=object() if transcript.arguments("tls") else None, **settings)
        for argument in transcript.arguments("user"):
            self.server.add_user(argument)
        for argument in transcript.arguments("mailbox"):
            self.server.mail.create_mailbox(argument, None)
        for argument in transcript.arguments("share"):
            self.server.share(*argument.split())
        for argument in transcript.arguments("quota"):
            self.server.set_quota(*argument.split())
        for argument in transcript.arguments("messages"):
            self.server.deliver(*range(1, int(argument) + 1))
        ips = transcript.arguments("from")
        self._sessions = {"1": self.server.connect(ips[0] if ips else "127.0.0.1")}
        self._speaking = self._sessions["1"]
        if transcript.arguments("login"):
            self._speaking.login()
        for argument in transcript.arguments("select"):
            self._speaking.command(f"SELECT {argument}")

    def receive(self, octets: bytes) -> None:
        if octets and not self.ended():
            self._speaking.protocol.dataReceived(octets)

    def output(self) -> bytes:
        return self._speaking.output()

    def ended(self) -> bool:
        return self._speaking.transport.disconnecting

    def act(self, name: str, argument: str) -> None:
        if name == "session":
            number, _, user = argument.partition(" ")
            if number not in self._sessions:
                self._sessions[number] = self.server.connect().login(user or USER)
            self._speaking = self._sessions[number]
        elif name == "advance":
            self.server.clock.advance(float(argument))
        elif name == "deliver":
            self.server.deliver(*map(int, argument.split()))
        elif name == "share":
            mailbox, who, *letters = argument.split()
            self.server.share(mailbox, who, "".join(letters))
        elif name == "quota":
            self.server.set_quota(*argument.split())
        elif name == "lost":
            self._speaking.close()
        else:
            raise ValueError(f"unknown step: {name}")
