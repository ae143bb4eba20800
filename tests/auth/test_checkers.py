"""The store's checker, and several checkers as one."""

from twisted.cred.checkers import ICredentialsChecker, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import fail, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pymailsuite.auth import CheckerChain, ForeignChecker, PasswordHashes
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.errors import LoginRefused, StoreUnavailable, TemporaryFailure
from tests.acceptance import acceptance
from tests.auth.support import CHEAP, Surroundings, credentials
from tests.support.directory import MemoryDirectory

OLD = PasswordHashes(AuthSettings(**(CHEAP | {"argon2_time_cost": 2})))
HASHES = PasswordHashes(AuthSettings(**CHEAP))


class StoreCheckerTests(SynchronousTestCase):
    def setUp(self):
        self.directory = (
            MemoryDirectory()
            .with_account("alice@mail.example", HASHES.hash("wonderland"))
            .with_account("gone@mail.example", HASHES.hash("secret"), enabled=False)
            .with_account("none@mail.example", "")
            .with_account("odd@mail.example", "$1$crypt")
            .with_account("old@mail.example", OLD.hash("secret"))
            .with_account("info@bücher.example", HASHES.hash("secret"))
        )
        self.configure()

    def configure(self, **settings):
        world = Surroundings(self.directory, **settings)
        self.checker, self.threads = world.store_checker(), world.threads

    def login(self, name, password):
        return self.successResultOf(self.checker.requestAvatarId(credentials(name, password)))

    def refused(self, name, password):
        return self.failureResultOf(self.checker.requestAvatarId(credentials(name, password)), LoginRefused).value

    def test_provides_its_interface(self):
        verifyObject(ICredentialsChecker, self.checker)

    def test_right_password_gives_the_account(self):
        self.assertEqual(self.login("alice@mail.example", "wonderland").login_name, "alice@mail.example")

    def test_no_refusal_tells_by_its_work_what_was_wrong_however_many_come_at_once(self):
        names = ("alice", "gone", "none", "odd", "old", "nobody", "Nobody")
        for at_once in (1, 2, 10):
            work = set()
            for name in names:
                self.threads.ran.clear()
                self.directory.asked.clear()
                self.threads.held = True
                given = credentials(f"{name}@mail.example", "wrong")
                waiting = [self.checker.requestAvatarId(given) for _ in range(at_once)]
                self.threads.release()
                for one in waiting:
                    self.failureResultOf(one, LoginRefused)
                work.add((tuple(self.threads.ran), len(self.directory.asked)))
            self.assertEqual(work, {(("verify",), at_once)})

    def test_the_store_is_asked_for_all_forms_of_a_domain_whatever_is_there(self):
        for name in ("info@bücher.example", "info@xn--bcher-kva.example", "nobody@bücher.example"):
            self.directory.asked.clear()
            self.refused(name, "wrong")
            self.assertEqual(len(self.directory.asked), 2)

    def test_a_name_that_no_store_could_hold_is_nobodys(self):
        for name in ("alice\0@mail.example", "\0"):
            self.refused(name, "wonderland")

    @acceptance("S092")
    def test_name_is_matched_in_lower_case_and_may_be_bare_by_setting(self):
        self.login("Alice@MAIL.example", "wonderland")
        self.refused("alice", "wonderland")
        self.configure(default_domain="mail.example")
        self.assertEqual(self.login("Alice", "wonderland").login_name, "alice@mail.example")

    def test_domain_of_the_name_in_either_form(self):
        self.login("info@xn--bcher-kva.example", "secret")
        self.login("info@Bücher.example", "secret")

    def test_all_refusals_look_alike_and_cost_the_same(self):
        seen = set()
        for name, password, cause in (
            ("alice@mail.example", "wrong", "bad password"),
            ("nobody@mail.example", "x", "unknown user"),
            ("gone@mail.example", "secret", "disabled"),
            ("gone@mail.example", "wrong", "bad password"),
            ("none@mail.example", "x", "bad password"),
            ("none@mail.example", "", "bad password"),
        ):
            for _ in range(2):
                self.threads.ran.clear()
                self.directory.asked.clear()
                error = self.refused(name, password)
                self.assertEqual(error.cause, cause)
                seen.add((error.public, error.smtp_code, tuple(self.threads.ran), len(self.directory.asked)))
        self.assertEqual(len(seen), 1)
        self.assertEqual(seen.pop()[2], ("verify",))

    def test_repeated_login_is_cheap_and_a_new_password_counts_at_once(self):
        self.login("alice@mail.example", "wonderland")
        self.login("alice@mail.example", "wonderland")
        self.assertEqual(self.threads.ran, ["verify"])
        account_id = self.directory.account_id("alice@mail.example")
        self.directory.set_password_hash(account_id, HASHES.hash("new"))
        self.refused("alice@mail.example", "wonderland")
        self.login("alice@mail.example", "new")

    def test_account_disabled_after_a_login_is_refused_at_once(self):
        self.login("alice@mail.example", "wonderland")
        self.directory.set_enabled(self.directory.account_id("alice@mail.example"), False)
        self.assertEqual(self.refused("alice@mail.example", "wonderland").cause, "disabled")

    def test_hash_that_nobody_can_use_is_refused_and_logged(self):
        with capturedLogs() as events:
            self.refused("odd@mail.example", "x")
        self.assertIn("auth.hash_unusable", [event.get("event") for event in events])

    def test_name_that_is_no_utf8_is_refused(self):
        self.failureResultOf(self.checker.requestAvatarId(UsernamePassword(b"\xff", b"x")), LoginRefused)

    def test_store_out_of_reach_is_no_refusal(self):
        self.directory.failure = StoreUnavailable()
        self.failureResultOf(
            self.checker.requestAvatarId(credentials("alice@mail.example", "wonderland")), StoreUnavailable
        )

    # --- renewing hashes

    def stored(self, name):
        return self.successResultOf(self.directory.credentials(name)).password_hash

    def test_hash_of_other_parameters_is_renewed_at_login(self):
        self.login("old@mail.example", "secret")
        self.assertIn("t=1", self.stored("old@mail.example"))
        self.login("old@mail.example", "secret")
        self.threads.ran.clear()
        self.login("old@mail.example", "secret")
        self.assertEqual(self.threads.ran, [])

    def test_wrong_password_renews_nothing(self):
        self.refused("old@mail.example", "wrong")
        self.assertIn("t=2", self.stored("old@mail.example"))

    def test_password_set_while_renewing_stays(self):
        new = HASHES.hash("new")
        hashing = self.checker._password_verifier.hashes

        class Interrupted:
            def hash(_, password):
                self.directory.set_password_hash(self.directory.account_id("old@mail.example"), new)
                return hashing.hash(password)

            def __getattr__(_, name):
                return getattr(hashing, name)

        self.patch(self.checker._password_verifier, "hashes", Interrupted())
        self.login("old@mail.example", "secret")
        self.assertEqual(self.stored("old@mail.example"), new)

    def test_login_is_good_though_the_renewed_hash_cannot_be_stored(self):
        self.patch(self.directory, "renew_password_hash", lambda *args: fail(StoreUnavailable()))
        with capturedLogs() as events:
            self.login("old@mail.example", "secret")
        self.assertIn("auth.rehash_failed", [event.get("event") for event in events])


