"""``dev`` and ``demo``: what they write and say; that they run is shown with the processes."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import click

from pymailsuite.cli import dev
from pymailsuite.cli.demo import Dialogue, demo_port_base, sample_message
from pymailsuite.cli.dev import (
    STANDARD_PORTS,
    SampleAccount,
    SampleAccountType,
    configuration,
    free_port_base,
    introduction,
    take_folder,
    toml_text,
)
from pymailsuite.config.loader import load_settings
from pymailsuite.config.settings import Settings
from tests.cli.base import CommandCase


class ConfigurationTests(CommandCase):
    """The file that ``dev`` writes."""

    def written(self, *domains: str, **options: Any) -> Settings:
        self.config_file.write_text(toml_text(configuration(self.folder, 2000, domains, **options)), encoding="utf-8")
        return load_settings(self.config_file)

    def test_every_port_is_on_loopback_and_unprivileged(self) -> None:
        listeners = self.written("example.test").listeners
        endpoints = [endpoint for service in STANDARD_PORTS for endpoint in getattr(listeners, service)]
        self.assertTrue(all(re.search(r":interface=(127\.0\.0\.1|\\:\\:1)$", endpoint) for endpoint in endpoints))
        self.assertIn("tcp:2025:interface=127.0.0.1", endpoints)
        self.assertIn("tcp:2993:interface=\\:\\:1", endpoints)

    def test_the_host_is_in_the_first_domain(self) -> None:
        server = self.written("example.test", "bücher.test").server
        self.assertEqual(server.hostname, "mail.example.test")
        self.assertEqual(server.domains, ("example.test", "bücher.test"))

    def test_passwords_need_tls_unless_asked_otherwise(self) -> None:
        for wanted in (False, True):
            settings = self.written("example.test", plaintext_login=wanted)
            for section in (settings.smtp, settings.submission, settings.imap, settings.pop3):
                self.assertEqual(bool(section.plaintext_login), wanted)

    def test_resolver_relay_host_and_store_are_settings(self) -> None:
        settings = self.written(
            "example.test", resolver="127.0.0.1:5353", relayhost="127.0.0.1:2525", store="sqlite:///elsewhere"
        )
        self.assertEqual(settings.dns.servers, ("127.0.0.1:5353",))
        self.assertEqual(settings.relay.relayhost, "127.0.0.1:2525")
        self.assertEqual(settings.store.url, "sqlite:///elsewhere")


class DevTests(CommandCase):
    """The command, up to where it becomes twistd."""

    def setUp(self) -> None:
        super().setUp()
        self.executed: list[list[str]] = []
        self.locks: list[int] = []
        self.patch(dev.os, "set_inheritable", lambda descriptor, _: self.locks.append(descriptor))
        self.addCleanup(self.let_go)
        # Whether ports are free is not what most are about.
        self.look_at_ports = dev.look_at_ports
        self.patch(dev, "look_at_ports", lambda base: None)
        self.patch(dev.os, "execv", lambda path, command: self.executed.append(command))
        self.config_file = self.folder / "dev" / "pymailsuite.toml"

    def let_go(self) -> None:
        """As the end of the server does."""
        while self.locks:
            os.close(self.locks.pop())

    def dev(self, *options: str) -> str:
        self.let_go()
        directory = str(self.folder / "dev")
        return self.run_command("dev", "--dir", directory, *options, config=False).stdout

    def test_it_becomes_twistd(self) -> None:
        self.dev()
        (command,) = self.executed
        self.assertEqual(command[-4:], ["--pidfile=", "pymailsuite", "--config", str(self.config_file)])

    def test_accounts_and_their_domains_are_created(self) -> None:
        self.dev("--domain", "first.test", "--account", "Ann@second.test:pass:word")
        domains = self.on_store(lambda store: store.directory.domains())
        self.assertEqual([domain.name for domain in domains], ["first.test", "second.test"])
        (account,) = self.on_store(lambda store: store.directory.accounts(None))
        self.assertEqual(account.login_name, "ann@second.test")

    def test_an_account_that_is_there_keeps_its_password(self) -> None:
        self.assertIn("ann@example.test  password  old", self.dev("--account", "ann@example.test:old"))
        before = self.on_store(lambda store: store.directory.credentials("ann@example.test"))
        said = self.dev("--account", "ann@example.test:new")
        self.assertIn("ann@example.test  keeps the password it has", said)
        after = self.on_store(lambda store: store.directory.credentials("ann@example.test"))
        self.assertEqual(after.password_hash, before.password_hash)

    def test_a_second_server_is_told_where_there_is_room(self) -> None:
        self.patch(dev, "look_at_ports", self.look_at_ports)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            base = str(taken.getsockname()[1] - STANDARD_PORTS["imap"])
            refused = self.run_command(
                "dev", "--dir", str(self.folder), "--port-base", base, code=1, config=False
            ).stderr
        free = re.search(r"make run PORT_BASE=(\d+) ", refused)
        assert free is not None, refused
        self.assertEqual(free_port_base([int(free[1])]), int(free[1]))

    def test_a_folder_has_one_server(self) -> None:
        take_folder(self.folder)
        refused = self.run_command("dev", "--dir", str(self.folder), code=1, config=False).stderr
        self.assertRegex(refused, r"is running from .* already; .* make run DIR=\S+-2 PORT_BASE=\d+")

    def test_the_log_is_in_the_folder_unless_asked_otherwise(self) -> None:
        self.assertIn(f"The log is in {self.folder}/dev/log", self.dev())
        self.assertEqual(load_settings(self.config_file).log.file, self.folder / "dev/log")
        self.let_go()
        self.dev("--log", "-")
        self.assertIsNone(load_settings(self.config_file).log.file)

    def test_what_to_try_stands_last(self) -> None:
        self.assertEqual(self.dev().splitlines()[-1], "Ctrl-C stops it.")

    def test_ports_beyond_the_last_one_are_a_mistake(self) -> None:
        self.run_command("dev", "--port-base", "65000", code=2, config=False)

    def test_the_introduction_names_ports_accounts_and_what_to_try(self) -> None:
        text = introduction(Path("x.toml"), 2000, [SampleAccount("ann@example.test", "secret")])
        for part in ("127.0.0.1:2025", "ann@example.test", "secret", "curl ", "openssl ", "swaks ", "Thunderbird"):
            self.assertIn(part, text)

    def test_an_account_without_a_password_is_a_mistake(self) -> None:
        for text in ("ann@example.test", "ann@example.test:", "ann:secret"):
            with self.assertRaises(click.UsageError):
                SampleAccountType().convert(text, None, None)


class DemoTests(CommandCase):
    """What the demonstration sends and shows."""

    def test_the_message_is_7bit_with_crlf(self) -> None:
        octets = sample_message()
        self.assertTrue(octets.isascii())
        self.assertNotIn(b"\n", octets.replace(b"\r\n", b""))
        self.assertIn(b"\r\n.\r\n", octets)

    def test_free_ports_are_unprivileged(self) -> None:
        self.assertGreater(demo_port_base(), 1024)

    def test_passwords_are_not_shown(self) -> None:
        shown: list[str] = []
        self.patch(click, "echo", shown.append)
        dialogue = Dialogue("IMAP")
        for line in (b'A1 LOGIN ann@example.test "secret"\r\n', b"AUTH PLAIN c2VjcmV0\r\n", b"PASS secret\r\n"):
            dialogue.client(line)
        self.assertEqual(shown, ["IMAP C: A1 LOGIN ann@example.test ***", "IMAP C: AUTH PLAIN ***", "IMAP C: PASS ***"])
