"""``domain``, ``account``, ``alias``."""

from __future__ import annotations

from pymailsuite.auth import PasswordHashes
from pymailsuite.config.loader import load_settings
from tests.acceptance import acceptance
from tests.cli.base import CommandCase


class DomainTests(CommandCase):
    """``pymailsuite domain``."""

    @acceptance("S205")
    def test_domains_are_added_and_listed(self) -> None:
        self.assertEqual(self.run_command("domain", "add", "Example.NET").stdout, "added example.net\n")
        self.run_command("domain", "add", "example.org")
        self.assertEqual(
            self.answer("domain", "list"),
            [{"domain": f"example.{top}", "catch_all": None} for top in ("net", "org", "test")],
        )

    @acceptance("S205")
    def test_the_domains_of_the_configuration_are_there_before_the_server_ever_ran(self) -> None:
        self.run_command("account", "add", "ann@example.test", "--no-password")
        self.assertEqual(self.answer("domain", "list"), [{"domain": "example.test", "catch_all": None}])

    def test_a_domain_that_is_there_is_not_added_again(self) -> None:
        self.run_command("domain", "add", "example.net")
        result = self.run_command("domain", "add", "example.net", code=1)
        self.assertTrue(result.stderr.startswith("Error: "))

    def test_a_domain_is_removed_once_it_is_empty(self) -> None:
        self.run_command("domain", "add", "example.net")
        self.run_command("account", "add", "ann@example.net", "--no-password")
        self.run_command("domain", "remove", "example.net", code=1)
        self.run_command("account", "remove", "ann@example.net", "--yes")
        self.run_command("domain", "remove", "example.net")
        self.assertEqual(self.answer("domain", "list"), [{"domain": "example.test", "catch_all": None}])

    def test_a_catch_all_is_set_and_taken_away(self) -> None:
        self.run_command("domain", "add", "example.net")
        changed = self.answer("domain", "catch-all", "example.net", "all@example.net")
        self.assertEqual(changed, {"domain": "example.net", "catch_all": "all@example.net"})
        changed = self.answer("domain", "catch-all", "example.net", "--off")
        self.assertEqual(changed, {"domain": "example.net", "catch_all": None})

    def test_a_catch_all_needs_a_target_or_off(self) -> None:
        self.run_command("domain", "catch-all", "example.net", code=2)

    def test_a_bad_name_is_a_mistake_on_the_command_line(self) -> None:
        self.assertIn("not a domain name", self.run_command("domain", "add", "exa mple", code=2).stderr)

    def test_a_table_is_for_people(self) -> None:
        self.run_command("domain", "add", "example.net")
        lines = self.run_command("domain", "list").stdout.splitlines()
        listed = [["domain", "catch", "all"], ["example.net"], ["example.test"]]
        self.assertEqual([line.split() for line in lines], listed)


class RuleTests(CommandCase):
    """``domain rule``, ``account rule`` and what belongs to them."""

    def setUp(self) -> None:
        super().setUp()
        self.run_command("account", "add", "ann@example.test", "--no-password")

    def test_rules_are_set_listed_and_removed(self) -> None:
        done = self.run_command("domain", "rule", "Example.TEST", "spf", "log")
        self.assertEqual((done.stdout, done.stderr), ("spf for example.test: log\n", ""))
        self.run_command("account", "rule", "ann@example.test", "spf", "reject")
        changed = self.answer("account", "reject-score", "ann@example.test", "8.5")
        expected = {"account": "ann@example.test", "actions": {"spf": "reject"}, "reject_score": 8.5}
        self.assertEqual(changed, expected)
        self.assertEqual(self.answer("account", "rules"), [expected])
        domain = {"domain": "example.test", "actions": {"spf": "log"}, "reject_score": None}
        self.assertEqual(self.answer("domain", "rules", "example.test"), [domain])
        self.assertIn("spf=log", self.run_command("domain", "rules").stdout)
        self.run_command("account", "rule", "ann@example.test", "spf", "--remove")
        self.run_command("account", "reject-score", "ann@example.test", "--remove")
        self.assertEqual(self.answer("account", "rules"), [])
        self.run_command("account", "rule", "ann@example.test", "spf", "--remove", code=1)
        self.run_command("account", "reject-score", "ann@example.test", "--remove", code=1)

    def test_a_rule_that_decides_nothing_is_pointed_out(self) -> None:
        done = self.run_command("account", "rule", "ann@example.test", "greylist", "reject")
        self.assertEqual(done.stderr, "note: greylist is off in the configuration, so nobody is asked\n")
        done = self.run_command("account", "rule", "ann@example.test", "helo", "off")
        self.assertIn("note: what helo says at once", done.stderr)

    def test_what_is_not_there_has_no_rules(self) -> None:
        unknown = self.run_command("domain", "rule", "example.test", "nihgt", "off", code=2)
        self.assertIn("no such policy: nihgt", unknown.stderr)
        self.run_command("domain", "rules", "a.test", code=1)
        self.run_command("domain", "rule", "example.test", "spf", "sometimes", code=2)
        self.run_command("domain", "rule", "example.test", "spf", code=2)
        self.assertIn("No such domain", self.run_command("domain", "rule", "a.test", "spf", "off", code=1).stderr)
        self.assertIn("No such account", self.run_command("account", "rule", "b@a.test", "spf", "off", code=1).stderr)


