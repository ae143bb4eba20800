"""The password file."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from twisted.cred.checkers import ICredentialsChecker
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.auth import PasswordFileChecker
from pymailsuite.auth.password_file import parse_password_file
from pymailsuite.errors import LoginRefused, TemporaryFailure
from tests.auth.support import Surroundings, credentials


class ParseTests(SynchronousTestCase):
    def test_names_hashes_comments_and_what_is_neither(self):
        text = (
            "# people\n\nAlice@mail.example:$argon2id$a\nbob:{ARGON2ID}$argon2id$b:1000:1000::/home\n"
            "carol:plain\nnocolon\n:$argon2id$c\nbob:$argon2id$later\r\n"
        )
        hashes, wrong = parse_password_file(text)
        self.assertEqual(hashes, {"alice@mail.example": "$argon2id$a", "bob": "$argon2id$b"})
        self.assertEqual(wrong, [5, 6, 7])

    @given(st.text())
    def test_any_text_is_read(self, text):
        parse_password_file(text)


class PasswordFileCheckerTests(SynchronousTestCase):
    def setUp(self):
        self.world = Surroundings(None)
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "passwords"
        self.write("alice@mail.example:" + self.world.hashes.hash("wonderland"), 1)
        self.checker = PasswordFileChecker(self.path, "mail.example", self.world.password_verifier)

    def write(self, text, time):
        self.path.write_text(text + "\n")
        os.utime(self.path, (time, time))

    def ask(self, name, password):
        return self.checker.requestAvatarId(credentials(name, password))

    def test_provides_its_interface(self):
        verifyObject(ICredentialsChecker, self.checker)

    def test_right_password_gives_the_login_name(self):
        for name in ("Alice@Mail.example", "alice"):
            self.assertEqual(self.successResultOf(self.ask(name, "wonderland")), "alice@mail.example")

    def test_unknown_name_and_wrong_password_cost_the_same(self):
        for name in ("alice", "bob"):
            self.world.threads.ran.clear()
            self.failureResultOf(self.ask(name, "x"), LoginRefused)
            self.assertEqual(self.world.threads.ran.count("verify"), 1)

    def test_changed_file_is_read_again_and_an_unchanged_one_is_not(self):
        self.successResultOf(self.ask("alice", "wonderland"))
        with capturedLogs() as events:
            self.successResultOf(self.ask("alice", "wonderland"))
            self.write("alice@mail.example:" + self.world.hashes.hash("new"), 2)
            self.failureResultOf(self.ask("alice", "wonderland"), LoginRefused)
            self.successResultOf(self.ask("alice", "new"))
        self.assertEqual([event["event"] for event in events], ["auth.password_file_read"])

    def test_lines_that_are_no_entries_are_logged_by_number_only(self):
        self.write("bob:hunter2", 3)
        with capturedLogs() as events:
            self.failureResultOf(self.ask("bob", "hunter2"), LoginRefused)
        self.assertIn("auth.password_line_ignored", [event["event"] for event in events])
        self.assertNotIn("hunter2", repr(events))

    def test_file_out_of_reach_is_no_refusal(self):
        self.path.unlink()
        with capturedLogs() as events:
            self.failureResultOf(self.ask("alice", "wonderland"), TemporaryFailure)
        self.assertEqual([event["event"] for event in events], ["auth.password_file_unreadable"])

    def test_broken_hash_is_refused(self):
        self.write("bob@mail.example:$argon2id$v=19$broken", 4)
        self.failureResultOf(self.ask("bob", "x"), LoginRefused)
