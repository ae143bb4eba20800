"""``store``."""

from __future__ import annotations

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

    def test_moments_are_durations_or_dates(self) -> None:
        convert = MomentType().convert
        self.assertEqual(convert("2026-02-02T02:40:00", None, None), 1_770_000_000)
        self.assertLess(abs(convert("2h", None, None) - (time.time() - 7200)), 60)
        for text in ("soon", "2026-13-01"):
            with self.assertRaises(click.UsageError):
                convert(text, None, None)