class AccountTests(CommandCase):
    """``pymailsuite account``."""

    def setUp(self) -> None:
        super().setUp()
        self.run_command("domain", "add", "example.net")

    def password_matches(self, password: bytes) -> bool:
        credentials = self.on_store(lambda store: store.directory.credentials("ann@example.net"))
        hashes = PasswordHashes(load_settings(self.config_file).auth)
        return hashes.verify(credentials.password_hash, password)

    def test_an_account_is_added_with_a_password_from_standard_input(self) -> None:
        added = self.answer(
            "account", "add", "Ann@example.net", "--name", "Ann Example", "--password-stdin", stdin="secret\n"
        )
        self.assertEqual((added["account"], added["full_name"]), ("ann@example.net", "Ann Example"))
        self.assertEqual((added["enabled"], added["created"]), (True, "2026-02-02T02:40:00Z"))
        self.assertTrue(self.password_matches(b"secret"))

    def test_without_a_terminal_the_password_is_not_asked_for(self) -> None:
        result = self.run_command("account", "add", "ann@example.net", stdin="secret\n", code=2)
        self.assertIn("--password-stdin", result.stderr)

    def test_an_empty_password_is_refused(self) -> None:
        self.run_command("account", "add", "ann@example.net", "--password-stdin", stdin="\n", code=2)

    def test_a_password_is_changed(self) -> None:
        self.run_command("account", "add", "ann@example.net", "--no-password")
        self.run_command("account", "passwd", "ann@example.net", "--password-stdin", stdin="new one\n")
        self.assertTrue(self.password_matches(b"new one"))

    def test_an_account_is_disabled_and_enabled(self) -> None:
        self.run_command("account", "add", "ann@example.net", "--no-password")
        self.assertFalse(self.answer("account", "disable", "ann@example.net")["enabled"])
        self.assertTrue(self.answer("account", "enable", "ann@example.net")["enabled"])

    def test_an_account_in_a_domain_that_is_not_ours_is_refused(self) -> None:
        self.run_command("account", "add", "ann@elsewhere.test", "--no-password", code=1)

    def test_an_unknown_account_is_named(self) -> None:
        result = self.run_command("account", "disable", "nobody@example.net", code=1)
        self.assertEqual(result.stderr, "Error: no account nobody@example.net\n")

    def test_removal_is_confirmed(self) -> None:
        self.run_command("account", "add", "ann@example.net", "--no-password")
        self.run_command("account", "remove", "ann@example.net", stdin="n\n", code=1)
        self.assertEqual(len(self.answer("account", "list")), 1)
        self.run_command("account", "remove", "ann@example.net", stdin="y\n")
        self.assertEqual(self.answer("account", "list"), [])

    @acceptance("S205")
    def test_the_same_name_in_two_domains_is_two_accounts(self) -> None:
        self.run_command("domain", "add", "example.org")
        for address in ("info@example.net", "info@example.org"):
            self.run_command("account", "add", address, "--no-password")
        self.assertEqual(
            [account["account"] for account in self.answer("account", "list", "--domain", "example.org")],
            ["info@example.org"],
        )

    def test_an_address_without_a_domain_is_a_mistake(self) -> None:
        self.run_command("account", "add", "ann", "--no-password", code=2)


