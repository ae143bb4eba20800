"""Whatever fails or is called off while a login is judged: its turn is given back, and nothing is counted but wrong
passwords."""

from __future__ import annotations

import pytest
from twisted.cred.credentials import UsernamePassword
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth.login_queue import LoginQueue
from pymailsuite.auth.throttle import Attempt, LoginThrottle, ThrottledPortal
from pymailsuite.config.sections.throttle import ThrottleSettings
from pymailsuite.directory.account_names import AccountNames
from pymailsuite.errors import LoginRefused, MailError, StorageFull, StoreUnavailable
from pymailsuite.interfaces import IPop3Avatar
from pymailsuite.values import Peer
from tests.support.cred import make_portal
from tests.support.failures import Defect
from tests.support.interference import Interference, calls_of, failing, held, held_and_done
from tests.support.stores import make_account, make_store

pytestmark = pytest.mark.sqlite

ANN = "ann@mail.example"
HERE, ELSEWHERE = "192.0.2.66", "198.51.100.1"
AT_ONCE = 4


class Login:
    """One login, to a name that is under attack from elsewhere."""

    def __init__(self, interference: Interference, password: bytes = b"right", waits: bool = True) -> None:
        self.interference = interference
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        store = make_store(self.clock)
        make_account(store, ANN)
        self.inner = make_portal({ANN: "right"}, store)
        settings = ThrottleSettings(exempt_networks=(), slow_after=1)
        names = AccountNames("+", store.directory)
        self.throttle = LoginThrottle(settings, store.state, self.clock, names.key_of)
        self.turns = LoginQueue(at_once=AT_ONCE, waiting=10, waiting_per_client=5)
        self.portal = ThrottledPortal(self.inner.realm, [self.inner.checker], self.throttle, self.turns, "mail.example")
        for _ in range(3):
            self.begin(b"wrong", ELSEWHERE).addErrback(lambda _: None)
            self.clock.advance(60)
        interference.inside(store.database)
        self.answers: list[object] = []
        self.login = self.begin(password, HERE)
        self.login.addBoth(self.answers.append)
        if waits:
            self.wait()

    def begin(self, password: bytes, ip: str) -> Deferred[object]:
        return self.portal.login(UsernamePassword(ANN.encode(), password), Peer(ip), IPop3Avatar)

    def wait(self) -> None:
        self.clock.advance(60)

    @property
    def counted(self) -> int:
        """Wrong passwords of this address."""
        attempt = Attempt.of(ANN, HERE)
        totals: list[dict[object, int]] = []
        with self.interference.aside():
            Deferred.fromCoroutine(self.throttle._counts.totals(attempt.keys)).addCallback(totals.append)  # type: ignore[arg-type]
        return totals[0][attempt.address]


class FailureTests(SynchronousTestCase):
    def check_nothing_is_left(self, login: Login, counted: int) -> None:
        login.interference.stop()
        self.assertEqual(len(login.answers), 1)
        self.assertEqual(login.turns._free, AT_ONCE)
        self.assertEqual(login.turns._waiting, 0)
        self.assertEqual(login.clock.getDelayedCalls(), [])
        self.assertEqual(login.counted, counted, login.answers)
        self.assertEqual(login.inner.realm.logged_out, login.inner.realm.logged_in * (not self.is_in(login)))

    @staticmethod
    def is_in(login: Login) -> bool:
        return not isinstance(login.answers[0], Failure)

    def test_every_call_fails_once(self) -> None:
        for call in calls_of(Login):
            for error in (StoreUnavailable(), StorageFull(), Defect()):
                with self.subTest(call=call, error=error):
                    login = Login(Interference(call, failing(error)))
                    if not self.is_in(login):
                        self.assertIsInstance(login.answers[0].value, (MailError, Defect))  # type: ignore[attr-defined]
                    is_left = call[1] == "write take back from counts"
                    self.check_nothing_is_left(login, int(is_left))
                    self.flushLoggedErrors(Defect)

    def test_a_wrong_password_is_counted_whatever_fails(self) -> None:
        for call in calls_of(lambda interference: Login(interference, b"wrong")):
            with self.subTest(call=call):
                login = Login(Interference(call, failing(StorageFull())), b"wrong")
                refused = login.answers[0].check(LoginRefused) is not None  # type: ignore[attr-defined]
                self.check_nothing_is_left(login, int(refused))

    def test_the_client_leaves_at_every_call(self) -> None:
        for call in calls_of(Login):
            for act in (held, held_and_done):
                with self.subTest(call=call, act=act):
                    login = Login(Interference(call, act))
                    login.login.cancel()
                    if login.interference.held is not None and not login.interference.held.called:
                        login.interference.release()
                    self.check_nothing_is_left(login, 0)

    def test_the_client_leaves_while_its_name_is_slowed_down(self) -> None:
        login = Login(Interference(), waits=False)
        self.assertEqual(login.answers, [])
        login.login.cancel()
        self.assertIsInstance(login.answers[0].value, CancelledError)  # type: ignore[attr-defined]
        self.check_nothing_is_left(login, 0)
