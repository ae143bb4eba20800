"""POP3 sessions on a store in memory: the core alone, and the protocol on a transport in memory."""

import tomllib

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from pymailsuite.config.sections.pop3 import Pop3Settings
from pymailsuite.errors import LoginRefused, MailError
from pymailsuite.interfaces import IPop3Avatar
from pymailsuite.pop3 import Pop3Factory
from pymailsuite.pop3.extensions import OURS
from pymailsuite.pop3.maildrop import open_maildrop
from pymailsuite.pop3.requests import BeginTls, CloseMaildrop, HoldBack, LogIn, Service
from pymailsuite.pop3.session import Pop3Session
from pymailsuite.sasl import mechanisms
from pymailsuite.values import UidSet
from pymailsuite.wire import LineBuffer, LineTooLong
from tests.support.cred import make_portal
from tests.support.stores import append, fired, make_account, make_store

HOST = "mail.example"
ALICE = "alice@mail.example"
PASSWORDS = {ALICE: "wonderland", "bob@mail.example": "builder"}


class Transport(StringTransport):
    """Remembers that it was cut, and that TLS was begun; ``full`` pauses its producer as a slow reader does."""

    def __init__(self, ip="127.0.0.1"):
        super().__init__(peerAddress=IPv4Address("TCP", ip, 40000))
        self.tls = None
        self.no_delay = False
        self.writes = 0
        self.aborted = False

    def write(self, data):
        super().write(data)
        self.writes += 1

    def setTcpNoDelay(self, enabled):
        self.no_delay = enabled

    def startTLS(self, context_factory):
        self.tls = context_factory

    def abortConnection(self):
        super().abortConnection()
        self.aborted = True


class World:
    """A store with Alice and Bob, whose INBOX holds ``messages`` (Alice's), and the clock it all goes by."""

    def __init__(self, *messages, **settings):
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = make_store(self.clock)
        self.portal = make_portal(PASSWORDS, self.store)
        self.alice, self.bob = (make_account(self.store, name) for name in PASSWORDS)
        self.mail = self.store.account_mail(self.alice.account_id)
        self.add(*messages)
        self.configure(**settings)

    def add(self, *messages):
        """Append to Alice's INBOX; bytes, or the name of a message of :data:`MESSAGES`."""
        if messages:
            append(self.store, self.alice, "INBOX", *messages)

    def configure(self, extensions=OURS, **settings):
        """Use these settings for connections made from now on."""
        self.settings = Pop3Settings(**({"plaintext_login": True, "failed_login_delay": 0} | settings))
        self.factory = Pop3Factory(
            self.settings,
            HOST,
            self.portal,
            self.clock,
            self.store.state,
            tls_context="a context",
            extensions=extensions,
        )

    @property
    def mailbox(self):
        """INBOX as it stands."""
        return fired(self.mail.mailbox("INBOX"))

    def connect(self, ip="127.0.0.1", tls=False):
        """A new connection."""
        return WireConversation(self, ip, tls)

    def logged_in(self):
        """A new connection that Alice has logged in on."""
        conversation = self.connect()
        conversation.say("USER alice@mail.example", "PASS wonderland")
        return conversation


class WireConversation:
    """A connection through the protocol."""

    def __init__(self, world, ip="127.0.0.1", tls=False):
        self.world = world
        self.transport = Transport(ip)
        if tls:
            alsoProvides(self.transport, ISSLTransport)
        self.protocol = world.factory.buildProtocol(self.transport.getPeer())
        self.protocol.makeConnection(self.transport)

    def receive(self, octets):
        if not self.transport.disconnecting:
            self.protocol.dataReceived(octets)
            self.world.clock.advance(0)  # the turns of a reactor

    def output(self):
        sent = self.transport.value()
        self.transport.clear()
        return sent

    def ended(self):
        return self.transport.disconnecting or self.transport.aborted

    def say(self, *lines):
        """Send lines in one piece; what came back, the replies of before included."""
        self.receive(b"".join(line.encode() + b"\r\n" for line in lines))
        return self.output()

    def lose(self):
        """The connection is gone."""
        self.protocol.connectionLost(Failure(ConnectionLost()))

    def act(self, name, argument):
        act(self.world, name, argument)
        if name == "lose":
            self.lose()


