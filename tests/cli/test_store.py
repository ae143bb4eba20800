"""``store``."""

from __future__ import annotations

import json
import time

import click

from pymailsuite.cli.store import MomentType
from pymailsuite.interfaces import IMailStore, NewMessage
from pymailsuite.values import ALL_UIDS
from tests.cli.base import CommandCase


class StoreTests(CommandCase):
    """``pymailsuite store``."""

    def test_statistics_count(self) -> None:
        self.run_command("domain", "add", "example.net")
        self.run_command("account", "add", "ann@example.net", "--no-password")
        statistics = self.answer("store", "statistics")
        self.assertEqual((statistics["accounts"], statistics["messages"]), (1, 0))

    def test_a_good_store_has_no_faults(self) -> None:
        self.assertEqual(self.answer("store", "verify", "--deep"), [])
        self.assertEqual(self.run_command("store", "verify").stdout, "no faults\n")

    def test_sweep_and_rebuild_say_what_they_did(self) -> None:
        for name in ("sweep", "rebuild"):
            self.assertIsInstance(self.answer("store", name), dict)

    def test_expunged_messages_are_restored(self) -> None:
        self.run_command("domain", "add", "example.net")
        self.run_command("account", "add", "ann@example.net", "--no-password")

        async def lose_one(store: IMailStore) -> None:
            account = await store.directory.account("ann@example.net")
            mail = store.account_mail(account.account_id)
            writer = store.new_content()
            writer.write(b"Subject: x\r\n\r\n")
            await mail.append("INBOX", [NewMessage(await writer.finish())])
            mailbox = await mail.mailbox("INBOX")
            await mail.remove_messages(mailbox.mailbox_id, ALL_UIDS)

        self.on_store(lose_one)
        restored = self.answer("store", "undelete", "ann@example.net", "--since", "2026-01-01")
        self.assertEqual(restored, {"restored": 1})

    def test_a_store_is_copied_and_the_copy_is_whole(self) -> None:
        self.run_command("account", "add", "ann@example.test", "--no-password")
        source = f"sqlite://{self.folder}/data/store.sqlite"
        target = f"sqlite://{self.folder}/copy.sqlite"
        answer = self.run_command("store", "copy", source, target, "--json", "--deep", config=False)
        self.assertIs(json.loads(answer.stdout)["complete"], True)
        again = self.run_command("store", "copy", source, target, "--json", config=False)
        self.assertEqual((json.loads(again.stdout)["complete"], json.loads(again.stdout)["rows"]), (True, 0))
        self.run_command("account", "add", "bob@example.test", "--no-password")
        refused = self.run_command("store", "copy", source, target, config=False, code=1)
        self.assertIn("has changed since", refused.output)
        missing = self.run_command("store", "copy", target + "x", target, config=False, code=1)
        self.assertIn("no store at", missing.output)
        self.assertFalse((self.folder / "copy.sqlitex").exists())

    def test_backups_are_made_listed_verified_and_restored(self) -> None:
        folder = str(self.folder / "backup")
        self.run_command("account", "add", "ann@example.test", "--no-password")
        self.on_store(self.append_one)
        made = [self.answer("store", "backup", folder, "--keep", "1") for _ in range(2)]
        self.assertEqual([(one["new_octets"], one["sets_dropped"]) for one in made], [(14, 0), (0, 1)])
        (listed,) = json.loads(self.run_command("store", "backups", folder, "--json", config=False).stdout)
        self.assertEqual((listed["set"], listed["messages"]), (made[1]["set"], 1))
        self.assertIn(made[1]["state_of"], self.run_command("store", "backups", folder, config=False).stdout)
        self.assertEqual(self.answer("store", "backup", folder, "--verify"), [])
        account = ("store", "restore", folder, "--account", "ann@example.test")
        self.on_store(self.lose_all)
        self.assertIn("would be restored", self.run_command(*account, "--dry-run").stdout)
        self.assertEqual(self.answer(*account, "--mailbox", "inbox")["restored"], {"INBOX": 1})
        self.assertIn("0 messages restored, 1 were there", self.run_command(*account).stdout)
        self.assertIn("not empty", self.run_command("store", "restore", folder, code=1).output)
        self.config_file.write_text(self.config_file.read_text().replace('"data"', '"other"'))
        self.assertIn("queue are held", self.run_command("store", "restore", folder).stdout)
        self.assertEqual(self.answer("store", "statistics")["messages"], 1)
        self.assertEqual(self.answer("store", "verify", "--deep"), [])

    def test_restoring_asks_for_options_that_go_together(self) -> None:
        for options in (["--mailbox", "INBOX"], ["--dry-run"], ["--account", "a@example.test", "--exact"]):
            self.run_command("store", "restore", str(self.folder), *options, code=2)
        self.assertIn("is not a backup", self.run_command("store", "restore", str(self.folder), code=1).output)

    @staticmethod
    async def append_one(store: IMailStore) -> None:
        account = await store.directory.account("ann@example.test")
        writer = store.new_content()
        writer.write(b"Subject: x\r\n\r\n")
        await store.account_mail(account.account_id).append("INBOX", [NewMessage(await writer.finish())])

    @staticmethod
    async def lose_all(store: IMailStore) -> None:
        account = await store.directory.account("ann@example.test")
        mail = store.account_mail(account.account_id)
        await mail.remove_messages((await mail.mailbox("INBOX")).mailbox_id, ALL_UIDS)

    def test_moments_are_durations_or_dates(self) -> None:
        convert = MomentType().convert
        self.assertEqual(convert("2026-02-02T02:40:00", None, None), 1_770_000_000)
        self.assertLess(abs(convert("2h", None, None) - (time.time() - 7200)), 60)
        for text in ("soon", "2026-13-01"):
            with self.assertRaises(click.UsageError):
                convert(text, None, None)
