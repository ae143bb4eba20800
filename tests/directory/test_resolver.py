"""What addresses resolve to."""

import ast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory import AliasLoop, RecipientResolver
from pymailsuite.directory.roles import ROLES, RoleAddresses
from pymailsuite.errors import NoSuchUser, StoreUnavailable
from pymailsuite.interfaces import IDirectoryStore, IRecipientResolver, LocalRecipient, RemoteRecipient
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.support.directory import MemoryDirectory, address_of

NO_ROLES = RoleAddresses()


class ResolverTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.directory = (
            MemoryDirectory()
            .with_domain("mail.example")
            .with_account("alice@mail.example")
            .with_account("bob@mail.example")
            .with_account("gone@mail.example", enabled=False)
        )
        self.configure()

    def configure(self, roles=NO_ROLES, **settings):
        self.resolver = RecipientResolver(DirectorySettings(**settings), self.directory, self.clock, roles)

    def resolve(self, text):
        return self.successResultOf(self.resolver.resolve(address_of(text)))

    def refused(self, text, error=NoSuchUser):
        return self.failureResultOf(self.resolver.resolve(address_of(text)), error).value

    def local(self, text, login_name=None, mailbox="INBOX"):
        account_id = self.directory.account_id(login_name or text.lower())
        return LocalRecipient(account_id, address_of(text), mailbox)

    def test_provides_its_interface(self):
        verifyObject(IRecipientResolver, self.resolver)
        verifyObject(IDirectoryStore, self.directory)

    def test_account_in_any_case(self):
        self.assertEqual(self.resolve("Alice@MAIL.example"), (self.local("Alice@MAIL.example", "alice@mail.example"),))

    def test_a_decomposed_local_part_is_the_same_address_and_goes_on_as_it_was_written(self):
        decomposed = "zoe\u0308"
        self.directory.with_account("zo\xeb@mail.example").with_alias("caf\xe9@mail.example", "x@far.example")
        found = self.resolve(f"{decomposed}+X\u0308@mail.example")
        self.assertEqual([recipient.login_name for recipient in found], ["zo\xeb@mail.example"])
        self.assertEqual(self.resolve("cafe\u0301@mail.example"), (RemoteRecipient(address_of("x@far.example")),))
        remote = self.resolve(f"{decomposed}@far.example")[0].address
        self.assertEqual(remote.local_part, decomposed)

    def test_what_goes_on_unquoted_is_not_taken_from_another_message(self):
        for unquoted in (False, True, False):
            (recipient,) = self.successResultOf(self.resolver.resolve(Address("a..b", "far.example", unquoted)))
            self.assertEqual(str(recipient.address), "a..b@far.example" if unquoted else '"a..b"@far.example')

    @acceptance("S041")
    def test_domain_that_is_not_ours_resolves_to_itself(self):
        self.assertEqual(self.resolve("x@far.example"), (RemoteRecipient(address_of("x@far.example")),))
        self.assertFalse(self.successResultOf(self.resolver.is_local_domain("far.example")))
        self.assertTrue(self.successResultOf(self.resolver.is_local_domain("MAIL.example")))

    def test_unknown_and_disabled_users_are_refused_alike(self):
        for text in ("nobody@mail.example", "gone@mail.example"):
            error = self.refused(text)
            self.assertEqual((error.smtp_code, error.enhanced_code, error.public), (550, "5.1.1", NoSuchUser.text))

    @acceptance("S205")
    def test_the_same_local_part_in_each_of_many_domains(self):
        for number in range(50):
            self.directory.with_domain(f"d{number}.example").with_account(f"info@d{number}.example")
        for number in range(50):
            text = f"info@d{number}.example"
            self.assertEqual(self.resolve(text), (self.local(text),))

    # --- what is wanted otherwise of the checks

    def want(self, name, **actions):
        change = self.directory.change_account_overrides if "@" in name else self.directory.change_domain_overrides
        self.successResultOf(change(name, lambda old: RecipientOverrides(actions=actions).over(old)))

    def wanted(self, text):
        (actions,) = {str(one.overrides.actions) for one in self.resolve(text)}
        return ast.literal_eval(actions)

    def test_what_the_account_wants_goes_before_what_the_domain_of_the_address_wants(self):
        self.assertIs(self.resolve("alice@mail.example")[0].overrides, NO_OVERRIDES)
        self.configure()
        self.want("mail.example", greylist="off", spf="log")
        self.want("alice@mail.example", spf="reject")
        self.assertEqual(self.wanted("Alice@mail.example"), {"greylist": "off", "spf": "reject"})
        self.assertEqual(self.wanted("alice+lists@mail.example"), {"greylist": "off", "spf": "reject"})
        self.assertEqual(self.wanted("bob@mail.example"), {"greylist": "off", "spf": "log"})
        self.assertEqual(self.wanted("x@far.example"), {})

    def test_an_alias_has_the_wishes_of_its_domain_and_of_the_one_account_its_mail_goes_to(self):
        self.directory.with_domain("other.example").with_alias("info@other.example", "alice@mail.example")
        self.directory.with_alias("team@other.example", "alice@mail.example", "bob@mail.example")
        self.directory.with_alias("far@other.example", "x@far.example")
        self.directory.with_alias("bob@mail.example", "bob@mail.example", "x@far.example")
        for name in ("alice@mail.example", "bob@mail.example"):
            self.want(name, greylist="off")
        self.want("mail.example", spf="log")
        self.want("other.example", dnsbl="score")
        self.assertEqual(self.wanted("info@other.example"), {"dnsbl": "score", "greylist": "off"})
        self.assertEqual(self.wanted("team@other.example"), {"dnsbl": "score"})
        self.assertEqual(self.wanted("far@other.example"), {"dnsbl": "score"})
        self.assertEqual(self.wanted("bob@mail.example"), {"spf": "log", "greylist": "off"})

    # --- aliases

    def test_alias_leads_to_local_and_remote_targets_each_once(self):
        self.directory.with_alias("team@mail.example", "alice@mail.example", "both@mail.example", "x@far.example")
        self.directory.with_alias("both@mail.example", "bob@mail.example", "alice@mail.example", "x@far.example")
        self.assertEqual(
            self.resolve("team@mail.example"),
            (
                self.local("alice@mail.example"),
                self.local("bob@mail.example"),
                RemoteRecipient(address_of("x@far.example")),
            ),
        )

    def test_alias_goes_before_the_account_of_that_name(self):
        self.directory.with_alias("alice@mail.example", "bob@mail.example")
        self.assertEqual(self.resolve("alice@mail.example"), (self.local("bob@mail.example"),))

    def test_alias_that_names_itself_keeps_a_copy(self):
        self.directory.with_alias("alice@mail.example", "Alice@mail.example", "x@far.example")
        self.assertEqual(
            self.resolve("alice@mail.example"),
            (self.local("alice@mail.example"), RemoteRecipient(address_of("x@far.example"))),
        )

    def test_loop_is_refused_with_its_own_code(self):
        self.directory.with_alias("a@mail.example", "b@mail.example").with_alias("b@mail.example", "a@mail.example")
        error = self.refused("a@mail.example", AliasLoop)
        self.assertEqual((error.smtp_code, error.enhanced_code), (550, "5.4.6"))

    def test_loop_beside_a_target_that_exists_is_left_out(self):
        self.directory.with_alias("a@mail.example", "b@mail.example", "alice@mail.example")
        self.directory.with_alias("b@mail.example", "a@mail.example", "gone@mail.example")
        self.assertEqual(self.resolve("a@mail.example"), (self.local("alice@mail.example"),))

    def test_alias_of_nobody_is_refused(self):
        self.directory.with_alias("a@mail.example", "gone@mail.example", "nobody@mail.example")
        self.refused("a@mail.example")

    def test_depth_and_breadth_are_bounded(self):
        self.configure(max_alias_depth=5, max_alias_targets=20)
        for number in range(10):
            self.directory.with_alias(f"a{number}@mail.example", f"a{number + 1}@mail.example")
        self.refused("a0@mail.example", AliasLoop)
        self.directory.with_alias("wide@mail.example", *(f"x{number}@mail.example" for number in range(5000)))
        self.directory.asked.clear()
        self.refused("wide@mail.example", AliasLoop)
        self.assertLess(len(self.directory.asked), 25)

    # --- plus-addressing

    def test_detail_is_cut_off_and_kept_in_the_address(self):
        self.assertEqual(
            self.resolve("Alice+Lists+x@mail.example"),
            (self.local("Alice+Lists+x@mail.example", "alice@mail.example"),),
        )

    def test_detail_names_the_mailbox_by_setting(self):
        self.configure(detail_names_mailbox=True)
        self.assertEqual(
            self.resolve("alice+Lists+x@mail.example"),
            (self.local("alice+Lists+x@mail.example", "alice@mail.example", "Lists+x"),),
        )
        self.assertEqual(
            self.resolve("alice+@mail.example"), (self.local("alice+@mail.example", "alice@mail.example"),)
        )

    def test_exact_address_goes_before_the_one_without_detail(self):
        self.directory.with_account("alice+own@mail.example")
        self.assertEqual(self.resolve("alice+own@mail.example"), (self.local("alice+own@mail.example"),))

    def test_detail_after_an_alias(self):
        self.directory.with_alias("team@mail.example", "bob@mail.example")
        self.assertEqual(self.resolve("team+x@mail.example"), (self.local("bob@mail.example"),))

    def test_separator_may_be_another_or_none(self):
        self.configure(detail_separator="-")
        self.assertEqual(
            self.resolve("alice-x@mail.example"), (self.local("alice-x@mail.example", "alice@mail.example"),)
        )
        self.refused("alice+x@mail.example")
        self.configure(detail_separator="")
        self.refused("alice+x@mail.example")

    def test_detail_alone_is_nobody(self):
        self.refused("+x@mail.example")

    # --- catch-all and postmaster

    def test_catch_all_takes_what_is_unknown_and_nothing_else(self):
        self.directory.with_domain("mail.example", catch_all="bob@mail.example")
        self.assertEqual(self.resolve("nobody@mail.example"), (self.local("bob@mail.example"),))
        self.assertEqual(self.resolve("alice@mail.example"), (self.local("alice@mail.example"),))
        self.refused("gone@mail.example")

    def test_catch_all_may_be_remote_or_an_alias(self):
        self.directory.with_domain("mail.example", catch_all="x@far.example")
        self.assertEqual(self.resolve("nobody@mail.example"), (RemoteRecipient(address_of("x@far.example")),))

    def test_catch_all_that_is_nobody_is_refused(self):
        self.directory.with_domain("mail.example", catch_all="missing@mail.example")
        self.refused("nobody@mail.example")

    def test_postmaster_is_always_taken(self):
        for text in ("postmaster@mail.example", "PostMaster@mail.example", "postmaster@"):
            recipients = self.resolve(text)
            self.assertEqual([r.account_id for r in recipients], [self.directory.account_id("alice@mail.example")])

    def test_postmaster_goes_where_the_setting_says(self):
        self.configure(postmaster="bob@mail.example")
        self.directory.with_domain("mail.example", catch_all="alice@mail.example")
        self.assertEqual(self.resolve("postmaster@mail.example"), (self.local("bob@mail.example"),))
        self.directory.with_account("postmaster@mail.example")
        self.clock.advance(60)
        self.assertEqual(self.resolve("postmaster@mail.example"), (self.local("postmaster@mail.example"),))

    def test_only_where_there_is_no_account_at_all_a_role_is_refused(self):
        self.directory.with_domain("empty.example")
        self.assertEqual(self.names("postmaster@empty.example"), ["alice@mail.example"])
        for directory in (MemoryDirectory(), MemoryDirectory().with_domain("empty.example")):
            self.directory = directory
            self.configure()
            self.refused("postmaster@")
            if directory.asked and self.successResultOf(directory.domains()):
                self.refused("postmaster@empty.example")

    def names(self, text):
        return [recipient.login_name for recipient in self.resolve(text)]

    def test_roles_exist_at_every_domain_of_ours_and_at_the_hosts_own_name(self):
        self.directory.with_domain("other.example").with_account("carol@other.example")
        self.configure(RoleAddresses("mx.host.example", ["Reports@Mail.example", "reports@far.example", ""]))
        for role in (*ROLES, "MAILER-DAEMON", "Postmaster", "ABUSE"):
            self.assertEqual(self.names(f"{role}@mail.example"), ["alice@mail.example"], role)
            self.assertEqual(self.names(f"{role}@other.example"), ["carol@other.example"], role)
            self.assertEqual(self.names(f"{role}@MX.host.example"), ["alice@mail.example"], role)
            remote = address_of(f"{role}@far.example")
            self.assertEqual(self.resolve(str(remote)), (RemoteRecipient(remote),))
        self.assertEqual(self.names("reports@mail.example"), ["alice@mail.example"])
        for text in ("reports@far.example", "alice@mx.host.example", "reports@mx.host.example"):
            self.assertEqual(self.resolve(text), (RemoteRecipient(address_of(text)),))

    def test_roles_go_to_the_administrators_unless_there_is_a_postmaster(self):
        host = RoleAddresses("mx.host.example")
        self.directory.with_account("carol@mail.example").with_alias("staff@mail.example", "carol@mail.example")
        administrators = ("bob@mail.example", "staff@mail.example", "gone@mail.example", "x@far.example")
        for role in ("postmaster@mail.example", "abuse@mx.host.example"):
            self.configure(host, administrators=administrators)
            *local, remote = self.resolve(role)
            self.assertEqual([each.login_name for each in local], ["bob@mail.example", "carol@mail.example"])
            self.assertEqual(remote, RemoteRecipient(address_of("x@far.example")))
            self.configure(host, administrators=administrators, postmaster="carol@mail.example")
            self.assertEqual(self.names(role), ["carol@mail.example"])

    def test_a_role_that_is_set_up_badly_goes_to_those_in_charge(self):
        for postmaster in ("missing@mail.example", "gone@mail.example", "postmaster@mail.example", "loop@mail.example"):
            self.directory.with_alias("loop@mail.example", "loop2@mail.example")
            self.directory.with_alias("loop2@mail.example", "loop@mail.example")
            self.configure(postmaster=postmaster)
            self.assertEqual(self.names("postmaster@mail.example"), ["alice@mail.example"], postmaster)
            self.configure(postmaster=postmaster, administrators=("bob@mail.example",))
            self.assertEqual(self.names("abuse@mail.example"), ["bob@mail.example"], postmaster)
        self.configure()
        self.directory.with_alias("abuse@mail.example", "gone@mail.example")
        self.directory.with_account("postmaster@mail.example", enabled=False)
        for role in ("abuse@mail.example", "postmaster@mail.example"):
            self.assertEqual(self.names(role), ["alice@mail.example"])
        self.directory.with_alias("abuse@mail.example", "bob@mail.example")
        self.clock.advance(60)
        self.assertEqual(self.names("abuse@mail.example"), ["bob@mail.example"])

    def test_settings_of_roles_are_addresses(self):
        for settings in ({"postmaster": "bob"}, {"administrators": ["bob@"]}, {"administrators": ["@mail.example"]}):
            self.assertRaises(ValueError, DirectorySettings, **settings)

    # --- forms of domains

    def test_domain_in_either_form_of_its_labels(self):
        self.directory.with_domain("bücher.example").with_account("info@bücher.example")
        self.directory.with_domain("xn--mller-kva.example").with_account("info@xn--mller-kva.example")
        for text, login_name in (
            ("info@xn--bcher-kva.example", "info@bücher.example"),
            ("info@Bücher.example", "info@bücher.example"),
            ("info@müller.example", "info@xn--mller-kva.example"),
        ):
            self.assertEqual(self.resolve(text), (self.local(text, login_name),))
            domain = text.partition("@")[2]
            self.assertTrue(self.successResultOf(self.resolver.is_local_domain(domain)))

    def test_address_literal_of_ours_is_the_default_domain(self):
        self.configure(own_literals=("192.0.2.1", "2001:db8::1"), default_domain="mail.example")
        for literal in ("[192.0.2.1]", "[IPv6:2001:DB8::1]"):
            self.assertTrue(self.successResultOf(self.resolver.is_local_domain(literal)))
            self.assertEqual(self.resolve(f"alice@{literal}")[0].account_id, 1)
        self.assertFalse(self.successResultOf(self.resolver.is_local_domain("[192.0.2.2]")))
        self.assertEqual(self.resolve("alice@[192.0.2.2]"), (RemoteRecipient(address_of("alice@[192.0.2.2]")),))

    # --- what is remembered

    def test_a_known_recipient_is_asked_for_once_in_a_while(self):
        self.resolve("alice@mail.example")
        self.directory.asked.clear()
        self.assertIsInstance(self.resolver.resolve(address_of("alice@mail.example")), Deferred)
        self.assertEqual(self.directory.asked, [])
        self.clock.advance(5)
        self.resolve("alice@mail.example")
        self.assertEqual(len(self.directory.asked), 1)

    def test_an_unknown_recipient_is_asked_for_every_time(self):
        self.refused("carol@mail.example")
        self.directory.with_account("carol@mail.example")
        self.assertEqual(self.resolve("carol@mail.example"), (self.local("carol@mail.example"),))
        self.assertFalse(self.successResultOf(self.resolver.is_local_domain("new.example")))
        self.directory.with_domain("new.example")
        self.assertTrue(self.successResultOf(self.resolver.is_local_domain("new.example")))

    def test_memory_is_bounded_and_forgets_the_oldest(self):
        self.configure(cache_entries=2)
        for text in ("a@far.example", "b@far.example", "c@far.example"):
            self.resolve(text)
        self.directory.asked.clear()
        self.resolve("c@far.example")
        self.resolve("b@far.example")
        self.assertEqual(self.directory.asked, [])
        self.resolve("a@far.example")
        self.assertEqual(len(self.directory.asked), 1)

    def test_memory_can_be_turned_off(self):
        self.configure(cache_life=0)
        self.resolve("alice@mail.example")
        self.resolve("alice@mail.example")
        self.assertEqual(len(self.directory.asked), 2)

    def test_a_failing_store_is_passed_on_and_not_remembered(self):
        self.directory.failure = StoreUnavailable()
        self.refused("alice@mail.example", StoreUnavailable)
        self.directory.failure = None
        self.resolve("alice@mail.example")
