"""``imap quirks`` and ``account quirk``."""

from __future__ import annotations

from tests.cli.base import CommandCase


class QuirkTests(CommandCase):
    def test_profiles_are_listed_and_chosen_for_accounts(self) -> None:
        self.run_command("account", "add", "ann@example.test", "--no-password")
        (profile,) = self.answer("imap", "quirks")
        self.assertEqual((profile["quirk"], profile["hides"], profile["on_for"]), ("office365", ["UIDONLY"], []))
        told = self.answer("account", "quirk", "ann@example.test", "office365", "on")
        self.assertEqual(told, {"account": "ann@example.test", "quirks": {"office365": "on"}})
        self.assertEqual(self.answer("imap", "quirks")[0]["on_for"], ["ann@example.test"])
        self.run_command("account", "quirk", "ann@example.test", "office365", "off")
        self.assertEqual(self.answer("imap", "quirks")[0]["off_for"], ["ann@example.test"])
        self.assertIn("office365", self.run_command("imap", "quirks").stdout)
        self.run_command("account", "quirk", "ann@example.test", "office365", "--remove")
        self.run_command("account", "quirk", "ann@example.test", "office365", "--remove", code=1)
        self.run_command("account", "quirk", "ann@example.test", "nothing", "on", code=2)
        self.run_command("account", "quirk", "ann@example.test", "office365", code=2)

    def test_a_choice_is_kept_beside_rules_for_checks_and_is_none(self) -> None:
        self.run_command("account", "add", "ann@example.test", "--no-password")
        self.run_command("account", "quirk", "ann@example.test", "office365", "on")
        self.assertEqual(self.answer("account", "rules"), [])
        self.run_command("account", "rule", "ann@example.test", "spf", "off")
        self.run_command("account", "reject-score", "ann@example.test", "7")
        self.run_command("account", "rule", "ann@example.test", "spf", "--remove")
        self.assertEqual(self.answer("imap", "quirks")[0]["on_for"], ["ann@example.test"])
