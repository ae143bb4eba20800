"""Logging in by SCRAM: keys of accounts, and of names that nobody has."""

from functools import partial

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth import (
    CheckerChain,
    LoginQueue,
    LoginThrottle,
    PasswordHashes,
    ScramLookup,
    StoreChecker,
    ThrottledPortal,
    make_scram_keys,
)
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.config.sections.throttle import ThrottleSettings
from pymailsuite.errors import LoginRefused, StoreUnavailable, TooManyFailedLogins
from pymailsuite.interfaces import Account, IImapAvatar
from pymailsuite.interfaces.secrets import Secret
from pymailsuite.sasl import Challenge, Exchange, ScramServer
from pymailsuite.values import Peer
from tests.acceptance import acceptance
from tests.auth.support import CHEAP, Surroundings, credentials
from tests.support.directory import MemoryDirectory
from tests.support.scram import ScramClient

SETTINGS = AuthSettings(**CHEAP, scram=True, scram_iterations=4096, default_domain="mail.example")
HASH = PasswordHashes(SETTINGS).hash("wonderland")
KEYS = make_scram_keys(SETTINGS, "wonderland")


class Secrets:
    """Secrets of a store; the second is newer."""

    def secrets(self, name):
        return succeed([Secret(b"new", 2.0), Secret(b"first", 1.0)])


class Realm:
    """The avatar is the account."""

    def requestAvatar(self, avatar_id, mind, *interfaces):
        return succeed((IImapAvatar, avatar_id, lambda: None))


class ScramTests(SynchronousTestCase):
    def setUp(self):
        self.directory = MemoryDirectory()
        for name, enabled in (("alice", True), ("gone", False)):
            self.directory.with_account(f"{name}@mail.example", HASH, enabled=enabled)
            self.directory.keep_scram_keys(self.directory.account_id(f"{name}@mail.example"), HASH, KEYS)
        self.directory.with_account("late@mail.example", HASH)
        self.world = Surroundings(self.directory, scram=True, scram_iterations=4096, default_domain="mail.example")
        self.checker = StoreChecker(
            SETTINGS, self.directory, self.world.password_verifier, partial(make_scram_keys, SETTINGS)
        )
        self.lookup = ScramLookup(SETTINGS, self.directory, Secrets())
        throttle = LoginThrottle(ThrottleSettings(failures_per_login=3), None, Clock())
        self.portal = ThrottledPortal(
            Realm(), [CheckerChain([self.checker])], throttle, LoginQueue(2, 10, 10), "mail.example"
        )

    def proof(self, name, password):
        """What the portal is asked with after such an exchange."""
        client, exchange = ScramClient(name, password), Exchange(ScramServer(self.lookup.keys_of))
        pending = exchange.begin(client.first())
        challenge = self.successResultOf(Deferred.fromCoroutine(pending.outcome))
        outcome = exchange.go_on(client.final(challenge.octets))
        return exchange.go_on(b"") if isinstance(outcome, Challenge) else outcome

    def login(self, name, password):
        return self.portal.login(self.proof(name, password), Peer("192.0.2.1", 1), IImapAvatar)

    @acceptance("S134")
    def test_who_knows_the_password_is_let_in_without_sending_it(self):
        for name in ("alice", "Alice@MAIL.example"):
            _, account, _ = self.successResultOf(self.login(name, "wonderland"))
            self.assertIsInstance(account, Account)
            self.assertEqual(account.login_name, "alice@mail.example")
        self.assertEqual(self.world.threads.ran, [])

    def test_all_others_are_refused(self):
        for name in ("alice", "gone", "late", "nobody"):
            self.failureResultOf(self.login(name, "wrong"), LoginRefused)
        for name in ("gone", "late", "nobody"):
            self.failureResultOf(self.login(name, "wonderland"), LoginRefused)

    def test_wrong_proofs_are_counted_as_wrong_passwords_are(self):
        for _ in range(3):
            self.failureResultOf(self.login("alice", "wrong"), LoginRefused)
        self.failureResultOf(self.login("alice", "wonderland"), TooManyFailedLogins)

    def test_names_that_nobody_has_have_a_salt_that_stays(self):
        salts = {}
        for name in (b"nobody", b"Nobody@mail.example", b"late", b"gone"):
            for lookup in (self.lookup, ScramLookup(SETTINGS, self.directory, Secrets())):
                keys = self.successResultOf(Deferred.fromCoroutine(lookup.keys_of(name)))
                self.assertEqual(keys.iterations, 4096)
                self.assertEqual(salts.setdefault(name, keys.salt), keys.salt)
        self.assertEqual(salts[b"nobody"], salts[b"Nobody@mail.example"])
        self.assertEqual(len(set(salts.values())), 3)

    def test_a_name_that_is_no_text_is_refused(self):
        self.failureResultOf(Deferred.fromCoroutine(self.lookup.keys_of(b"\xff")), LoginRefused)

    def test_a_password_that_was_set_meanwhile_counts(self):
        proof = self.proof("alice", "wonderland")
        self.directory.set_password_hash(self.directory.account_id("alice@mail.example"), HASH)
        self.failureResultOf(self.checker.requestAvatarId(proof), LoginRefused)

    def test_keys_are_made_at_the_next_login_with_a_password(self):
        self.successResultOf(self.checker.requestAvatarId(credentials("late", "wonderland")))
        self.successResultOf(self.login("late", "wonderland"))
        self.world.threads.ran.clear()
        self.successResultOf(self.checker.requestAvatarId(credentials("late", "wonderland")))
        self.assertEqual(self.world.threads.ran, [])

    def test_a_login_is_good_though_its_keys_cannot_be_kept(self):
        self.patch(self.directory, "keep_scram_keys", lambda *_: fail(StoreUnavailable()))
        self.successResultOf(self.checker.requestAvatarId(credentials("late", "wonderland")))

    def test_a_password_that_has_no_form_has_no_keys(self):
        self.assertEqual(make_scram_keys(SETTINGS, "bell \a"), "")
        self.assertEqual(make_scram_keys(SETTINGS, b"\xff"), "")
