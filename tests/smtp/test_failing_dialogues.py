"""Every dialogue again, with each call to store, directory, DNS and portal failing, held or called off: see
:mod:`tests.support.failures`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.loader import settings_from
from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.config.sections.history import HistorySettings
from pymailsuite.config.sections.smtp import SmtpSettings
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.directory.resolver import RecipientResolver
from pymailsuite.directory.return_paths import ReturnPathResolver, ReturnPaths
from pymailsuite.directory.send_as import SenderRights
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.assembly import make_chain, policy_factories
from pymailsuite.smtp.peer_names import PeerNames
from pymailsuite.values import MAX_CHUNK, Address
from tests.smtp.conversations import HOST, PASSWORD, USERS, Server, WireConversation, settings_of
from tests.smtp.policy_conversations import NOW_S, STRANGER, resolver_of
from tests.support.cred import make_portal
from tests.support.delivery import planner_for
from tests.support.failures import failures
from tests.support.interference import Call, Interference
from tests.support.stores import fired, make_account, make_store
from tests.support.transcripts import Transcript, parse

pytestmark = pytest.mark.sqlite

_REPLY = re.compile(rb"(?:([2-5]\d\d)-[^\r\n]*\r\n)*[2-5]\d\d [^\r\n]*\r\n")
_ACCEPTED = "SELECT COUNT(*) FROM contents"
_STAGED = "SELECT * FROM staged_contents"


ALICE = Address("alice", "mail.example")
TEAM = Address("team", "mail.example")

_CHUNKS = "\\r\\n".join(["Subject: x", "", *["y" * 998] * (3 * MAX_CHUNK // 1000)])

MORE = (
    parse(
        "long_texts",
        f"""
S: ...
C: EHLO client.example
S: ...
S: 250 HELP
C: MAIL FROM:<joe@client.example>
C: RCPT TO:<alice@mail.example>
C: DATA
S: ...
S: /354 .*/
C: {_CHUNKS}
C: .
S: /250 .*/
C: MAIL FROM:<joe@client.example>
C: RCPT TO:<bob@mail.example>
C: RCPT TO:<team@mail.example>
C: DATA
S: ...
S: /354 .*/
C: {_CHUNKS}
C: .
S: /250 .*/
C: QUIT
S: /221 .*/
E:
""",
    ),
    parse(
        "sent_as_others",
        """
