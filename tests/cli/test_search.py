"""``search``."""

from __future__ import annotations

from pymailsuite.interfaces import IMailStore, NewMessage
from tests.cli.base import CommandCase


class SearchTests(CommandCase):
    """``pymailsuite search``."""

    def setUp(self) -> None:
        super().setUp()
        self.run_command("domain", "add", "example.net")
        for name in ("ann", "bob"):
            self.run_command("account", "add", f"{name}@example.net", "--no-password")

        async def fill(store: IMailStore) -> None:
            for name in ("ann", "bob"):
                account = await store.directory.account(f"{name}@example.net")
                for number in range(64):
                    writer = store.new_content()
                    writer.write(b"Subject: %d\r\n\r\ntext %d\r\n" % (number, number))
                    await store.account_mail(account.account_id).append("INBOX", [NewMessage(await writer.finish())])

        self.on_store(fill)

    def test_the_index_is_made_shown_and_dropped(self) -> None:
        before = self.answer("search", "status")
        self.assertEqual((before["messages"], before["messages_indexed"], before["octets"]), (128, 0, 0))
        self.assertEqual(self.answer("search", "rebuild"), {"pieces_removed": 0, "messages_indexed": 128})
        after = self.answer("search", "status", "--account", "ann@example.net")
        self.assertEqual((after["messages"], after["messages_indexed"], after["full"]), (64, 64, False))
        self.assertGreater(after["octets_of_all"], after["octets"])
        self.assertEqual(self.answer("search", "drop", "--account", "ann@example.net"), {"pieces_removed": 1})
        self.assertEqual(self.answer("search", "status")["messages_indexed"], 64)
        again = self.run_command("search", "rebuild", "--account", "bob@example.net")
        self.assertEqual(again.stdout, "indexed 64 messages\n")
        self.assertIn("accounts dropped", self.run_command("search", "status").stdout)

    def test_an_account_that_is_not_there_is_named(self) -> None:
        answer = self.run_command("search", "drop", "--account", "eve@example.net", code=1)
        self.assertIn("no account eve@example.net", answer.output)
