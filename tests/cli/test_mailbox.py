"""``mailbox``, ``group``, and accounts that are shared."""

from __future__ import annotations

from tests.acceptance import acceptance
from tests.cli.base import CommandCase

ANN, BOB = "ann@example.test", "bob@example.test"


class SharingCase(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        for name in (ANN, BOB):
            self.run_command("account", "add", name, "--no-password")

    def shares(self, *arguments: str) -> list[str]:
        rows = self.answer("mailbox", "shares", *arguments, "--account", ANN)
        return [" ".join((row["mailbox"], row["with"], row["rights"])) for row in rows]


@acceptance("S128")
class MailboxTests(SharingCase):
    """``pymailsuite mailbox``."""

    def test_a_mailbox_is_made_and_shared_and_shared_no_more(self) -> None:
        made = self.answer("mailbox", "create", "Team/A", "--account", ANN)
        self.assertEqual(made, {"account": ANN, "mailbox": "Team/A"})
        names = [row["mailbox"] for row in self.answer("mailbox", "list", "--account", ANN)]
        self.assertEqual(names, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Team", "Team/A", "Trash"])
        sharing = ("mailbox", "share", "Team", "--account", ANN)
        done = self.run_command(*sharing, "--with", "Bob@Example.test", "--rights", "lrs")
        self.assertEqual(done.stdout, f"Team of {ANN} is shared with {BOB}: lrs\n")
        told = self.answer(*sharing, "--with", "-anyone", "--rights", "d")
        self.assertEqual(told, {"account": ANN, "mailbox": "Team", "with": "-anyone", "rights": "te"})
        self.run_command("mailbox", "share", "INBOX", "--account", ANN, "--with", "anyone", "--rights", "lc")
        self.assertEqual(self.shares(), ["INBOX anyone lkx", "Team -anyone te", f"Team {BOB} lrs"])
        done = self.run_command("mailbox", "unshare", "Team", "--account", ANN, "--with", BOB)
        self.assertEqual(done.stdout, f"Team of {ANN} is not shared with {BOB}\n")
        self.assertEqual(self.shares("Team"), ["Team -anyone te"])

    def test_what_cannot_be_shared_is_refused(self) -> None:
        sharing = ("mailbox", "share", "INBOX", "--account", ANN, "--with")
        for who, letters, code, error in (
            (BOB, "lz", 2, "not a right"),
            ("group=", "l", 2, "without a name"),
            ("nobody@example.test", "l", 1, "There is no nobody@example.test"),
            ("group=nobody", "l", 1, "There is no group=nobody"),
            ("owner", "l", 1, "The owner always has all rights"),
            (ANN, "l", 1, "The owner always has all rights"),
        ):
            self.assertIn(error, self.run_command(*sharing, who, "--rights", letters, code=code).stderr)
        self.run_command("mailbox", "share", "NoSuch", "--account", ANN, "--with", BOB, "--rights", "l", code=1)
        self.run_command("mailbox", "shares", "NoSuch", "--account", ANN, code=1)
        self.run_command("mailbox", "shares", "--account", "nobody@example.test", code=1)

    def test_a_mailbox_is_given_other_uses(self) -> None:
        using = ("mailbox", "special-use", "Archive")
        done = self.run_command(*using, "Memos", "archive", "--account", ANN)
        self.assertEqual(done.stdout, "Archive is for \\Memos \\Archive\n")
        told = self.answer(*using, "--account", ANN)
        self.assertEqual(told, {"account": ANN, "mailbox": "Archive", "special_uses": []})
        self.run_command(*using, "gossip", "--account", ANN, code=2)
        self.run_command("mailbox", "special-use", "NoSuch", "sent", "--account", ANN, code=1)

    def test_nobody_logs_in_to_a_shared_account(self) -> None:
        added = self.answer("account", "add", "team@example.test", "--shared")
        self.assertEqual((added["account"], added["shared"]), ("team@example.test", True))
        error = self.run_command("account", "passwd", "team@example.test", "--password-stdin", stdin="x\n", code=1)
        self.assertIn("Nobody logs in to a shared account", error.stderr)
        self.run_command("account", "add", "other@example.test", "--shared", "--no-password", code=2)
        sharing = ("mailbox", "share", "INBOX", "--account", "team@example.test", "--with", BOB)
        self.assertEqual(self.answer(*sharing, "--rights", "lrswitea")["rights"], "lrswitea")


class GroupTests(SharingCase):
    """``pymailsuite group``."""

    def test_groups_are_made_changed_listed_and_removed(self) -> None:
        self.assertEqual(self.run_command("group", "add", "Sales", ANN, BOB).stdout, "sales has 2 members\n")
        self.assertEqual(self.answer("group", "add", "sales", BOB), {"group": "sales", "members": [ANN, BOB]})
        self.assertEqual(self.answer("group", "add", "empty"), {"group": "empty", "members": []})
        self.assertEqual(self.answer("group", "remove", "sales", ANN), {"group": "sales", "members": [BOB]})
        self.assertEqual(
            self.answer("group", "list"), [{"group": "empty", "members": []}, {"group": "sales", "members": [BOB]}]
        )
        self.assertEqual(self.answer("group", "show", "sales"), [{"group": "sales", "member": BOB}])
        self.run_command("mailbox", "share", "INBOX", "--account", ANN, "--with", "group=sales", "--rights", "lr")
        self.assertEqual(self.shares(), ["INBOX group=sales lr"])
        self.run_command("group", "remove", "sales", code=1)  # nobody says yes
        self.assertEqual(self.answer("group", "remove", "sales", "--yes"), {"removed": "sales"})
        self.assertEqual(self.shares(), [])

    def test_what_is_not_there_is_refused(self) -> None:
        self.run_command("group", "add", "sales", "nobody@example.test", code=1)
        self.run_command("group", "show", "nobody", code=1)
        self.run_command("group", "remove", "nobody", "--yes", code=1)
        self.run_command("group", "add", "sales")
        self.run_command("group", "remove", "sales", BOB, code=1)
        self.run_command("group", "add", "a b", code=2)
        self.run_command("group", "add", "-x", code=2)
