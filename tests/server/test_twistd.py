"""``twistd pymailsuite`` and ``pymailsuite dev`` as processes: options, errors, privileges, start and stop."""

from __future__ import annotations

import imaplib
import json
import os
import pwd
import re
import signal
import smtplib
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from pymailsuite.server.tls import CertificateFiles, make_self_signed
from tests.acceptance import acceptance
from tests.support.patience import PATIENCE_S, at_best, until
from tests.support.server import DevServer, free_port_base, running

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


def insecure_context() -> ssl.SSLContext:
    """Takes the self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class ProcessCase(unittest.TestCase):
    """Tests with a folder and a configuration file in it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config_file = self.folder / "mail.toml"
        self.port_base = free_port_base()
        self.configure()

    def configure(self, more: str = "") -> None:
        """Write the configuration: SMTP and IMAP on loopback, and what the test wants more."""
        smtp, imap = self.port_base + 25, self.port_base + 143
        self.config_file.write_text(
            '[server]\nhostname = "mail.example.test"\ndomains = ["example.test"]\ndata_dir = "data"\n'
            "[listeners]\nsubmission = []\nsubmissions = []\nimaps = []\npop3 = []\npop3s = []\n"
            f'smtp = ["tcp:{smtp}:interface=127.0.0.1"]\nimap = ["tcp:{imap}:interface=127.0.0.1"]\n' + more
        )

    def twistd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [*TWISTD, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def start(self, *options: str) -> subprocess.Popen[str]:
        """``twistd -n pymailsuite``, ready; its log is in ``self.folder / "stderr"``."""
        command = [*TWISTD, "-n", *options, "pymailsuite", "--config", "mail.toml"]
        with (self.folder / "stderr").open("w") as stderr:
            server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=stderr, text=True)
        self.addCleanup(self.end, server)
        assert server.stdout is not None
        self.assertEqual(server.stdout.readline(), "ready\n", (self.folder / "stderr").read_text())
        return server

    @staticmethod
    def end(server: subprocess.Popen[str]) -> None:
        server.kill()
        server.wait(PATIENCE_S)
        assert server.stdout is not None
        server.stdout.close()


class UsageTests(ProcessCase):
    """What is wrong is said in one line, without a traceback."""

    def test_a_configuration_that_is_not_there(self) -> None:
        ended = self.twistd("-n", "pymailsuite", "--config", "no.toml")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("no.toml: No such file or directory", ended.stdout + ended.stderr)
        self.assertNotIn("Traceback", ended.stdout + ended.stderr)

    def test_a_setting_that_is_wrong(self) -> None:
        self.configure("[smtp]\nbaner = 1\n")
        ended = self.twistd("-n", "pymailsuite", "--config", "mail.toml")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("mail.toml: smtp.baner: unknown setting", ended.stdout + ended.stderr)

    def test_a_certificate_that_is_not_there(self) -> None:
        self.configure('[tls]\ncertificate = "no.pem"\n')
        ended = self.twistd("-n", "pymailsuite", "--config", "mail.toml")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("tls.certificate: ", ended.stdout + ended.stderr)
        self.assertNotIn("Traceback", ended.stdout + ended.stderr)

    def test_a_checker_that_is_not_there(self) -> None:
        ended = self.twistd("-n", "pymailsuite", "--config", "mail.toml", "--auth", "nonsense")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("Auth plugin not recognized: nonsense", ended.stdout + ended.stderr)

    def test_checkers_are_listed(self) -> None:
        shown = self.twistd("pymailsuite", "--help-auth").stdout
        for checker in ("mailstore", "mailfile", "memory"):
            self.assertRegex(shown, rf"(?m)^ *{checker}\b")

    def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", self.port_base + 143)):
            ended = self.twistd("-n", "pymailsuite", "--config", "mail.toml")
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"pymailsuite: listeners.imap: cannot listen on tcp:{self.port_base + 143}", ended.stderr)
        self.assertNotIn("Traceback", ended.stderr)

    def test_a_daemon_tells_its_starter_of_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", self.port_base + 143)):
            ended = self.twistd("pymailsuite", "--config", "mail.toml")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("An error has occurred", ended.stderr)
        # The daemon tells first, and takes its file away on its way out.
        until(lambda: not (self.folder / "twistd.pid").exists())

    def test_a_store_that_cannot_be_opened(self) -> None:
        (self.folder / "data").mkdir()
        (self.folder / "data/store.sqlite").write_bytes(b"this is no database, whatever it is called" * 100)
        ended = self.twistd("-n", "pymailsuite", "--config", "mail.toml")
        self.assertEqual(ended.returncode, 1)
        store = self.folder / "data/store.sqlite"
        self.assertEqual(ended.stderr, f"pymailsuite: the store {store}: file is not a database\n")

    def test_a_daemon_that_cannot_start_tells_so_at_once_and_leaves_nothing(self) -> None:
        (self.folder / "data").mkdir()
        (self.folder / "data/store.sqlite").write_bytes(b"this is no database, whatever it is called" * 100)
        ended = self.twistd("pymailsuite", "--config", "mail.toml")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("file is not a database", ended.stdout + ended.stderr)
        self.assertNotIn("Traceback", ended.stdout + ended.stderr)
        self.assertFalse((self.folder / "twistd.pid").exists())
        (self.folder / "data/store.sqlite").unlink()
        self.start()
        self.assertNotIn(" critical ", (self.folder / "stderr").read_text())
        self.assertNotIn("ready", ended.stdout)


