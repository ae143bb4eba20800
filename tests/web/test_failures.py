"""Each question to the store fails, is called off, or comes to nothing because whoever asked has gone."""

from __future__ import annotations

import gc

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.dns_setup import DnsSetupSettings
from pymailsuite.config.sections.web import WebSettings
from pymailsuite.directory.resolver import RecipientResolver
from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.web import Pages, WebFactory
from pymailsuite.wire.refusal_counts import RefusalCounts
from tests.support.failures import Defect
from tests.support.interference import Interference, calls_of, failing, held
from tests.support.stores import make_account, make_store
from tests.web.support import OFFERS, outlook_request

pytestmark = pytest.mark.sqlite

_POSTED = outlook_request("ann@example.com")
REQUESTS = (
    b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.com\r\n\r\n",
    b"GET /mail/config-v1.1.xml?emailaddress=ann@example.org HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_POSTED), _POSTED),
)


class Dialogue:
    """One connection that asks for each page in turn; a new one where the last was closed."""

    def __init__(self, interference: Interference) -> None:
        self.interference = interference
        # Nothing of the directory is remembered for so long.
        self.clock = Clock()
        store = make_store(self.clock)
        for domain in ("example.com", "example.org"):
            make_account(store, f"ann@{domain}")
        interference.inside(store.database)
        pages = Pages(
            "mx.example.com",
            OFFERS,
            DnsSetupSettings(),
            RecipientResolver(DirectorySettings(), store.directory, self.clock),
        )
        self.factory = WebFactory(WebSettings(), pages, self.clock, RefusalCounts(self.clock, 60.0, 10, None))
        self.factory.doStart()
        self.connect()
        self.answers: list[bytes] = []
        for request in REQUESTS:
            self.answers.append(self.ask(request))
            if interference.held is not None and not interference.held.called:
                break

    def connect(self) -> None:
        address = IPv4Address("TCP", "192.0.2.1", 4711)
        self.transport = StringTransport(peerAddress=address)
        self.transport.setTcpNoDelay = lambda enabled: None  # type: ignore[attr-defined]
        self.protocol = self.factory.buildProtocol(address)
        self.protocol.makeConnection(self.transport)

    def ask(self, request: bytes) -> bytes:
        self.clock.advance(60)
        self.transport.clear()
        if self.transport.disconnected:
            self.protocol.connectionLost(Failure(ConnectionDone()))
            self.connect()
        self.protocol.dataReceived(request)
        self.clock.advance(0)
        return self.transport.value()

    def leave(self) -> None:
        self.interference.stop()
        self.protocol.connectionLost(Failure(ConnectionDone()))


class FailureTests(SynchronousTestCase):
    def setUp(self) -> None:
        # What nobody waited for and failed is told of only when it is collected.
        self.addCleanup(gc.collect)

    def check_nothing_is_left(self, dialogue: Dialogue) -> None:
        self.assertEqual(dict(dialogue.factory.tally.here), {})
        dialogue.connect()
        self.assertTrue(dialogue.ask(REQUESTS[0]).startswith(b"HTTP/1.1 200 "))
        dialogue.leave()
        dialogue.factory.doStop()
        self.assertEqual(dialogue.clock.getDelayedCalls(), [])

    def test_without_failures_each_is_answered(self) -> None:
        dialogue = Dialogue(Interference())
        self.assertEqual([answer[:13] for answer in dialogue.answers], [b"HTTP/1.1 200 "] * 3)
        self.assertGreaterEqual(len(dialogue.interference.calls), 3)
        dialogue.leave()

    def test_every_call_fails_once(self) -> None:
        for call in calls_of(Dialogue):
            for error in (StoreUnavailable(), StorageFull(), Defect()):
                with self.subTest(call=call, error=error):
                    dialogue = Dialogue(Interference(call, failing(error)))
                    answers = sorted(answer[9:12] for answer in dialogue.answers)
                    self.assertEqual(answers, [b"200", b"200", b"503"])
                    dialogue.leave()
                    self.check_nothing_is_left(dialogue)
                    self.assertEqual(len(self.flushLoggedErrors()), isinstance(error, Defect))

    def test_every_call_is_called_off_once(self) -> None:
        for call in calls_of(Dialogue):
            dialogue = Dialogue(Interference(call, held))
            assert dialogue.interference.held is not None
            self.assertEqual(dialogue.answers[-1], b"")
            dialogue.interference.held.cancel()
            self.assertEqual(dialogue.transport.value()[9:12], b"503", call)
            dialogue.leave()
            self.check_nothing_is_left(dialogue)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_whoever_asked_leaves_at_every_call(self) -> None:
        for call in calls_of(Dialogue):
            dialogue = Dialogue(Interference(call, held))
            dialogue.leave()
            assert dialogue.interference.held is not None
            self.assertTrue(dialogue.interference.held.called, "read on for nobody")
            self.assertEqual(dialogue.transport.value(), b"")
            self.check_nothing_is_left(dialogue)
        self.assertEqual(self.flushLoggedErrors(), [])
