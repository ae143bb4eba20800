"""Checkers by description, the realm, and the portal over both."""

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm
from twisted.cred.strcred import AuthOptionMixin, ICheckerFactory
from twisted.plugin import IPlugin
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.auth import (
    ForeignChecker,
    MailRealm,
    PasswordFileChecker,
    StoreChecker,
    file_checker_factory,
    make_checkers,
    make_portal,
    store_checker_factory,
)
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.errors import ConfigError, LoginRefused, TemporaryFailure
from pymailsuite.interfaces import IImapAvatar, IPop3Avatar, ISubmissionAvatar
from tests.auth.support import Surroundings, credentials
from tests.support.directory import MemoryDirectory


class Store:
    """As much of a store as logging in sees."""

    def __init__(self, directory):
        self.directory = directory

    def account_mail(self, account_id):
        return ("mail of", account_id)


class FactoriesTests(SynchronousTestCase):
    def make(self, *checkers, further=()):
        world = Surroundings(MemoryDirectory(), checkers=checkers)
        return make_checkers(world.all, further)

    def test_factories_are_what_a_plugin_file_declares(self):
        for factory in (store_checker_factory, file_checker_factory):
            verifyObject(ICheckerFactory, factory)
            verifyObject(IPlugin, factory)

    def test_each_description_makes_its_checker_in_order(self):
        made = self.make("mailfile:/etc/passwords", "mailstore", "memory:alice:x")
        self.assertEqual([type(checker) for checker in made], [PasswordFileChecker, StoreChecker, ForeignChecker])

    def test_checkers_of_the_command_line_come_after(self):
        class Options(usage.Options, AuthOptionMixin):
            pass

        options = Options()
        options.parseOptions(["--auth", "memory:bob:x"])
        declared = store_checker_factory.generateChecker("")
        verifyObject(ICredentialsChecker, declared)
        options.addChecker(declared)
        self.failureResultOf(declared.requestAvatarId(credentials("a", "b")), TemporaryFailure)
        made = self.make(further=options["credCheckers"])
        self.assertEqual([type(checker) for checker in made], [ForeignChecker, StoreChecker])

    def test_wrong_descriptions_are_errors_of_the_configuration_without_their_argument(self):
        for description in ("nosuch:hunter2", "mailfile", "mailstore:hunter2", "memory:hunter2", "anonymous"):
            with self.subTest(description=description):
                error = self.assertRaises(ConfigError, self.make, description)
                self.assertNotIn("hunter2", error.public)


class PortalTests(SynchronousTestCase):
    def setUp(self):
        self.directory = MemoryDirectory()
        world = Surroundings(
            self.directory, checkers=("mailstore", "memory:bob:builder:ghost:x"), default_domain="mail.example"
        )
        self.directory.with_account("alice@mail.example", world.hashes.hash("wonderland"))
        self.directory.with_account("bob@mail.example")
        self.portal = make_portal(world.settings, Store(self.directory), make_checkers(world.all))
        self.threads = world.threads

    def login(self, name, password, interface=IImapAvatar):
        return self.portal.login(credentials(name, password), None, interface)

    def test_avatar_for_each_protocol_has_account_and_mail(self):
        verifyObject(IRealm, self.portal.realm)
        for asked in (ISubmissionAvatar, IImapAvatar, IPop3Avatar):
            interface, avatar, logout = self.successResultOf(self.login("alice", "wonderland", asked))
            self.assertIs(interface, asked)
            verifyObject(asked, avatar)
            self.assertEqual(avatar.account.login_name, "alice@mail.example")
            self.assertEqual(avatar.mail, ("mail of", avatar.account.account_id))
            logout()

    def test_name_proved_by_another_checker_is_an_account_of_the_store(self):
        _, avatar, _ = self.successResultOf(self.login("bob", "builder"))
        self.assertEqual(avatar.account.login_name, "bob@mail.example")

    def test_name_without_an_account_is_refused_as_a_wrong_password_is(self):
        wrong = self.failureResultOf(self.login("alice", "x"), LoginRefused).value
        without = self.failureResultOf(self.login("ghost", "x"), LoginRefused).value
        self.assertEqual(wrong.public, without.public)

    def test_disabled_account_is_refused_whoever_proved_it(self):
        self.directory.set_enabled(self.directory.account_id("bob@mail.example"), False)
        self.assertEqual(self.failureResultOf(self.login("bob", "builder"), LoginRefused).value.cause, "disabled")

    def test_nobody_logs_in_to_a_shared_account_whatever_is_proved(self):
        self.directory.with_account("team@mail.example", is_shared=True)
        realm = MailRealm(AuthSettings(), Store(self.directory))
        refused = self.failureResultOf(realm.requestAvatar("team@mail.example", None, IImapAvatar), LoginRefused)
        self.assertEqual(refused.value.cause, "shared account")

    def test_login_reads_the_account_once(self):
        self.directory.asked.clear()
        self.login("alice", "wonderland")
        self.assertEqual(len(self.directory.asked), 1)

    def test_realm_knows_nothing_of_other_avatars(self):
        realm = MailRealm(AuthSettings(), Store(self.directory))
        self.assertRaises(NotImplementedError, realm.requestAvatar, "alice@mail.example", None, IRealm)
