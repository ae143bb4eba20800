"""Who sends what: transports of plugins beside our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import ConfigError, StoreUnavailable
from pymailsuite.interfaces import Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.interfaces.transport import ITransport, ITransportFactory
from pymailsuite.relay.egress import EgressTransforms
from pymailsuite.relay.relay import Relay
from pymailsuite.relay.route import of_domain
from pymailsuite.relay.transports import TransportContext, TransportPlugin, Transports, make_transports
from pymailsuite.values import Address, ContentId, EntryId

DELIVERED, DELAYED = RecipientState.DELIVERED, RecipientState.DELAYED
BOB, EVE = (QueuedRecipient(n, Address(name, "b.example"), "b.example") for n, name in enumerate(("bob", "eve")))
ENTRY = QueueEntry(EntryId(2), ContentId(1), 10, 5, Address("ann", "a.example"), (BOB, EVE), 0.0)


class Recorded:
    """A transport that answers what the test wants."""

    def __init__(self, argument: str, answer: Callable[[], Any]) -> None:
        self.argument = argument
        self.answer = answer
        self.attempts: list[str] = []
        self.closed = 0

    def attempt(self, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> Any:
        self.attempts.append(route)
        return self.answer()

    def close(self) -> Deferred[None]:
        self.closed += 1
        return succeed(None)


class Factory:
    """Makes :class:`Recorded` ones, and remembers them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: list[Recorded] = []
        self.answer: Callable[[], Any] = lambda: [Outcome(0, DELIVERED), Outcome(1, DELIVERED)]

    def make(self, context: TransportContext) -> Recorded:
        if context.argument == "wrong":
            raise ConfigError("no such folder")
        self.made.append(Recorded(context.argument, self.answer))
        return self.made[-1]


class TransportsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.smtp, self.other = Factory("smtp"), Factory("other")

    def context(self, **transports: str) -> TransportContext:
        settings = RelaySettings(transports={domain.replace("_", "."): text for domain, text in transports.items()})
        egress = EgressTransforms((), 60.0, self.clock)
        return TransportContext(
            settings, "us.example", self.clock, FakeResolver(), lambda *asked: succeed(b""), maybeDeferred, egress
        )

    def make(self, **transports: str) -> Transports:
        factories: Any = {one.name: one for one in (self.smtp, self.other)}
        return make_transports(self.context(**transports), factories)

    def attempt(self, transports: Transports, route: str = "b.example") -> Deferred[list[Outcome]]:
        return maybeDeferred(transports.attempt, ENTRY, route, (BOB, EVE))

    def test_ours_is_found_like_any_other(self) -> None:
        transports = make_transports(self.context())
        verifyObject(ITransport, transports)
        verifyObject(ITransportFactory, TransportPlugin("smtp", "pymailsuite.relay.relay.make_transport"))
        usual = transports._usual
        self.assertIsInstance(usual, Relay)
        verifyObject(ITransport, usual)
        self.successResultOf(transports.close())

    def test_each_domain_has_its_own(self) -> None:
        transports = self.make(
            **{"b_example": "other:one", "_c_example": "other:two", "d_c_example": "smtp", "B2.example": "other:one"}
        )
        for route in ("b.example", "x.b.example", "x.c.example", "d.c.example", "c.example", "b2.example"):
            self.successResultOf(self.attempt(transports, route))
        (smtp,), (one, two) = self.smtp.made, self.other.made
        self.assertEqual(smtp.attempts, ["x.b.example", "d.c.example", "c.example"])
        self.assertEqual((one.argument, one.attempts), ("one", ["b.example", "b2.example"]))
        self.assertEqual((two.argument, two.attempts), ("two", ["x.c.example"]))
        self.successResultOf(transports.close())
        self.assertEqual([each.closed for each in (smtp, one, two)], [1, 1, 1])

    def test_a_dot_stands_for_all_domains(self) -> None:
        self.assertEqual(of_domain("x.example", {".": 1, "y.example": 2}), 1)
        self.assertEqual(of_domain("y.example", {".": 1, "y.example": 2}), 2)
        self.assertIsNone(of_domain("x.example", {}))

    def test_one_that_is_not_there_or_is_set_wrongly_is_an_error_of_the_settings(self) -> None:
        error = self.assertRaises(ConfigError, self.make, b_example="none:x")
        self.assertIn("no transport 'none'; there are: other, smtp", str(error))
        self.assertRaises(ConfigError, self.make, b_example="other:wrong")

    def test_a_fault_delays_and_names_the_plugin(self) -> None:
        self.other.answer = lambda: self.answers.pop(0)
        self.answers: list[Any] = [
            fail(ZeroDivisionError()),
            fail(StoreUnavailable()),
            None,
            [Outcome(1, DELIVERED, "2.0.0"), "nonsense"],
        ]
        transports = self.make(b_example="other")
        replies = [
            [(one.position, one.state, one.reply) for one in self.successResultOf(self.attempt(transports))]
            for _ in range(4)
        ]
        for reply, text in zip(replies[:3], ("broke", "Mail store unavailable", "broke"), strict=True):
            self.assertEqual(reply, [(n, DELAYED, f"transport other: {text}") for n in (0, 1)])
        self.assertEqual(
            replies[3], [(0, DELAYED, "transport other: said nothing of this recipient"), (1, DELIVERED, "")]
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, TypeError)), 2)

    def test_one_that_hangs_delays(self) -> None:
        hung: Deferred[Any] = Deferred()
        self.other.answer = lambda: hung
        attempt = self.attempt(self.make(b_example="other"))
        self.clock.advance(RelaySettings().transaction_timeout)
        self.assertEqual([one.reply for one in self.successResultOf(attempt)], ["transport other: took too long"] * 2)
        self.assertTrue(hung.called)

    def test_what_is_under_way_at_the_end_has_its_time_and_is_called_off_then(self) -> None:
        settings = RelaySettings()
        for ends in (True, False):
            under_way: Deferred[Any] = Deferred()
            self.other.answer = lambda answer=under_way: answer
            transports = self.make(b_example="other")
            attempt = self.attempt(transports)
            self.successResultOf(transports.close())
            self.clock.advance(settings.stop_grace - 1)
            self.assertNoResult(attempt)
            if ends:
                under_way.callback([Outcome(0, DELIVERED), Outcome(1, DELIVERED)])
                self.assertEqual([one.state for one in self.successResultOf(attempt)], [DELIVERED] * 2)
                self.clock.advance(1)
            else:
                self.clock.advance(1)
                self.failureResultOf(attempt, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_cannot_be_made_delays_its_domains_only(self) -> None:
        factories: Any = {"smtp": self.smtp, "gone": TransportPlugin("gone", "nowhere.make")}
        transports = make_transports(self.context(b_example="gone"), factories)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        outcomes = self.successResultOf(self.attempt(transports))
        self.assertEqual([one.reply for one in outcomes], ["transport gone: could not be made"] * 2)
        self.assertEqual(
            [one.state for one in self.successResultOf(self.attempt(transports, "c.example"))], [DELIVERED] * 2
        )
        self.successResultOf(transports.close())

    def test_one_that_cannot_be_closed_keeps_none_from_it(self) -> None:
        transports = self.make(b_example="other")
        self.patch(self.other.made[0], "close", lambda: 1 // 0)
        self.successResultOf(transports.close())
        self.assertEqual((self.smtp.made[0].closed, len(self.flushLoggedErrors(ZeroDivisionError))), (1, 1))
