"""What would keep the server from starting is found without starting it."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import unittest
from pathlib import Path
from unittest import mock

from pymailsuite.config.loader import load_settings
from pymailsuite.server.data_folder import enter_data_folder, server_user
from pymailsuite.server.process import as_user
from pymailsuite.server.start_check import faults_of_start, faults_of_store, warnings_of
from pymailsuite.server.tls import CertificateFiles, make_self_signed
from tests.server.test_twistd import ProcessCase
from tests.support import commands
from tests.support.patience import PATIENCE_S


def nobody() -> tuple[int, int]:
    """A user who is not root."""
    user = pwd.getpwnam("nobody")
    return user.pw_uid, user.pw_gid


class StartCheckCase(ProcessCase):
    def faults(self, user: tuple[int, int] | None = None) -> list[str]:
        return faults_of_start(load_settings(self.config_file), user)

    def make_store(self) -> Path:
        self.assertEqual(commands.run("account", "list", "--config", str(self.config_file)).returncode, 0)
        return self.folder / "data/store.sqlite"


class StartCheckTests(StartCheckCase):
    def test_good_settings_have_no_faults_and_nothing_is_made(self) -> None:
        self.assertEqual(self.faults(), [])
        self.assertFalse((self.folder / "data").exists())
        self.make_store()
        self.assertEqual(self.faults(), [])

    def test_files_that_settings_name(self) -> None:
        for settings, fault in (
            ('[tls]\ncertificate = "no.pem"\n', "tls.certificate: {}/no.pem: No such file or directory"),
            ('[auth]\ncheckers = ["nonsense"]\n', "auth.checkers: there is no checker 'nonsense'"),
            (
                '[store]\nurl = "nosql://here"\n',
                "store.url: no store of the kind 'nosql'; there are postgres, postgresql, sqlite",
            ),
            (
                '[relay]\ntransports = { "a.example" = "none:x" }\n',
                "relay.transports: there is no transport 'none'; there are: smtp",
            ),
            ('[egress]\ntransforms = ["none"]\n', "egress: there is no transform 'none'; there are: none"),
            ('[smtp]\nhelp_file = "no.help"\n', "help_file: {}/no.help: No such file or directory"),
        ):
            with self.subTest(settings=settings):
                self.configure(settings)
                self.assertIn(fault.format(self.folder), self.faults())

    def test_a_key_of_another_certificate(self) -> None:
        files = CertificateFiles(self.folder / "c.pem", self.folder / "k.pem")
        other = CertificateFiles(self.folder / "c2.pem", self.folder / "k2.pem")
        for each in (files, other):
            make_self_signed(each, ["mail.example.test"])
        self.configure('[tls]\ncertificate = "c.pem"\nprivate_key = "k2.pem"\n')
        (fault,) = self.faults()
        self.assertIn("is not the key of", fault)

    def test_a_store_of_a_newer_release(self) -> None:
        with sqlite3.connect(self.make_store()) as store:
            store.execute("INSERT INTO schema_version (version, applied_at) VALUES (9999, 1.0)")
        (fault,) = self.faults()
        self.assertIn("schema is version 9999", fault)

    def test_a_store_that_is_damaged_or_locked(self) -> None:
        store = self.make_store()
        locked = sqlite3.connect(store, isolation_level=None)
        locked.execute("PRAGMA locking_mode = EXCLUSIVE")
        locked.execute("BEGIN EXCLUSIVE")
        self.assertEqual(self.faults(), [f"the store {store}: database is locked"])
        locked.close()
        store.write_bytes(b"no database" * 1000)
        self.assertEqual(self.faults(), [f"the store {store}: file is not a database"])

    def test_a_database_that_is_away_has_time_to_come_back(self) -> None:
        self.configure('[store]\nurl = "postgresql://nobody@/mail?host=/nonexistent"\n')
        settings = load_settings(self.config_file)
        (fault,) = faults_of_store(settings, None)
        self.assertIn("/nonexistent", fault)
        (self.folder / "data").mkdir()
        faults = iter(["away", "away", ""])
        with (
            mock.patch("pymailsuite.server.start_check._look_at", lambda *_: next(faults)),
            mock.patch("pymailsuite.server.start_check._LOOK_AGAIN_S", 0.0),
        ):
            self.assertEqual(faults_of_store(settings, None, PATIENCE_S), [])

    def test_a_data_folder_that_is_a_file(self) -> None:
        (self.folder / "data").write_text("")
        self.assertEqual(self.faults(), [f"server.data_dir: {self.folder}/data is not a folder"])

    def test_a_secret_in_a_file_that_all_can_read(self) -> None:
        self.configure('[relay]\nrelayhost = "mx.test"\nrelayhost_login = "us"\nrelayhost_password = "hush"\n')
        self.config_file.chmod(0o600)
        self.assertEqual(warnings_of(load_settings(self.config_file), self.config_file), [])
        self.config_file.chmod(0o644)
        (warning,) = warnings_of(load_settings(self.config_file), self.config_file)
        self.assertIn("relay.relayhost_password", warning)
        checked = commands.run("config", "check", "--json", str(self.config_file))
        self.assertEqual(json.loads(checked.stdout)["warnings"], [warning])

    def test_the_command_exits_with_2(self) -> None:
        self.configure('[tls]\ncertificate = "no.pem"\n')
        checked = commands.run("config", "check", str(self.config_file))
        self.assertEqual(checked.returncode, 2)
        fault = f"tls.certificate: {self.folder}/no.pem: No such file or directory"
        self.assertEqual(checked.stderr, f"Error: {self.config_file}: {fault}\n")


@unittest.skipUnless(os.geteuid() == 0, "only root can become others")
class UserTests(StartCheckCase):
    """Root asks for the user whom the server runs as."""

    def setUp(self) -> None:
        super().setUp()
        self.folder.chmod(0o755)

    def test_the_owner_of_the_data_folder_is_the_user(self) -> None:
        settings = load_settings(self.config_file)
        self.assertIsNone(server_user(settings))
        self.make_store()
        os.chown(self.folder / "data", *nobody())
        self.assertEqual(server_user(settings), nobody())

    def test_what_root_alone_can_read(self) -> None:
        files = CertificateFiles(self.folder / "c.pem", self.folder / "k.pem")
        make_self_signed(files, ["mail.example.test"])
        (self.folder / "data").mkdir()
        os.chown(self.folder / "data", *nobody())
        self.configure('[tls]\ncertificate = "c.pem"\nprivate_key = "k.pem"\n')
        self.assertEqual(
            self.faults(nobody()),
            [f"tls.private_key: {files.private_key} cannot be read by nobody, whom the server runs as"],
        )
        # A start reads the key before it becomes the user.
        self.assertEqual(faults_of_store(load_settings(self.config_file), nobody()), [])
        self.assertEqual(self.faults(), [])

    def test_a_store_that_is_root_s(self) -> None:
        store = self.make_store()
        store.parent.chmod(0o777)
        said = f"{store} belongs to root, and nobody, whom the server runs as, may not write there"
        self.assertIn(said, self.faults(nobody()))

    def test_a_command_before_the_first_start_leaves_nothing_of_root_s(self) -> None:
        self.folder.chmod(0o777)
        text = self.config_file.read_text().replace("[server]\n", '[server]\nuser = "nobody"\n')
        self.config_file.write_text(text)
        settings = load_settings(self.config_file)

        def command() -> list[str]:
            enter_data_folder(settings)
            (settings.server.data_dir / "store.sqlite").touch()
            return []

        self.assertEqual(as_user(None, command), [])
        owners = {path.stat().st_uid for path in (self.folder / "data", *(self.folder / "data").rglob("*"))}
        self.assertEqual(owners, {nobody()[0]})

    def test_what_root_has_made_goes_to_the_user_of_the_first_start(self) -> None:
        self.make_store()
        self.assertEqual((self.folder / "data").stat().st_uid, 0)
        uid, gid = nobody()
        server = self.start(f"--uid={uid}", f"--gid={gid}", "--pidfile=")
        self.end(server)
        owners = {path.stat().st_uid for path in (self.folder / "data", *(self.folder / "data").rglob("*"))}
        self.assertEqual(owners, {uid})
