"""What a login was granted ends when the password is set, or the account disabled or removed, by whichever process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth import LoginWatch, OpenLogins
from pymailsuite.auth.realm import MailRealm
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces import IImapAvatar
from pymailsuite.values import AccountId
from tests.support.stores import make_account, make_store

ANN, BOB = "ann@example.org", "bob@example.org"


class LoginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = make_store(self.clock)
        self.directory = self.store.directory
        self.accounts = {name: make_account(self.store, name, "hash") for name in (ANN, BOB)}
        self.logins = OpenLogins()
        self.realm = MailRealm(AuthSettings(), self.store, self.logins)
        self.watch = LoginWatch(self.logins, self.directory, 2.0, self.clock)
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        self.ended: list[str] = []
        self.asked: list[Sequence[AccountId]] = []

    def log_in(self, name: str) -> Any:
        """Somebody who has proved the password; how to log out."""
        account = self.successResultOf(self.directory.account(name))
        _, avatar, log_out = self.successResultOf(self.realm.requestAvatar(account, None, IImapAvatar))
        avatar.on_ended(lambda: self.ended.append(name))
        return log_out

    def look(self) -> list[str]:
        """Whose logins have ended by the next look."""
        self.clock.advance(2.0)
        ended, self.ended = self.ended, []
        return ended

    def count_looks(self) -> None:
        """Remember in ``asked`` which accounts were asked about."""
        look = self.directory.login_epochs

        def counted(account_ids: Sequence[AccountId]) -> Deferred[Any]:
            self.asked.append(list(account_ids))
            return look(account_ids)

        self.patch(self.directory, "login_epochs", counted)

    def test_they_end_with_the_password(self) -> None:
        for name in (ANN, ANN, BOB):
            self.log_in(name)
        self.assertEqual(self.look(), [])
        self.successResultOf(self.directory.set_password_hash(self.accounts[ANN].account_id, "other"))
        self.assertEqual(self.look(), [ANN, ANN])
        self.assertEqual((self.look(), len(self.logins)), ([], 1))

    def test_they_end_when_the_account_is_disabled_though_it_was_enabled_again(self) -> None:
        self.log_in(ANN)
        for enabled in (False, True):
            self.successResultOf(self.directory.set_enabled(self.accounts[ANN].account_id, enabled))
        self.assertEqual(self.look(), [ANN])

    def test_they_end_when_the_account_is_removed_though_there_is_one_of_that_name_again(self) -> None:
        self.log_in(ANN)
        self.successResultOf(self.directory.remove_account(ANN))
        self.successResultOf(self.directory.add_account(ANN, "hash", ""))
        self.assertEqual(self.look(), [ANN])

    def test_another_hash_of_the_same_password_ends_nothing(self) -> None:
        self.log_in(ANN)
        account_id = self.accounts[ANN].account_id
        self.assertTrue(self.successResultOf(self.directory.renew_password_hash(account_id, "hash", "renewed")))
        self.assertFalse(self.successResultOf(self.directory.renew_password_hash(account_id, "hash", "late")))
        self.assertEqual(self.look(), [])
        self.assertEqual(self.successResultOf(self.directory.credentials(ANN)).password_hash, "renewed")

    def test_a_password_set_while_the_old_one_was_being_proved_ends_that_login(self) -> None:
        self.log_in(BOB)
        account = self.accounts[ANN]
        self.successResultOf(self.directory.set_password_hash(account.account_id, "other"))
        self.assertEqual(self.look(), [])
        _, avatar, _ = self.successResultOf(self.realm.requestAvatar(account, None, IImapAvatar))
        avatar.on_ended(lambda: self.ended.append(ANN))
        self.assertEqual(self.look(), [ANN])

    def test_whoever_has_logged_out_is_not_told(self) -> None:
        self.log_in(ANN)()
        self.successResultOf(self.directory.remove_account(ANN))
        self.assertEqual((self.look(), len(self.logins)), ([], 0))

    def test_one_that_cannot_be_ended_keeps_no_other_from_it(self) -> None:
        _, avatar, _ = self.successResultOf(self.realm.requestAvatar(self.accounts[ANN], None, IImapAvatar))
        avatar.on_ended({}.popitem)
        self.log_in(ANN)
        self.log_in(BOB)
        for name in (ANN, BOB):
            self.successResultOf(self.directory.remove_account(name))
        self.assertEqual(sorted(self.look()), [ANN, BOB])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_while_nothing_changes_one_row_is_looked_at(self) -> None:
        self.count_looks()
        self.look()
        self.log_in(ANN)
        self.look()
        self.asked.clear()
        for _ in range(3):
            self.look()
        self.assertEqual(self.asked, [[], [], []])

    def test_a_look_that_failed_is_made_again(self) -> None:
        self.log_in(ANN)
        self.look()
        self.log_in(BOB)
        for name in (ANN, BOB):
            self.successResultOf(self.directory.remove_account(name))
        look = self.directory.login_epochs
        self.patch(self.directory, "login_epochs", lambda account_ids: fail(StoreUnavailable()))
        self.assertEqual(self.look(), [])
        self.patch(self.directory, "login_epochs", look)
        self.assertEqual(sorted(self.look()), [ANN, BOB])
