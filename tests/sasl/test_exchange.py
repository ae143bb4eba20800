"""One exchange, whatever the protocol that carries it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import LoginRefused, PeerError
from pymailsuite.sasl import Challenge, Done, Exchange, Lookup, Pending, PlainServer, SaslPassword, Step

CREDENTIALS = SaslPassword(b"alice", b"secret")


class Scripted:
    """A mechanism that sends data along with success, after it has looked something up if there is a lookup."""

    name = "SCRIPTED"

    def __init__(self, lookup: Lookup | None = None) -> None:
        self.heard: list[bytes | None] = []
        self._lookup = lookup

    def start(self, initial: bytes | None) -> Step:
        self.heard.append(initial)
        return self._lookup or Challenge(b"who?")

    def respond(self, octets: bytes) -> Step:
        self.heard.append(octets)
        return Done(CREDENTIALS, b"proof")


class ExchangeTests(SynchronousTestCase):
    """What comes of the steps of a mechanism."""

    def test_an_initial_response_may_be_all(self) -> None:
        self.assertEqual(Exchange(PlainServer()).begin(b"\0alice\0secret"), CREDENTIALS)

    def test_no_initial_response_and_an_empty_one_are_told_apart(self) -> None:
        for initial in (None, b""):
            mechanism = Scripted()
            Exchange(mechanism).begin(initial)
            self.assertEqual(mechanism.heard, [initial])

    def test_data_that_comes_with_success_is_a_challenge_with_an_empty_answer(self) -> None:
        exchange = Exchange(Scripted())
        self.assertEqual(exchange.begin(None), Challenge(b"who?"))
        self.assertEqual(exchange.go_on(b"alice"), Challenge(b"proof"))
        self.assertEqual(exchange.go_on(b""), CREDENTIALS)

    def test_an_answer_to_data_that_came_with_success_must_be_empty(self) -> None:
        exchange = Exchange(Scripted())
        exchange.begin(None)
        exchange.go_on(b"alice")
        self.assertRaises(PeerError, exchange.go_on, b"alice")

    def test_what_is_looked_up_is_awaited(self) -> None:
        found: Deferred[Step] = Deferred()

        async def ask() -> Step:
            return await found

        pending: Any = Exchange(Scripted(Lookup(ask))).begin(None)
        self.assertIsInstance(pending, Pending)
        outcome = Deferred.fromCoroutine(pending.outcome)
        self.assertNoResult(outcome)
        found.callback(Challenge(b"salt"))
        self.assertEqual(self.successResultOf(outcome), Challenge(b"salt"))

    def test_a_look_up_that_fails_ends_the_exchange(self) -> None:
        async def ask() -> Step:
            raise LoginRefused

        pending: Any = Exchange(Scripted(Lookup(ask))).begin(None)
        self.failureResultOf(Deferred.fromCoroutine(pending.outcome), LoginRefused)
