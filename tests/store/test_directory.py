"""Domains, accounts and aliases, on every engine."""

from __future__ import annotations

from pymailsuite.errors import AlreadyExists, NoSuchAccount, NoSuchEntry, Refusal
from pymailsuite.interfaces import Domain
from pymailsuite.interfaces.overrides import NO_OVERRIDES
from pymailsuite.values import AccountId, Address
from tests.store.support import InMemory, OnDisk, StoreTestCase

ANN, BOB = Address("ann", "example.org"), Address("bob", "example.org")


class DirectoryContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = self.store.directory
        self.result(self.directory.add_domain("Example.ORG"))

    def test_domains_are_kept_in_lower_case_and_once(self) -> None:
        self.failure(self.directory.add_domain("example.org"), AlreadyExists)
        self.result(self.directory.add_domain("a.example"))
        self.assertEqual(self.result(self.directory.domains()), [Domain("a.example"), Domain("example.org")])
        self.assertEqual(self.result(self.directory.domain("EXAMPLE.org")), Domain("example.org"))
        self.assertIsNone(self.result(self.directory.domain("other.example")))

    def test_a_domain_in_use_is_not_removed(self) -> None:
        self.result(self.directory.add_account("ann@example.org", "", ""))
        self.failure(self.directory.remove_domain("example.org"), Refusal)
        self.result(self.directory.remove_account("ann@example.org"))
        self.result(self.directory.set_alias(BOB, [ANN]))
        self.failure(self.directory.remove_domain("example.org"), Refusal)
        self.result(self.directory.remove_alias(BOB))
        self.result(self.directory.remove_domain("example.org"))
        self.failure(self.directory.remove_domain("example.org"), NoSuchEntry)

    def test_the_first_account_is_that_of_a_domain_or_of_all_and_is_enabled(self) -> None:
        self.result(self.directory.add_domain("a.example"))
        self.assertIsNone(self.result(self.directory.first_account(None)))
        carol, bob, ann = [
            self.result(self.directory.add_account(name, "", ""))
            for name in ("carol@example.org", "bob@example.org", "ann@example.org")
        ]
        self.assertEqual(self.result(self.directory.first_account("Example.org")), ann)
        self.result(self.directory.set_enabled(ann.account_id, False))
        for domain in ("example.org", None):
            self.assertEqual(self.result(self.directory.first_account(domain)), bob)
        self.assertIsNone(self.result(self.directory.first_account("a.example")))
        self.result(self.directory.set_enabled(bob.account_id, False))
        self.assertEqual(self.result(self.directory.first_account(None)), carol)

    def test_catch_all_is_set_and_taken_away(self) -> None:
        self.assertEqual(self.result(self.directory.set_catch_all("example.org", ANN)), Domain("example.org", ANN))
        self.assertEqual(self.result(self.directory.domain("example.org")), Domain("example.org", ANN))
        self.result(self.directory.set_catch_all("example.org", None))
        self.assertEqual(self.result(self.directory.domain("example.org")), Domain("example.org"))
        self.failure(self.directory.set_catch_all("other.example", ANN), NoSuchEntry)

    def test_what_a_domain_and_an_account_want_of_the_checks_comes_with_their_route(self) -> None:
        self.result(self.directory.add_account("ann@example.org", "", ""))
        self.assertEqual(self.result(self.directory.route(ANN)).domain.overrides, NO_OVERRIDES)
        domain = self.result(
            self.directory.change_domain_overrides("Example.org", lambda old: old.with_action("spf", "log"))
        )
        self.assertEqual(domain.overrides.actions, {"spf": "log"})
        self.result(self.directory.change_domain_overrides("example.org", lambda old: old.with_reject_score(9.5)))
        self.result(
            self.directory.change_account_overrides("ANN@example.org", lambda old: old.with_action("greylist", "off"))
        )
        row = self.result(self.directory.route(ANN))
        self.assertEqual((row.domain.overrides.actions, row.domain.overrides.reject_score), ({"spf": "log"}, 9.5))
        self.assertEqual(row.account.overrides.actions, {"greylist": "off"})
        self.assertEqual(self.result(self.directory.domains())[0].overrides, row.domain.overrides)
        self.assertEqual(self.result(self.directory.credentials("ann@example.org")).account, row.account)
        # What is changed otherwise leaves them alone.
        self.assertEqual(self.result(self.directory.set_catch_all("example.org", ANN)).overrides, row.domain.overrides)
        gone = self.result(
            self.directory.change_account_overrides("ann@example.org", lambda old: old.with_action("greylist", None))
        )
        self.assertEqual(gone.overrides, NO_OVERRIDES)
        self.failure(self.directory.change_domain_overrides("other.example", lambda old: old), NoSuchEntry)
        self.failure(self.directory.change_account_overrides("bob@example.org", lambda old: old), NoSuchAccount)

    def test_accounts_are_made_changed_and_removed(self) -> None:
        made = self.result(self.directory.add_account("Ann@Example.org", "hash", "Ann"))
        self.assertEqual((made.login_name, made.full_name, made.enabled), ("ann@example.org", "Ann", True))
        self.failure(self.directory.add_account("ann@example.org", "", ""), AlreadyExists)
        self.failure(self.directory.add_account("ann@other.example", "", ""), NoSuchEntry)
        self.result(self.directory.set_password_hash(made.account_id, "other"))
        self.result(self.directory.set_enabled(made.account_id, False))
        credentials = self.result(self.directory.credentials("ANN@example.org"))
        self.assertEqual((credentials.password_hash, credentials.account.enabled), ("other", False))
        self.assertNotIn("other", repr(credentials))
        self.failure(self.directory.set_enabled(AccountId(99), True), NoSuchAccount)
        self.result(self.directory.remove_account("ann@example.org"))
        self.failure(self.directory.remove_account("ann@example.org"), NoSuchAccount)
        self.assertIsNone(self.result(self.directory.account("ann@example.org")))
        self.assertIsNone(self.result(self.directory.credentials("ann@example.org")))
        again = self.result(self.directory.add_account("ann@example.org", "", ""))
        self.assertNotEqual(again.account_id, made.account_id)

    def test_accounts_are_listed_by_domain_or_all(self) -> None:
        self.result(self.directory.add_domain("a.example"))
        for name in ("bob@example.org", "ann@example.org", "zoe@a.example"):
            self.result(self.directory.add_account(name, "", ""))

        def names(domain: str | None) -> list[str]:
            return [account.login_name for account in self.result(self.directory.accounts(domain))]

        self.assertEqual(names("Example.org"), ["ann@example.org", "bob@example.org"])
        self.assertEqual(names(None), ["ann@example.org", "bob@example.org", "zoe@a.example"])

    def test_aliases_are_replaced_listed_and_removed(self) -> None:
        self.result(self.directory.set_alias(Address("Sales", "Example.org"), [ANN]))
        self.result(self.directory.set_alias(Address("sales", "example.org"), [BOB, ANN]))
        (alias,) = self.result(self.directory.aliases("example.org"))
        self.assertEqual((alias.address, alias.targets), (Address("sales", "example.org"), (BOB, ANN)))
        self.assertEqual(self.result(self.directory.aliases(None)), [alias])
        self.result(self.directory.remove_alias(alias.address))
        self.failure(self.directory.remove_alias(alias.address), NoSuchEntry)

    def test_route_tells_all_about_an_address(self) -> None:
        made = self.result(self.directory.add_account("ann@example.org", "", ""))
        self.result(self.directory.set_alias(BOB, [ANN]))
        row = self.result(self.directory.route(Address("Ann", "EXAMPLE.org")))
        self.assertEqual((row.domain, row.account, row.targets), (Domain("example.org"), made, ()))
        row = self.result(self.directory.route(BOB))
        self.assertEqual((row.domain, row.account, row.targets), (Domain("example.org"), None, (ANN,)))
        self.assertIsNone(self.result(self.directory.route(Address("ann", "other.example"))).domain)


class DirectoryInMemoryTests(DirectoryContract, InMemory):
    pass


class DirectoryOnDiskTests(DirectoryContract, OnDisk):
    pass


del DirectoryContract