class AliasTests(CommandCase):
    """``pymailsuite alias``."""

    def setUp(self) -> None:
        super().setUp()
        self.run_command("domain", "add", "example.net")
        self.run_command("account", "add", "ann@example.net", "--no-password")

    def refused(self, *arguments: str, forced: bool) -> str:
        """What is said about a command; ``forced``: it is done if it is meant."""
        said = self.run_command(*arguments, code=1).stderr
        if forced:
            self.assertIn("--force", said)
            self.run_command(*arguments, "--force")
        else:
            self.assertNotIn("--force", said)
            self.run_command(*arguments, "--force", code=1)
        return said

    def test_an_alias_over_an_account_must_be_meant(self) -> None:
        said = self.refused("alias", "set", "Ann@example.net", "bob@elsewhere.test", forced=True)
        self.assertIn("is an account", said)
        self.run_command("alias", "set", "ann@example.net", "bob@elsewhere.test", "ANN@EXAMPLE.net")

    def test_an_account_under_an_alias_must_be_meant(self) -> None:
        self.run_command("alias", "set", "sales@example.net", "ann@example.net", "bob@elsewhere.test")
        said = self.refused("account", "add", "Sales@example.net", "--no-password", forced=True)
        self.assertIn("is an alias that leads to ann@example.net, bob@elsewhere.test", said)

    def test_a_loop_is_refused_however_long_and_hidden_it_is(self) -> None:
        self.assertIn("circle", self.refused("alias", "set", "a@example.net", "a@example.net", forced=False))
        self.run_command("alias", "set", "a@example.net", "b@example.net", "ann@example.net", "--force")
        self.run_command("alias", "set", "b@example.net", "c+x@example.net", "ann@example.net", "--force")
        for targets in (["A@example.net"], ["ann@example.net", "a+y@example.net"], ["c+z@example.net"]):
            said = self.refused("alias", "set", "c@example.net", *targets, forced=False)
            self.assertIn("aliases would lead in a circle: c@example.net to ", said)
        self.run_command("domain", "catch-all", "example.net", "a@example.net")
        self.assertIn("circle", self.refused("alias", "set", "b@example.net", "nobody@example.net", forced=False))

    def test_a_target_that_does_not_exist_must_be_meant(self) -> None:
        said = self.refused("alias", "set", "sales@example.net", "ann@example.net", "noboody@example.net", forced=True)
        self.assertIn("there is no noboody@example.net", said)
        for target in ("ann+x@example.net", "postmaster@example.net", "who@elsewhere.test"):
            self.run_command("alias", "set", "sales@example.net", target)
        self.run_command("account", "disable", "ann@example.net")
        self.assertIn("is disabled", self.refused("alias", "set", "x@example.net", "ann@example.net", forced=True))

    def test_a_domain_that_is_not_ours_must_be_meant(self) -> None:
        said = self.refused("alias", "set", "sales@elsewhere.test", "ann@example.net", forced=True)
        self.assertIn("elsewhere.test is not a domain of ours", said)

    def test_an_alias_is_kept_in_the_form_of_its_domain(self) -> None:
        self.run_command("domain", "add", "bücher.example")
        self.run_command("alias", "set", "sales@BÜCHER.example", "ann@example.net")
        (alias,) = self.answer("alias", "list")
        self.assertEqual(alias["alias"], "sales@" + self.answer("domain", "list")[0]["domain"])
        self.run_command("alias", "remove", "sales@bücher.example")
        self.assertEqual(self.answer("alias", "list"), [])

    def test_an_alias_is_set_listed_and_removed(self) -> None:
        self.run_command("alias", "set", "sales@example.net", "ann@example.net", "bob@elsewhere.test")
        expected = [{"alias": "sales@example.net", "targets": ["ann@example.net", "bob@elsewhere.test"]}]
        self.assertEqual(self.answer("alias", "list"), expected)
        self.run_command("alias", "remove", "sales@example.net")
        self.assertEqual(self.answer("alias", "list"), [])

    def test_an_alias_that_is_not_there_is_not_removed(self) -> None:
        self.run_command("alias", "remove", "sales@example.net", code=1)


class SendAsTests(CommandCase):
    """``account grant-send-as``, ``revoke-send-as`` and ``send-as``."""

    @acceptance("S199")
    def test_grants_are_made_listed_and_taken_back(self) -> None:
        self.run_command("account", "add", "ann@example.test", "--no-password")
        self.run_command("account", "add", "bob@example.test", "--no-password")
        done = self.run_command("account", "grant-send-as", "Ann@example.test", "Info@Far.example")
        self.assertEqual(done.stdout, "ann@example.test may send as info@far.example\n")
        granted = {"account": "bob@example.test", "send_as": "@bücher.example"}
        self.assertEqual(self.answer("account", "grant-send-as", "bob@example.test", "@xn--bcher-kva.example"), granted)
        self.run_command("account", "grant-send-as", "bob@example.test", "@BÜCHER.example", code=1)
        info = {"account": "ann@example.test", "send_as": "info@far.example"}
        self.assertEqual(self.answer("account", "send-as"), [info, granted])
        self.assertEqual(self.answer("account", "send-as", "ann@example.test"), [info])
        done = self.run_command("account", "revoke-send-as", "ann@example.test", "info@far.example")
        self.assertEqual(done.stdout, "ann@example.test may no longer send as info@far.example\n")
        self.assertEqual(self.answer("account", "send-as"), [granted])

    def test_what_cannot_be_granted_is_refused(self) -> None:
        self.run_command("account", "add", "ann@example.test", "--no-password")
        self.run_command("account", "grant-send-as", "nobody@example.test", "info@far.example", code=1)
        self.run_command("account", "send-as", "nobody@example.test", code=1)
        result = self.run_command("account", "revoke-send-as", "ann@example.test", "@far.example", code=1)
        self.assertIn("no grant to send as @far.example", result.stderr)
        for sender in ("@", "@-far.example", "info", "info@"):
            self.run_command("account", "grant-send-as", "ann@example.test", sender, code=2)