class CoreConversation:
    """The session alone; its requests are answered at once."""

    def __init__(self, world):
        self.world = world
        service = Service(world.settings, HOST, True, mechanisms, extensions=OURS)
        self.session = Pop3Session(service, secure=False, plaintext_login=True)
        self.lines = LineBuffer(world.settings.line, bare_lf=True)
        self.maildrop = None
        self.sent = b""
        self.session.greet()

    def receive(self, octets):
        self.lines.receive(octets)
        while not self.session.ended:
            try:
                line = self.lines.next_line()
            except LineTooLong as error:
                self.session.line_refused(error)
                continue
            if line is None:
                break
            request = self.session.line_received(line)
            while request is not None:
                request = self.perform(request)

    def perform(self, request):
        session = self.session
        if isinstance(request, LogIn):
            return self.log_in(request)
        if isinstance(request, HoldBack):
            session.held_back()
        elif isinstance(request, BeginTls):
            self.lines.drop_unread()
            session.tls_begun()
        elif isinstance(request, CloseMaildrop):
            try:
                resolve(self.maildrop.finish(request.uids))
            except Exception as error:
                session.removal_failed(error)
            else:
                session.maildrop_closed()
        else:
            size = self.maildrop.listing.sizes[request.index]
            session.message_read(
                fired(
                    self.world.mail.read_octets(
                        self.world.mailbox.mailbox_id, self.maildrop.listing.uids[request.index], 0, size
                    )
                )
            )
        return None

    def log_in(self, request):
        try:
            _, avatar, _ = fired(self.world.portal.login(request.credentials, None, IPop3Avatar))
            self.maildrop = resolve(open_maildrop(avatar.mail, request.mailbox, HOST, 90, 0, self.world.clock))
        except LoginRefused as error:
            return self.session.login_refused(error)
        except MailError as error:
            self.session.maildrop_refused(error)
        else:
            self.session.maildrop_opened(avatar.account.login_name, self.maildrop.listing)
        return None

    def output(self):
        sent, self.session.outgoing = b"".join(self.session.outgoing), []
        return sent

    def ended(self):
        return self.session.ended

    def act(self, name, argument):
        act(self.world, name, argument)


def resolve(coroutine):
    """The result of a coroutine on Deferreds that have all fired."""
    return fired(Deferred.fromCoroutine(coroutine))


def act(world, name, argument):
    """What an ``X:`` step of a transcript does."""
    if name == "advance":
        world.clock.advance(float(argument))
    elif name == "add":
        world.add(MESSAGES[argument])
    elif name == "expunge":
        fired(world.mail.remove_messages(world.mailbox.mailbox_id, UidSet.of([int(argument)])))
    elif name == "messages":
        assert world.mailbox.messages == int(argument), f"{world.mailbox.messages} messages in INBOX, not {argument}"
    elif name != "lose":
        raise ValueError(f"X: {name}")


MESSAGES = {
    "one": b"Subject: one\r\n\r\nFirst\r\n",
    "two": b"Subject: two\r\n\r\nA\r\nB\r\nC\r\n",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nend.\r\n",
    "header": b"Subject: header only\r\n\r\n",
    "empty": b"",
    "open": b"Subject: no line end\r\n\r\nlast",
    "eight": "Subject: grüße\r\n\r\nüäö\r\n".encode(),
}


def world_of(transcript):
    """The world a transcript asks for: ``@message NAME`` and ``@setting NAME VALUE`` (TOML) lines."""
    settings = {}
    for argument in transcript.arguments("setting"):
        name, _, value = argument.partition(" ")
        settings |= tomllib.loads(f"{name} = {value}")
    return World(*(MESSAGES[name] for name in transcript.arguments("message")), **settings)


class SlowMail:
    """An account's mail whose answers wait, while ``held``, and whose methods named in ``failures`` fail.

    ``asked`` lists the methods called.
    """

    def __init__(self, mail):
        self._mail = mail
        self.asked = []
        self.held = False
        self.failures = {}
        self._waiting = []

    def __getattr__(self, name):
        method = getattr(self._mail, name)
        if not callable(method):
            return method

        def call(*args):
            self.asked.append(name)
            if name in self.failures:
                return fail(self.failures[name])
            if not self.held:
                return method(*args)
            waiter = Deferred()
            self._waiting.append((waiter, method, args))
            return waiter

        return call

    def release(self):
        """Answer what waits, and later calls at once."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        for waiter, method, args in waiting:
            method(*args).chainDeferred(waiter)


def slow(world):
    """Make Alice's mail a SlowMail for logins from now on."""
    mail = SlowMail(world.mail)
    world.store.account_mail = lambda account_id: mail
    return mail
