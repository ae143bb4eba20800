"""Recipients and logins on the real store."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth import make_checkers, make_portal
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory import RecipientResolver
from pymailsuite.errors import LoginRefused, NoSuchUser
from pymailsuite.interfaces import IImapAvatar, LocalRecipient, RemoteRecipient
from tests.acceptance import acceptance
from tests.auth.support import Surroundings, credentials
from tests.support.directory import address_of
from tests.support.stores import make_account, make_store


class OnStoreTests(SynchronousTestCase):
    def setUp(self):
        self.store = make_store()
        self.world = Surroundings(self.store.directory, default_domain="a.example")
        self.accounts = {
            name: make_account(self.store, name, self.world.hashes.hash("secret"))
            for name in ("info@a.example", "info@b.example", "info@bücher.example")
        }
        self.resolver = RecipientResolver(DirectorySettings(), self.store.directory, Clock())

    def resolve(self, text):
        return self.successResultOf(self.resolver.resolve(address_of(text)))

    @acceptance("S205")
    def test_each_domain_has_its_own_info(self):
        for name, account in self.accounts.items():
            self.assertEqual(self.resolve(name), (LocalRecipient(account.account_id, address_of(name)),))

    def test_case_detail_and_either_form_of_the_domain(self):
        for text, name in (
            ("Info+x@a.example", "info@a.example"),
            ("INFO@a.example", "info@a.example"),
            ("info@xn--bcher-kva.example", "info@bücher.example"),
        ):
            self.assertEqual(self.resolve(text)[0].account_id, self.accounts[name].account_id)

    def test_aliases_catch_all_and_postmaster(self):
        directory = self.store.directory
        targets = [address_of("info@b.example"), address_of("x@far.example")]
        self.successResultOf(directory.set_alias(address_of("team@a.example"), targets))
        self.successResultOf(directory.set_catch_all("b.example", address_of("info@a.example")))
        b_info = LocalRecipient(self.accounts["info@b.example"].account_id, address_of("info@b.example"))
        self.assertEqual(self.resolve("Team@a.example"), (b_info, RemoteRecipient(address_of("x@far.example"))))
        self.assertEqual(self.resolve("whoever@b.example")[0].account_id, self.accounts["info@a.example"].account_id)
        self.assertEqual(self.resolve("postmaster@a.example")[0].account_id, self.accounts["info@a.example"].account_id)
        self.failureResultOf(self.resolver.resolve(address_of("whoever@a.example")), NoSuchUser)

    @acceptance("S092")
    def test_login_by_address_or_local_part_in_any_case(self):
        portal = make_portal(self.world.settings, self.store, make_checkers(self.world.all))
        for given, name in (
            ("INFO@B.example", "info@b.example"),
            ("Info", "info@a.example"),
            ("info@xn--bcher-kva.example", "info@bücher.example"),
        ):
            logged_in = portal.login(credentials(given, "secret"), None, IImapAvatar)
            self.assertIsInstance(logged_in, Deferred)
            _, avatar, _ = self.successResultOf(logged_in)
            self.assertEqual(avatar.account.login_name, name)
        self.failureResultOf(portal.login(credentials("info", "wrong"), None, IImapAvatar), LoginRefused)
        self.successResultOf(self.store.directory.set_enabled(self.accounts["info@a.example"].account_id, False))
        self.failureResultOf(portal.login(credentials("info", "secret"), None, IImapAvatar), LoginRefused)
