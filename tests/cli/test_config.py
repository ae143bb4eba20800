"""``config``, and what is the same for all commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from pymailsuite.cli.main import _NOUNS
from tests.acceptance import acceptance
from tests.cli.base import CommandCase


class ConfigTests(CommandCase):
    """``pymailsuite config``."""

    @acceptance("S073")
    def test_a_file_of_three_settings_is_good(self) -> None:
        path = self.folder / "three.toml"
        path.write_text('[server]\nhostname = "a.test"\ndomains = ["b.test"]\ndata_dir = "."\n')
        result = self.run_command("config", "check", str(path), config=False)
        self.assertEqual(result.stdout, f"{path}: good\n")

    def test_a_fault_is_named_and_the_exit_code_is_2(self) -> None:
        self.config_file.write_text(self.config_file.read_text() + "[imap]\ngreting = 1\n")
        result = self.run_command("config", "check", code=2)
        self.assertEqual(result.stderr, f"Error: {self.config_file}: imap.greting: unknown setting\n")

    def test_show_tells_what_was_set_from_defaults(self) -> None:
        shown = self.run_command("config", "show").stdout
        self.assertIn('hostname = "mail.example.test"\n', shown)
        self.assertIn("argon2_time_cost = 1\n", shown)
        self.assertIn("cache_size = 20000  # default\n", shown)

    def test_show_can_leave_defaults_out(self) -> None:
        shown = self.run_command("config", "show", "--changed").stdout
        self.assertNotIn("default", shown)
        self.assertEqual([line for line in shown.splitlines() if line.startswith("[")], ["[server]", "[auth]"])

    def test_show_as_json(self) -> None:
        options = self.answer("config", "show")
        self.assertEqual(options["auth.argon2_time_cost"], {"value": 1, "default": False})
        self.assertEqual(options["dns.cache_size"], {"value": 20000, "default": True})

    def test_passwords_in_the_file_are_not_shown(self) -> None:
        self.config_file.write_text(self.config_file.read_text() + '[relay]\nrelayhost_password = "hush"\n')
        self.assertNotIn("hush", self.run_command("config", "show").stdout)
        self.assertNotIn("hush", self.run_command("config", "show", "--json").stdout)

    def test_the_password_of_a_database_is_not_shown(self) -> None:
        for url in ("postgresql://mail:hush@db.test/mail", "postgresql:///mail?host=db.test&password=hush&user=mail"):
            self.config_file.write_text(f'{self.config_file.read_text()}[store]\nurl = "{url}"\n')
            for shown in (self.run_command("config", "show"), self.run_command("config", "show", "--json")):
                self.assertNotIn("hush", shown.stdout)
                self.assertIn("db.test", shown.stdout)
            self.config_file.write_text(self.config_file.read_text().partition("[store]")[0])


class CommandTests(CommandCase):
    """All commands."""

    def test_help_names_every_noun(self) -> None:
        shown = self.run_command("--help", config=False).stdout
        for noun in _NOUNS:
            self.assertIn(f"  {noun} ", shown)

    def test_every_noun_has_help(self) -> None:
        for noun in _NOUNS:
            self.assertIn("Usage: pymailsuite " + noun, self.run_command(noun, "--help", config=False).stdout)

    def test_an_unknown_noun_is_a_mistake(self) -> None:
        self.run_command("nonsense", code=2, config=False)

    def test_errors_are_json_where_answers_are(self) -> None:
        self.run_command("domain", "add", "x.test")
        refused = self.run_command("domain", "add", "x.test", "--json", code=1)
        self.assertEqual(refused.stdout, "")
        said = json.loads(refused.stderr)
        self.assertEqual((said["exit_code"], "x.test" in said["error"]), (1, True))
        for mistake in (["domain", "add", "--json"], ["nonsense", "--json"], ["domain", "--json", "list"]):
            self.assertEqual(json.loads(self.run_command(*mistake, code=2, config=False).stderr)["exit_code"], 2)
        self.assertIn("Usage", self.run_command("domain", "add", "--json", "--help", config=False).stdout)

    def test_the_configuration_of_a_server_that_runs_here_is_hinted_at(self) -> None:
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        missing = ["domain", "list", "--config", "/nonexistent.toml"]
        self.assertNotIn("dev-data", self.run_command(*missing, code=2, config=False).stderr)
        (self.folder / "dev-data").mkdir()
        (self.folder / "dev-data/pymailsuite.toml").touch()
        self.assertIn("dev-data/pymailsuite.toml", self.run_command(*missing, code=2, config=False).stderr)

    def test_a_missing_configuration_is_named(self) -> None:
        result = self.run_command("domain", "list", "--config", str(self.folder / "no.toml"), code=2, config=False)
        self.assertIn("no.toml: No such file", result.stderr)

    def test_a_process_of_its_own_works_on_the_store(self) -> None:
        environment = os.environ | {"PYMAILSUITE_CONFIG": str(self.config_file)}
        command = [sys.executable, "-m", "pymailsuite", "domain"]
        added = subprocess.run(
            [*command, "add", "x.test"], env=environment, capture_output=True, text=True, check=False
        )
        self.assertEqual((added.returncode, added.stdout, added.stderr), (0, "added x.test\n", ""))
        again = subprocess.run(
            [*command, "add", "x.test"], env=environment, capture_output=True, text=True, check=False
        )
        self.assertEqual(again.returncode, 1)
        self.assertTrue(again.stderr.startswith("Error: "), again.stderr)
