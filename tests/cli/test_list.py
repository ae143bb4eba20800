"""``pymailsuite list``."""

from tests.acceptance import acceptance
from tests.cli.base import CommandCase


class ListCommandTests(CommandCase):
    @acceptance("S165")
    def test_entries_are_added_shown_and_removed(self) -> None:
        self.run_command("list", "add", "192.0.2.77/24", "--comment", "noisy")
        self.run_command("list", "add", "Joe@Bad.example", "--allow", "--scope", "ann@example.test")
        self.run_command("list", "add", "helo:ylmf-pc", "--action", "junk", "--for", "30d")
        rows = self.answer("list", "show")
        self.assertEqual(
            [(row["scope"], row["verdict"], row["kind"], row["value"], row["action"]) for row in rows],
            [
                (None, "deny", "helo", "ylmf-pc", "junk"),
                (None, "deny", "ip", "192.0.2.0/24", "reject"),
                ("ann@example.test", "allow", "address", "joe@bad.example", "reject"),
            ],
        )
        self.assertEqual(len(self.answer("list", "show", "--scope", "")), 2)
        self.run_command("list", "remove", "192.0.2.0/24")
        self.assertIn("nothing is said", self.run_command("list", "remove", "192.0.2.0/24", code=1).output)
        self.assertEqual(len(self.answer("list", "show", "--scope", "")), 1)

    def test_a_file_is_added_whole_or_not_at_all(self) -> None:
        good, bad = self.folder / "good", self.folder / "bad"
        good.write_text("bad.example spammers\nallow good.example\n")
        bad.write_text("worse.example\na..b\n")
        self.assertEqual(self.answer("list", "import", str(good), "--scope", "example.test"), {"added": 2})
        self.assertIn("line 2", self.run_command("list", "import", str(bad), code=2).output)
        rows = self.answer("list", "show")
        self.assertEqual(
            [(row["scope"], row["verdict"], row["value"], row["comment"]) for row in rows],
            [("example.test", "deny", "bad.example", "spammers"), ("example.test", "allow", "good.example", "")],
        )

    def test_mistakes_are_told(self) -> None:
        for arguments in (["a..b"], ["x.example", "--for", "soon"], ["x.example", "--scope", "a..b"], ["ip:x"]):
            self.run_command("list", "add", *arguments, code=2)
