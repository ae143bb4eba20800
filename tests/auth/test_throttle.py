"""Guessing passwords is made slow and then refused, without locking anybody out of an account."""

from __future__ import annotations

from twisted.cred.credentials import UsernamePassword
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth.login_queue import LoginQueue
from pymailsuite.auth.throttle import Attempt, LoginThrottle, ThrottledPortal
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.config.sections.throttle import ThrottleSettings
from pymailsuite.directory.account_names import AccountNames
from pymailsuite.errors import LoginRefused, StorageFull, StoreUnavailable, TooManyFailedLogins
from pymailsuite.interfaces import Count, IPop3Avatar
from pymailsuite.store import inline_store
from pymailsuite.store.jobs import Job
from pymailsuite.values import Address, Peer
from tests.support.cred import PasswordTable, make_portal
from tests.support.stores import make_account

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
        names = AccountNames("+", self.store.directory)
        throttle = LoginThrottle(options, self.store.state, self.clock, names.key_of)
        self.checker = inner.checker
        turns = LoginQueue(at_once=4, waiting=1000, waiting_per_client=200)
        return ThrottledPortal(inner.realm, [inner.checker], throttle, turns, "mail.example")

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

    def test_all_spellings_of_a_domain_are_one(self) -> None:
        spellings = [
            "ann@bücher.example",
            "ANN@xn--bcher-kva.example",
            "ann@BU\u0308CHER.EXAMPLE",
            "ann@bu\u0308cher.example.",
            "ann@bücher。example",
            "ann@ｂüｃher.example",
            "ann@bü\u00adcher.example",
        ]
        for number, name in enumerate(spellings * 2):
            if number < 10:
                self.guess(1, name=name.encode())
        for name in spellings:
            self.failureResultOf(self.log_in(b"right", name=name.encode()), TooManyFailedLogins)

    def test_all_names_of_an_account_are_one(self) -> None:
        make_account(self.store, ANN.decode())
        aliases = {"sales": "office", "office": "ann", "list": "ann"}
        for alias, target in aliases.items():
            targets = [Address(target, "mail.example")] + [Address("bob", "mail.example")] * (alias == "list")
            self.successResultOf(self.store.directory.set_alias(Address(alias, "mail.example"), targets))
        for name in (b"sales", b"ann+x", b"office@mail.example", b"sales+y", b"ann") * 2:
            self.guess(1, name=name)
        self.failureResultOf(self.log_in(b"right"), TooManyFailedLogins)
        self.guess(1, name=b"list")
        self.guess(1, name=b"nobody+x")

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

    def test_a_login_with_what_was_right_before_writes_nothing(self) -> None:
        self.successResultOf(self.log_in(b"right"))
        self.patch(self.store.database, "_submit_write", lambda job: self.fail(job.description))
        self.successResultOf(self.log_in(b"right"))

    def test_a_login_without_a_failure_waits_for_no_disk(self) -> None:
        lasting: list[bool] = []
        submit = self.store.database._submit_write

        def noting(job: Job) -> Deferred[object]:
            lasting.append(job.lasting)
            return submit(job)

        self.patch(self.store.database, "_submit_write", noting)
        self.successResultOf(self.log_in(b"right"))
        self.assertEqual(lasting, [False, False])

    def test_many_guesses_at_once_are_no_more_tries_than_many_in_turn(self) -> None:
        nodes = [self.node() for _ in range(2)]
        checkers = [self.hold(portal) for portal in nodes]
        guesses = [self.log_in(b"wrong%d" % number, portal=nodes[number % 2]) for number in range(200)]
        for _ in range(200):
            for checker in checkers:
                checker.release()
                checker.hold()
        for guess in guesses:
            self.failureResultOf(guess, LoginRefused)
        self.assertEqual(sum(len(checker.asked) for checker in checkers), 10)

    def hold(self, portal: ThrottledPortal) -> PasswordTable:
        """Its checker, which answers only when it is told to."""
        (checker,) = portal.checkers.values()
        assert isinstance(checker, PasswordTable)
        checker.hold()
        return checker

    def test_many_right_passwords_at_once_are_one_proof_and_no_failure(self) -> None:
        checker = self.hold(self.portal)
        logins = [self.log_in(b"right", HOME) for _ in range(60)]
        self.assertEqual(len(checker._held or ()), 1)
        checker.release()
        for login in logins:
            self.successResultOf(login)
        self.assertEqual(
            self.successResultOf(self.store.state.counted(Attempt.of(ANN.decode(), HOME).keys)),
            {key: Count(0, self.clock.seconds() + 900) for key in Attempt.of(ANN.decode(), HOME).keys},
        )

    def test_whoever_leaves_before_the_answer_has_tried_all_the_same(self) -> None:
        for _ in range(10):
            checker = self.hold(self.portal)
            guess = self.log_in(b"wrong").addErrback(lambda failure: None)
            guess.cancel()
            checker.release()
        self.failureResultOf(self.log_in(b"right"), TooManyFailedLogins)

    def test_whoever_leaves_before_a_right_answer_is_logged_out(self) -> None:
        checker = self.hold(self.portal)
        login = self.log_in(b"right").addErrback(lambda failure: None)
        login.cancel()
        checker.release()
        self.assertEqual(self.portal.realm.logged_out, [ANN.decode()])
        self.successResultOf(self.log_in(b"right"))

    def test_whoever_leaves_while_waiting_is_asked_of_nobody(self) -> None:
        checker = self.hold(self.portal)
        first, *others = [self.log_in(b"wrong%d" % number) for number in range(20)]
        for login in others:
            login.addErrback(lambda failure: None)
            login.cancel()
        checker.release()
        self.failureResultOf(first, LoginRefused)
        self.assertEqual(len(checker.asked), 1)
        self.successResultOf(self.log_in(b"right"))

    def test_an_attempt_that_nobody_could_judge_does_not_count(self) -> None:
        self.patch(self.checker_of(self.portal), "requestAvatarId", lambda credentials: fail(StoreUnavailable()))
        for _ in range(20):
            self.failureResultOf(self.log_in(b"right"), StoreUnavailable)
        self.patch(
            self.checker_of(self.portal), "requestAvatarId", PasswordTable({ANN.decode(): "right"}).requestAvatarId
        )
        self.successResultOf(self.log_in(b"right"))

    def checker_of(self, portal: ThrottledPortal) -> object:
        (checker,) = portal.checkers.values()
        return checker

    def test_a_full_disk_changes_no_answer(self) -> None:
        self.patch(self.store.database, "_submit_write", lambda job: fail(StorageFull()))
        self.guess(10)
        self.failureResultOf(self.log_in(b"right"), TooManyFailedLogins)
        self.successResultOf(self.log_in(b"right", HOME))
        for number in range(40):
            self.guess(1, name=b"user%d@mail.example" % number)
        self.failureResultOf(self.log_in(b"right", name=BOB), TooManyFailedLogins)
        self.clock.advance(900)
        self.successResultOf(self.log_in(b"right"))

    def test_a_name_under_attack_keeps_nobody_elses_login_waiting(self) -> None:
        for number in range(30):
            self.guess(1, f"203.0.113.{number}")
        for number in range(100, 120):
            self.log_in(b"wrong", f"203.0.113.{number}").addErrback(lambda failure: None)
        self.successResultOf(self.log_in(b"right", HOME, name=BOB))

    def elsewhere(self, password: bytes, answer: Deferred[object], ip: str = GUESSER) -> Deferred[object]:
        """A login whose password another server proves."""

        async def ask() -> object:
            self.asked_elsewhere += 1
            return await answer

        return self.portal.login_elsewhere(UsernamePassword(ANN, password), Peer(ip), ask)

    asked_elsewhere = 0

    def test_guesses_at_passwords_that_another_server_proves_are_counted_too(self) -> None:
        for _ in range(10):
            self.failureResultOf(self.elsewhere(b"wrong", fail(LoginRefused())), LoginRefused)
        for _ in range(3):
            self.failureResultOf(self.elsewhere(b"right", succeed((None, None, None))), TooManyFailedLogins)
        self.assertEqual(self.asked_elsewhere, 10)
        self.successResultOf(self.elsewhere(b"right", succeed((None, None, None)), HOME))

    def test_another_server_that_is_away_counts_for_nothing_and_keeps_nobody_waiting(self) -> None:
        for _ in range(30):
            self.failureResultOf(self.elsewhere(b"right", fail(StoreUnavailable())), StoreUnavailable)
        waiting = [self.elsewhere(b"right", Deferred(), f"203.0.113.{number}") for number in range(20)]
        self.successResultOf(self.log_in(b"right", HOME, name=BOB))
        self.assertFalse(any(one.called for one in waiting))

    def test_whoever_leaves_before_another_server_answers_is_logged_out_there(self) -> None:
        answer: Deferred[object] = Deferred()
        left: list[bool] = []
        self.elsewhere(b"right", answer).addErrback(lambda _: None).cancel()
        answer.callback((None, None, lambda: left.append(True)))
        self.assertEqual(left, [True])

    def test_exempt_networks_may_guess(self) -> None:
        portal = self.node(exempt_networks=["192.0.2.0/24"])
        self.guess(60, portal=portal)
        self.successResultOf(self.log_in(b"right", portal=portal))

    def test_a_login_that_tells_no_address_is_not_judged(self) -> None:
        self.guess(20, ip="")
        self.successResultOf(self.portal.login(UsernamePassword(ANN, b"right"), None, IPop3Avatar))
