"""Clients have their turns at the hashing threads, however many logins others send."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth.login_queue import LoginQueue, QueuedLogin, TooManyLogins

FLOODER, OTHER, STRANGER = "192.0.2.66", "192.0.2.67", "198.51.100.1"


class TurnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.number = 0
        self.begun: list[QueuedLogin] = []
        self.turns = LoginQueue(at_once=2, waiting=20, waiting_per_client=12)

    def take(self, client: str, name: str = "") -> Deferred[object]:
        """A login; ``begun`` has its turn when that is there."""
        self.number += 1
        return self.turns.take(client, name or f"user{self.number}").addCallback(self.begun.append)

    def end(self) -> None:
        """The turn that began first is over."""
        self.turns.end(self.begun.pop(0))

    def clients(self) -> list[str]:
        return [turn.client for turn in self.begun]

    def test_whoever_comes_first_waits_for_nobody(self) -> None:
        self.successResultOf(self.take(STRANGER))
        self.successResultOf(self.take(OTHER))
        self.assertNoResult(self.take(FLOODER))

    def test_a_flood_from_some_addresses_costs_a_stranger_one_turn(self) -> None:
        for _ in range(10):
            self.take(FLOODER)
            self.take(OTHER)
        waiting = self.take(STRANGER)
        for _ in range(3):
            self.assertNoResult(waiting)
            self.end()
        self.successResultOf(waiting)

    def test_an_address_has_two_turns_at_once_at_most(self) -> None:
        self.turns = LoginQueue(at_once=8, waiting=20, waiting_per_client=10)
        for _ in range(10):
            self.take(FLOODER)
        self.assertEqual(self.clients(), [FLOODER] * 2)
        self.successResultOf(self.take(STRANGER))

    def test_logins_for_one_name_come_one_after_the_other(self) -> None:
        for _ in range(3):
            self.take(STRANGER, "ann")
        self.take(STRANGER, "bob")
        self.assertEqual([turn.name for turn in self.begun], ["ann", "bob"])
        self.end()
        self.assertEqual([turn.name for turn in self.begun], ["bob", "ann"])

    def test_one_address_may_keep_so_many_waiting(self) -> None:
        for _ in range(14):
            self.take(FLOODER)
        self.failureResultOf(self.take(FLOODER), TooManyLogins)
        self.assertNoResult(self.take(STRANGER))

    def test_where_all_places_are_taken_the_greediest_gives_one_up(self) -> None:
        flood = [self.take(FLOODER) for _ in range(13)]
        self.take(OTHER)
        others = [self.take(OTHER) for _ in range(8)]
        self.assertNoResult(self.take(STRANGER))
        self.failureResultOf(flood[-1], TooManyLogins)
        self.assertNoResult(flood[-2])
        self.failureResultOf(self.take(FLOODER), TooManyLogins)
        for waiting in others:
            self.assertNoResult(waiting)

    def test_whoever_has_gone_is_dropped(self) -> None:
        for _ in range(2):
            self.take(FLOODER)
        gone, waiting = self.take(STRANGER), self.take(OTHER)
        gone.addErrback(lambda failure: None)
        gone.cancel()
        self.end()
        self.successResultOf(waiting)
        self.end()
        self.end()
        self.assertEqual((self.begun, self.turns._queues, self.turns._waiting), ([], {}, 0))

    def test_nothing_is_kept_of_those_who_are_done(self) -> None:
        for number in range(20):
            self.take(f"192.0.2.{number % 5}")
        while self.begun:
            self.end()
        turns = self.turns
        self.assertEqual((turns._queues, turns._waiting, turns._free), ({}, 0, 2))
        self.assertEqual((dict(turns._clients), turns._names), ({}, set()))