@implementer(ICredentialsChecker)
class Answers:
    """Answers what it was given, and remembers who was asked for."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def requestAvatarId(self, asked):
        self.asked.append(asked.username)
        if isinstance(self.answer, ZeroDivisionError):
            raise self.answer
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)


class CheckerRowTests(SynchronousTestCase):
    def ask(self, *answers, name="alice", password="hunter2"):
        self.checkers = [Answers(answer) for answer in answers]
        row = CheckerChain(self.checkers)
        verifyObject(ICredentialsChecker, row)
        return row.requestAvatarId(credentials(name, password))

    def test_first_that_proves_decides(self):
        self.assertEqual(self.successResultOf(self.ask(UnauthorizedLogin(), b"alice", b"bob")), b"alice")
        self.assertEqual(self.checkers[2].asked, [])

    def test_refused_by_all_is_refused(self):
        self.failureResultOf(self.ask(UnauthorizedLogin(), LoginRefused()), LoginRefused)

    def test_refusal_is_logged_with_its_reason_and_without_the_password(self):
        for answers, reason in (
            ((LoginRefused(cause="unknown user"), LoginRefused(cause="bad password")), "bad password"),
            ((LoginRefused(cause="unknown user"),), "unknown user"),
            ((LoginRefused(cause="disabled"), LoginRefused(cause="unknown user")), "disabled"),
            ((UnauthorizedLogin(),), "bad password"),
        ):
            with capturedLogs() as events:
                self.failureResultOf(self.ask(*answers, name="ali\nce"), LoginRefused)
            (event,) = [event for event in events if event.get("event") == "auth.refused"]
            self.assertEqual((event["reason"], event["login_name"]), (reason, "ali\nce"))
            self.assertNotIn("hunter2", repr(events))

    def test_broken_checker_is_passed_over_if_another_proves(self):
        self.assertEqual(self.successResultOf(self.ask(ZeroDivisionError(), b"alice")), b"alice")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_broken_checker_makes_a_failure_temporary(self):
        self.failureResultOf(self.ask(LoginRefused(), ZeroDivisionError()), TemporaryFailure)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.failureResultOf(self.ask(StoreUnavailable(), LoginRefused()), StoreUnavailable)


class ForeignCheckerTests(SynchronousTestCase):
    def test_octets_or_text_as_the_checker_wants_them(self):
        for user, password in (("älice", "wönderland"), ("älice".encode(), "wönderland".encode())):
            memory = InMemoryUsernamePasswordDatabaseDontUse(**{})
            memory.addUser(user, password)
            checker = ForeignChecker(memory)
            verifyObject(ICredentialsChecker, checker)
            self.assertEqual(self.successResultOf(checker.requestAvatarId(credentials("älice", "wönderland"))), user)
            self.failureResultOf(checker.requestAvatarId(credentials("älice", "x")), UnauthorizedLogin)
            self.failureResultOf(checker.requestAvatarId(credentials("bob", "x")), UnauthorizedLogin)