@service submission
@tls on
S: ...
C: EHLO client.example
S: ...
S: 250 HELP
C: AUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQBzZWNyZXQ=
S: /235 .*/
C: MAIL FROM:<team@mail.example>
C: RCPT TO:<team@mail.example>
C: RCPT TO:<bob@mail.example>
C: DATA
S: ...
S: /354 .*/
C: From: team@mail.example
C: Sender: alice@mail.example
C:
C: text
C: .
S: /250 .*/
C: MAIL FROM:<bob@mail.example>
S: /553 .*/
C: MAIL FROM:<alice@mail.example>
C: RCPT TO:<joe@far.example>
C: DATA
S: ...
S: /354 .*/
C: From: bob@mail.example
C:
C: text
C: .
S: /550 .*/
C: MAIL FROM:<alice@mail.example>
C: RCPT TO:<joe@far.example>
C: DATA
S: ...
S: /354 .*/
C: text
C: .
S: /250 .*/
C: QUIT
S: /221 .*/
E:
""",
    ),
)


class _Numbering:
    """An intake; ``ids`` are those of the messages it has opened, which transcripts know by their numbers."""

    def __init__(self, intake: MessageIntake) -> None:
        self._intake = intake
        self.ids: list[str] = []

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """As of the intake."""
        message = self._intake.open(*args, **kwargs)
        self.ids.append(message.queue_id)
        return message


class FailingConversation:
    """One client after the other at a server with a real store behind it."""

    def __init__(self, transcript: Transcript, interference: Interference) -> None:
        self._interference = interference
        self._clock = Clock()
        self._clock.advance(NOW_S)
        self._store = make_store(self._clock)
        for user in USERS:
            make_account(self._store, user)
        fired(self._store.directory.set_alias(TEAM, [ALICE, Address("joe", "far.example")]))
        more, settings = self._settings(transcript)
        self.server = server = Server(settings, clock=self._clock, **more)
        server.portal = make_portal({"alice@mail.example": PASSWORD}, self._store)
        server.factory._portal = interference.around(server.portal)
        forwarding, tags = ForwardingSettings(), BounceTagSettings(domains=("mail.example",))
        paths = ReturnPaths(forwarding, tags, self._store.secrets, self._clock, self._store.kept_paths)
        directory = RecipientResolver(DirectorySettings(), self._store.directory, self._clock)
        server.factory._resolver = resolver = ReturnPathResolver(directory, paths)
        planner = planner_for(
            self._store, self._clock, recipients=resolver, forwarding=forwarding, tags=tags, paths=paths
        )
        history = HistoryRecorder(HistorySettings(), self._store.history, self._clock)
        server.factory._intake = intake = _Numbering(
            MessageIntake(self._store, DeliverySettings(), planner, HOST, self._clock, HOST, history)
        )
        self._ids = intake.ids
        interference.inside(self._store.database)
        self._connections: list[WireConversation] = []
        self._said: list[bytes] = []
        self._ip = (transcript.arguments("ip") or [self.default_ip])[0]
        self._connect(secure=bool(transcript.arguments("tls")))

    default_ip = "192.0.2.7"

    def _settings(self, transcript: Transcript) -> tuple[dict[str, Any], SmtpSettings]:
        rights = SenderRights(DirectorySettings(), self._store.directory, self._store.send_as, self._clock)
        dns = self._interference.around(FakeResolver(ptr={self.default_ip: ["client.example"]}))
        return {"rights": rights, "peer_names": PeerNames(dns, 5.0, self._clock)}, settings_of(transcript)

    def _connect(self, secure: bool = False) -> None:
        self._connections.append(self.server.connect(self._ip, secure))
        self._said.append(b"")

    def receive(self, octets: bytes) -> None:
        """From the client that speaks."""
        self._connections[-1].receive(octets)

    def output(self) -> bytes:
        """To it."""
        octets = self._connections[-1].output()
        for number, queue_id in enumerate(self._ids, 1):
            octets = octets.replace(queue_id.encode(), b"%012X" % number)
        self._said[-1] += octets
        return octets

    def ended(self) -> bool:
        """Closed or cut."""
        return self._connections[-1].ended()

    def act(self, name: str, argument: str) -> None:
        """``connect``, and what any conversation knows."""
        if name == "connect":
            self._ip = argument or self._ip
            self._connect()
        elif name != "added":
            self._connections[-1].act(name, argument)

    def check_alive(self, case: SynchronousTestCase) -> None:
        """Whoever is in the middle of a text ends it first."""
        self.output()
        if not self.ended():
            self.receive(b"\r\n.\r\nNOOP\r\n")
            self._clock.advance(30)  # some answers are held back
            last = self.output()
            case.assertTrue(_REPLY.search(last) or self.ended(), last)

    def leave(self) -> None:
        """All that are left."""
        for connection in self._connections:
            connection.lose()

    def check_said(self, case: SynchronousTestCase, sent: bytes) -> None:
        """Each line has one reply at most, but for the greeting, our own words, and the last one."""
        self.output()
        lines = sent.count(b"\n")
        replies = 0
        for said in self._said:
            at = 0
            while reply := _REPLY.match(said, at):
                at = reply.end()
                replies += 1
            case.assertEqual(said[at:], b"")
        case.assertLessEqual(replies, lines + 2 * len(self._said) + 3)

    def check_nothing_is_left(self, case: SynchronousTestCase, call: Call) -> None:
        """No timer, no staged octets, no login; the next client is served."""
        server = self.server
        case.assertEqual(server.clock.getDelayedCalls(), [])
        case.assertEqual(server.factory.connections, 0)
        case.assertEqual(server.portal.realm.logged_out, server.portal.realm.logged_in)
        case.assertEqual(self._rows(_STAGED), [])
        # What was promised is there; what was refused is not, unless its refusal came too late.
        promised = sum(said.count(b" Message accepted for delivery\r\n") for said in self._said)
        ((stored,),) = self._rows(_ACCEPTED)
        case.assertLessEqual(promised, stored)
        case.assertTrue(promised == stored or self._interference.held is not None, (promised, stored))
        self._connect()
        greeting = self.output()
        if not greeting:
            return  # it waits for what a proxy has to say
        case.assertIn(greeting[:3], (b"220", b"554", b"421"))
        self.receive(b"EHLO client.example\r\nQUIT\r\n")
        self._clock.advance(3600)
        case.assertRegex(greeting + self.output(), rb"\n221 |^[45]")
        self._connections[-1].lose()

    def _rows(self, query: str) -> Any:
        return fired(self._store.database.read("look", lambda txn: txn.rows(query)))


class FailingPolicies(FailingConversation):
    """With a chain of real policies."""

    default_ip = STRANGER

    def _settings(self, transcript: Transcript) -> tuple[dict[str, Any], SmtpSettings]:
        tables: dict[str, Any] = tomllib.loads("\n".join(transcript.arguments("setting")))
        off = {name.replace("-", "_"): {"action": "off"} for name in policy_factories()}
        server = {"hostname": HOST, "domains": [HOST], "data_dir": "/nonexistent"}
        settings = settings_from({"server": server, **off, **tables}, Path(transcript.name))
        dns = self._interference.around(resolver_of(transcript))
        chain = make_chain(settings, dns, self._store, self._clock, chance=lambda: 0.5)
        return {"policies": chain}, settings.smtp


@failures(
    "smtp",
    make=FailingConversation,
    more=MORE,
    undone=("login",),
    untold=("write stage chunk", "write drop staged chunks"),
    # A message that is complete becomes mail, whether or not its sender hears of it.
    goes_on=("read secrets", "read domain"),
)
class FailureTests(SynchronousTestCase):
    """A test for each dialogue."""


@failures("smtp_policies", make=FailingPolicies, undone=("login",))
class PolicyFailureTests(SynchronousTestCase):
    """A test for each dialogue with policies."""
