"""Guessing passwords is made slow and then refused, without locking anybody out of an account."""

from __future__ import annotations

from twisted.cred.credentials import UsernamePassword
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth.throttle import LoginThrottle, ThrottledPortal
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.config.sections.throttle import ThrottleSettings
from pymailsuite.errors import LoginRefused, TooManyFailedLogins
from pymailsuite.interfaces import IPop3Avatar
from pymailsuite.store import inline_store
from pymailsuite.values import Peer
from tests.support.cred import make_portal

ANN, BOB = b"ann@mail.example", b"bob@mail.example"
GUESSER, HOME = "192.0.2.66", "198.51.100.1"


class ThrottleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = inline_store(StoreSection(), self.clock)
        self.successResultOf(self.store.open())
        self.portal = self.node()

    def node(self, **settings: object) -> ThrottledPortal:
        """One of several nodes on the same store."""
        inner = make_portal({ANN.decode(): "right", BOB.decode(): "right"})
        options = ThrottleSettings(**{"exempt_networks": (), **settings})  # type: ignore[arg-type]
        throttle = LoginThrottle(options, self.store.counts, self.clock)
        self.checker = inner.checker
        return ThrottledPortal(inner.realm, [inner.checker], throttle, "mail.example")

    def log_in(
        self, password: bytes, ip: str = GUESSER, name: bytes = ANN, portal: ThrottledPortal | None = None
    ) -> Deferred[object]:
        return (portal or self.portal).login(UsernamePassword(name, password), Peer(ip), IPop3Avatar)

    def guess(self, times: int, ip: str = GUESSER, name: bytes = ANN, portal: ThrottledPortal | None = None) -> None:
        for _ in range(times):
            refused = self.log_in(b"wrong", ip, name, portal)
            self.clock.advance(10)
            self.assertIs(type(self.failureResultOf(refused).value), LoginRefused)

    def test_who_guesses_too_often_is_refused_without_asking_anybody(self) -> None:
        self.guess(10)
        asked = len(self.checker.asked)
        for password in (b"wrong", b"right"):
            self.failureResultOf(self.log_in(password), TooManyFailedLogins)
        self.assertEqual(len(self.checker.asked), asked)

    def test_all_nodes_count_together(self) -> None:
        other = self.node()
        self.guess(5)
        self.guess(5, portal=other)
        self.failureResultOf(self.log_in(b"right"), TooManyFailedLogins)
        self.failureResultOf(self.log_in(b"right", portal=other), TooManyFailedLogins)

    def test_the_owner_is_not_locked_out_by_a_stranger(self) -> None:
        self.guess(10)
        self.successResultOf(self.log_in(b"right", HOME))
        self.successResultOf(self.log_in(b"right", name=BOB))

    def test_a_name_that_nobody_has_is_answered_like_any_other(self) -> None:
        self.guess(10, name=b"nobody@mail.example")
        self.failureResultOf(self.log_in(b"wrong", name=b"nobody@mail.example"), TooManyFailedLogins)

    def test_the_same_name_written_differently_is_one(self) -> None:
        self.guess(5)
        self.guess(5, name=b" ANN")
        self.failureResultOf(self.log_in(b"right"), TooManyFailedLogins)

    def test_the_addresses_of_an_ipv6_network_are_one(self) -> None:
        for number in range(10):
            self.guess(1, f"2001:db8::{number + 1:x}")
        self.failureResultOf(self.log_in(b"right", "2001:db8::ffff"), TooManyFailedLogins)
        self.successResultOf(self.log_in(b"right", "2001:db8:0:1::1"))

    def test_an_address_that_tries_many_names_is_refused(self) -> None:
        for number in range(50):
            self.guess(1, name=b"user%d@mail.example" % number)
        self.failureResultOf(self.log_in(b"right", name=BOB), TooManyFailedLogins)

    def test_a_name_guessed_from_everywhere_becomes_slow_but_for_those_who_proved_it(self) -> None:
        self.successResultOf(self.log_in(b"right", HOME))
        for number in range(30):
            self.guess(1, f"203.0.113.{number}")
        self.successResultOf(self.log_in(b"right", HOME))
        for password, ip in ((b"right", "198.51.100.8"), (b"wrong", "198.51.100.9")):
            waiting = self.log_in(password, ip)
            self.clock.advance(2.9)
            self.assertNoResult(waiting)
            self.clock.advance(0.2)
            (self.successResultOf if password == b"right" else self.failureResultOf)(waiting)

    def test_a_right_password_begins_the_count_anew(self) -> None:
        for _ in range(3):
            self.guess(9)
            self.successResultOf(self.log_in(b"right"))

    def test_the_window_ends(self) -> None:
        self.guess(10)
        self.clock.advance(900)
        self.successResultOf(self.log_in(b"right"))

    def test_a_login_without_a_failure_writes_nothing(self) -> None:
        self.patch(self.store.database, "_submit_write", lambda job: self.fail(job.description))
        self.successResultOf(self.log_in(b"right"))

    def test_exempt_networks_may_guess(self) -> None:
        portal = self.node(exempt_networks=["192.0.2.0/24"])
        self.guess(60, portal=portal)
        self.successResultOf(self.log_in(b"right", portal=portal))

    def test_a_login_that_tells_no_address_is_not_judged(self) -> None:
        self.guess(20, ip="")
        self.successResultOf(self.portal.login(UsernamePassword(ANN, b"right"), None, IPop3Avatar))