class LifeTests(ProcessCase):
    """From start to stop."""

    @acceptance("S001", "S073")
    def test_three_settings_and_two_ports_make_a_server(self) -> None:
        server = self.start()
        with smtplib.SMTP("127.0.0.1", self.port_base + 25, timeout=PATIENCE_S) as client:
            self.assertEqual(client.noop()[0], 250)
        at_best(self.time_to_greeting, 1.0)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(PATIENCE_S), -signal.SIGTERM)
        log = (self.folder / "stderr").read_text()
        self.assertIn(" info server.stopped\n", log)
        self.assertNotIn("Traceback", log)

    def time_to_greeting(self) -> float:
        """Seconds from the connection on."""
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port_base + 25), PATIENCE_S) as raw:
            greeting = raw.recv(1000)
        self.assertTrue(greeting.startswith(b"220 mail.example.test ESMTP"), greeting)
        return time.monotonic() - began

    def test_sessions_are_told_that_the_server_stops(self) -> None:
        server = self.start()
        with (
            socket.create_connection(("127.0.0.1", self.port_base + 25), PATIENCE_S) as smtp,
            socket.create_connection(("127.0.0.1", self.port_base + 143), PATIENCE_S) as imap,
        ):
            smtp.recv(1000)
            imap.recv(1000)
            server.terminate()
            self.assertTrue(smtp.recv(1000).startswith(b"421 "))
            self.assertEqual(smtp.recv(1000), b"")
            while imap.recv(1000):
                pass
        self.assertEqual(server.wait(PATIENCE_S), -signal.SIGTERM)

    @acceptance("S189")
    def test_without_a_certificate_tls_works_with_a_self_signed_one(self) -> None:
        self.start()
        with imaplib.IMAP4("127.0.0.1", self.port_base + 143, timeout=PATIENCE_S) as client:
            self.assertEqual(client.starttls(insecure_context())[0], "OK")
            self.assertEqual(client.noop()[0], "OK")

    @acceptance("S005")
    def test_the_banner_is_the_operators(self) -> None:
        self.configure('[smtp]\nbanner = "(No UCE/UBE) logging access\\nsecond line"\n')
        self.start()
        with socket.create_connection(("127.0.0.1", self.port_base + 25), PATIENCE_S) as raw:
            greeting = raw.recv(1000)
        self.assertEqual(greeting, b"220-mail.example.test (No UCE/UBE) logging access\r\n220 second line\r\n")

    def test_the_log_can_be_json_in_a_file(self) -> None:
        self.configure('[log]\nformat = "json"\nfile = "logs/mail.json"\n')
        server = self.start()
        server.terminate()
        server.wait(PATIENCE_S)
        self.assertEqual((self.folder / "stderr").read_text(), "")
        events = [json.loads(line) for line in (self.folder / "logs/mail.json").read_text().splitlines()]
        names = [event.get("event") for event in events]
        self.assertIn("server.ready", names)
        self.assertIn("server.stopped", names)

    def test_commands_work_on_the_live_store(self) -> None:
        self.start()
        command = [sys.executable, "-m", "pymailsuite", "account", "add", "new@example.test", "--password-stdin"]
        subprocess.run(
            [*command, "--config", self.config_file], input="secret", text=True, check=True, timeout=PATIENCE_S
        )
        with imaplib.IMAP4("127.0.0.1", self.port_base + 143, timeout=PATIENCE_S) as client:
            client.starttls(insecure_context())
            self.assertEqual(client.login("new@example.test", "secret")[0], "OK")

    def test_a_checker_of_the_command_line_proves_passwords(self) -> None:
        command = [sys.executable, "-m", "pymailsuite", "account", "add", "new@example.test", "--no-password"]
        subprocess.run(
            [*command, "--config", self.config_file], check=True, timeout=PATIENCE_S, stdout=subprocess.DEVNULL
        )
        command = [*TWISTD, "-n", "--pidfile=", "pymailsuite", "--config", "mail.toml"]
        with (self.folder / "stderr").open("w") as stderr:
            server = subprocess.Popen(
                [*command, "--auth", "memory:new@example.test:other"],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.addCleanup(self.end, server)
        assert server.stdout is not None
        self.assertEqual(server.stdout.readline(), "ready\n", (self.folder / "stderr").read_text())
        with imaplib.IMAP4("127.0.0.1", self.port_base + 143, timeout=PATIENCE_S) as client:
            client.starttls(insecure_context())
            self.assertEqual(client.login("new@example.test", "other")[0], "OK")

    def test_a_daemon_listens_logs_and_stops(self) -> None:
        started = self.twistd("pymailsuite", "--config", "mail.toml")
        self.assertEqual(started.returncode, 0, started.stderr)
        pid = int((self.folder / "twistd.pid").read_text())
        try:
            deadline = time.monotonic() + PATIENCE_S
            while "server.ready" not in (self.folder / "twistd.log").read_text():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
        finally:
            os.kill(pid, signal.SIGTERM)
        while (self.folder / "twistd.pid").exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_it_may_open_as_many_files_as_the_system_lets_it(self) -> None:
        lines = [
            "import resource",
            "from pymailsuite.server.process import allow_many_files",
            "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]",
            "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))",
            "allow_many_files()",
            "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)",
        ]
        subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)

    def test_systemd_is_told(self) -> None:
        path = str(self.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(path)
            notified.settimeout(PATIENCE_S)
            self.addCleanup(os.environ.pop, "NOTIFY_SOCKET", None)
            os.environ["NOTIFY_SOCKET"] = path
            self.start()
            self.assertEqual(notified.recv(100), b"READY=1")


@unittest.skipUnless(os.geteuid() == 0, "dropping privileges needs root")
class HangUpTests(ProcessCase):
    """SIGHUP to a server of one process."""

    def hang_up(self, server: subprocess.Popen[str], event: str) -> str:
        """Send it, and wait for an event; the log."""
        os.kill(server.pid, signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_S
        while event not in (said := (self.folder / "stderr").read_text()):
            self.assertLess(time.monotonic(), deadline, said)
            time.sleep(0.02)
        return said

    def test_it_goes_on_and_says_which_settings_wait_for_a_restart(self) -> None:
        server = self.start("--pidfile=")
        self.configure('[smtp]\nbanner = "new"\n')
        said = self.hang_up(server, "server.restart_needed")
        self.assertIn("server.restart_needed: smtp.banner ", said)
        with smtplib.SMTP("127.0.0.1", self.port_base + 25, timeout=PATIENCE_S) as client:
            self.assertEqual(client.noop()[0], 250)

    def test_a_new_certificate_is_in_use_at_once(self) -> None:
        server = self.start("--pidfile=")
        key, certificate = self.folder / "data/tls/key.pem", self.folder / "data/tls/certificate.pem"
        make_self_signed(CertificateFiles(certificate, key), ["renewed.test"])
        self.hang_up(server, "tls.renewed")
        with smtplib.SMTP("127.0.0.1", self.port_base + 25, timeout=PATIENCE_S) as client:
            client.starttls(context=insecure_context())
            assert isinstance(client.sock, ssl.SSLSocket)
            served = client.sock.getpeercert(binary_form=True)
        self.assertEqual(served, ssl.PEM_cert_to_DER_cert(certificate.read_text()))

    def test_a_configuration_with_a_fault_is_reported(self) -> None:
        server = self.start("--pidfile=")
        self.configure("[smtp]\nbaner = 1\n")
        self.assertIn("smtp.baner: unknown setting", self.hang_up(server, "server.reload_refused"))
        self.assertIsNone(server.poll())

    def test_with_a_parent_one_worker_is_replaced_by_one_with_the_new_settings(self) -> None:
        self.configure("[workers]\nparent = true\n")
        server = self.start("--pidfile=")
        self.configure('[workers]\nparent = true\n[smtp]\nbanner = "new"\n')
        os.kill(server.pid, signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_S
        greeting = b""
        while b"new" not in greeting:
            self.assertLess(time.monotonic(), deadline)
            with socket.create_connection(("127.0.0.1", self.port_base + 25), PATIENCE_S) as connection:
                greeting = connection.recv(1000)


class PrivilegeTests(ProcessCase):
    """Started by root, run as somebody else."""

    @acceptance("S001")
    def test_a_privileged_port_is_bound_and_then_root_is_left(self) -> None:
        nobody = pwd.getpwnam("nobody")
        try:
            subprocess.run([sys.executable, "-c", "import sqlite3"], user=nobody.pw_uid, check=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("this Python is not for everybody to run")
        self.folder.chmod(0o755)
        port = next((port for port in range(1000, 1023) if self.is_free(port)), None)
        if port is None:
            self.skipTest("no privileged port is free")
        text = self.config_file.read_text().replace(f"tcp:{self.port_base + 25}:", f"tcp:{port}:")
        self.config_file.write_text(text)
        server = self.start("--uid", str(nobody.pw_uid), "--gid", str(nobody.pw_gid), "--pidfile=")
        status = Path(f"/proc/{server.pid}/status").read_text()
        self.assertEqual(re.findall(r"(?m)^Uid:\t(.*)$", status), ["\t".join([str(nobody.pw_uid)] * 4)])
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_S) as client:
            self.assertEqual(client.noop()[0], 250)
        self.assertEqual((self.folder / "data/store.sqlite").stat().st_uid, nobody.pw_uid)
        # And the operator's commands, run by root, leave no file of root's beside it.
        command = [sys.executable, "-m", "pymailsuite", "domain", "add", "x.test", "--config", str(self.config_file)]
        subprocess.run(command, check=True, timeout=PATIENCE_S, stdout=subprocess.DEVNULL)
        owners = {path.stat().st_uid for path in (self.folder / "data").iterdir() if path.name.startswith("store")}
        self.assertEqual(owners, {nobody.pw_uid})

    @staticmethod
    def is_free(port: int) -> bool:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True


class DevTests(unittest.TestCase):
    """``pymailsuite dev``."""

    def test_its_folder_is_kept_between_runs(self) -> None:
        with tempfile.TemporaryDirectory() as name, running(DevServer(Path(name), ["ann"])) as server:
            with smtplib.SMTP("127.0.0.1", server.port(25), timeout=PATIENCE_S) as client:
                client.sendmail("x@elsewhere.test", ["ann@example.test"], "Subject: kept\r\n\r\n")
            server.stop()
            server.start()
            with imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S) as reader:
                reader.login("ann@example.test", server.password)
                self.assertEqual(reader.select("INBOX", readonly=True)[1], [b"1"])
            self.assertEqual(server.stop(), -signal.SIGINT)

    def test_sample_accounts_keep_their_passwords(self) -> None:
        introductions = []
        with tempfile.TemporaryDirectory() as name:
            for _ in range(2):
                command = [sys.executable, "-m", "pymailsuite", "dev", "--json", "--dir", name]
                command += ["--port-base", str(free_port_base())]
                server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                assert server.stdout is not None
                text = "".join(iter(server.stdout.readline, "ready\n"))
                server.terminate()
                server.wait(PATIENCE_S)
                server.stdout.close()
                introductions.append(json.loads(text))
            mode = stat.S_IMODE((Path(name) / "passwords.json").stat().st_mode)
        self.assertEqual(introductions[0]["accounts"], introductions[1]["accounts"])
        self.assertEqual(list(introductions[0]["accounts"]), ["alice@example.test", "bob@example.test"])
        self.assertEqual(mode, 0o600)

    def test_the_demonstration_succeeds(self) -> None:
        command = [sys.executable, "-m", "pymailsuite", "demo"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        self.assertIn("SMTP C: AUTH PLAIN ***\n", ended.stdout)
        self.assertIn("All is well.", ended.stdout)
