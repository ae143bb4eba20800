"""``account quota`` and ``domain quota``."""

from __future__ import annotations

from pymailsuite.interfaces import Account
from tests.acceptance import acceptance
from tests.cli.base import CommandCase
from tests.support.stores import append


class QuotaTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_command("account", "add", "bob@example.test", "--no-password")

    def fill(self, *sizes: int, mailbox: str = "INBOX") -> None:
        async def work(store: object) -> None:
            account: Account = await store.directory.account("bob@example.test")  # type: ignore[attr-defined]
            append(store, account, mailbox, *[b"x" * size for size in sizes])  # type: ignore[arg-type]

        self.on_store(work)

    @acceptance("S206")
    def test_an_account_shows_usage_limit_percentage_and_folders(self) -> None:
        self.fill(600, 100)
        self.fill(5000, mailbox="Trash")
        told = self.answer(
            "account",
            "quota",
            "bob@example.test",
            "--storage",
            "1K",
            "--messages",
            "10",
            "--folder",
            "\\Trash",
            "ignored",
        )
        self.assertEqual(told["storage"], {"used": 700, "limit": 1024, "percent": 68})
        self.assertEqual(told["messages"], {"used": 2, "limit": 10, "percent": 20})
        self.assertEqual(told["mailboxes"], {"used": 6, "limit": None, "percent": None})
        self.assertIsNone(told["domain_total"])
        (trash,) = [one for one in told["folders"] if one["folder"] == "Trash"]
        self.assertEqual(trash, {"folder": "Trash", "storage": 5000, "messages": 1, "counted": False, "extra": 0})
        text = self.run_command("account", "quota", "bob@example.test").stdout
        self.assertRegex(text, r"bob@example.test +storage +700 +1024 +68 *\n")
        self.assertRegex(text, r"Trash +5000 +1 +no +0\n")

    def test_limits_are_changed_one_by_one_and_taken_back(self) -> None:
        quota = ("account", "quota", "bob@example.test")
        self.answer(*quota, "--storage", "2G", "--messages", "10")
        self.answer(*quota, "--messages", "none", "--folder", "Lists/*", "+100 MB")
        told = self.answer(*quota, "--mailboxes", "7", "--folder", "Lists/*", "default")
        self.assertEqual([told[name]["limit"] for name in ("storage", "messages", "mailboxes")], [2 * 2**30, None, 7])
        self.answer("domain", "quota", "example.test", "--messages", "3", "--storage", "1G")
        self.assertIsNone(self.answer(*quota)["messages"]["limit"])
        self.assertEqual(self.answer(*quota, "--messages", "default")["messages"]["limit"], 3)
        self.assertEqual(self.answer(*quota, "--default")["storage"]["limit"], 2**30)

    def test_a_domain_shows_its_total_and_the_defaults_of_its_accounts(self) -> None:
        self.fill(600)
        told = self.answer("domain", "quota", "example.test", "--storage", "5000", "--total-storage", "1200")
        self.assertEqual(told["total"]["storage"], {"used": 600, "limit": 1200, "percent": 50})
        self.assertEqual(told["accounts"]["storage"], 5000)
        account = self.answer("account", "quota", "bob@example.test")
        self.assertEqual(account["domain_total"]["storage"]["limit"], 1200)
        text = self.run_command("domain", "quota", "example.test").stdout
        self.assertRegex(text, r"all accounts of example.test +storage +600 +1200 +50 *\n")
        text = self.run_command("account", "quota", "bob@example.test").stdout
        self.assertRegex(text, r"all accounts of example.test +storage +600 +1200 +50 *\n")
        self.assertIsNone(self.answer("domain", "quota", "example.test", "--default")["total"]["storage"]["limit"])

    def test_what_is_no_limit_and_who_is_not_there_is_told(self) -> None:
        for option, value in (("--storage", "much"), ("--messages", "-1"), ("--mailboxes", "0")):
            self.run_command("account", "quota", "bob@example.test", option, value, code=2)
        self.run_command("account", "quota", "bob@example.test", "--folder", "x", "extra", code=2)
        self.run_command("account", "quota", "nobody@example.test", code=1)
        self.run_command("domain", "quota", "far.example", code=1)
