"""Help files."""

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings
from pymailsuite.errors import ConfigError
from pymailsuite.smtp.extensions import OURS
from pymailsuite.smtp.help import load_help, parse_help
from tests.acceptance import acceptance
from tests.smtp.conversations import Server


class HelpTests(SynchronousTestCase):
    """What HELP says, and where it comes from."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, text):
        path = self.folder / "help"
        path.write_text(text, "utf-8")
        return path

    @acceptance("S018")
    def test_an_operators_help_file_replaces_ours(self):
        path = self.write("# ours\nsmtp\tAsk postmaster\n\nmail\tMAIL FROM:<you>\nMAIL\tsecond line\n")
        conversation = Server(SmtpMxSettings(help_file=path)).connect()
        conversation.output()
        self.assertEqual(conversation.say("HELP"), "214 2.0.0 Ask postmaster\r\n")
        self.assertEqual(conversation.say("HELP Mail"), "214-2.0.0 MAIL FROM:<you>\r\n214 2.0.0 second line\r\n")

    def test_a_broken_help_file_is_named_with_its_line(self):
        self.assertIn("line 2", str(self.assertRaises(ConfigError, parse_help, "smtp\tx\nno tab here\n")))
        self.assertIn("smtp", str(self.assertRaises(ConfigError, parse_help, "mail\tx\n")))
        missing = self.folder / "missing"
        self.assertIn(str(missing), str(self.assertRaises(ConfigError, load_help, missing)))

    def test_every_command_has_a_topic(self):
        topics = load_help(None, commands=OURS.commands.values())
        for verb in topics["smtp"][1].partition(": ")[2].lower().split():
            self.assertIn(verb, topics)

    def test_the_version_is_told_if_asked_for(self):
        self.assertEqual(load_help(None, "pymailsuite 1.2")["smtp"][0], "This is pymailsuite 1.2")
