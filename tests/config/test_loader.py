"""A configuration file becomes settings, or an error that names file and key."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.loader import load_settings
from pymailsuite.config.settings import Settings
from pymailsuite.errors import ConfigError
from tests.acceptance import acceptance

THREE = """
[server]
hostname = "mail.example.test"
domains = ["example.test"]
data_dir = "data"
"""


class ConfigFileCase(SynchronousTestCase):
    """Tests that write a file and read it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "mail.toml"

    def load(self, text: str) -> Settings:
        self.path.write_text(text, encoding="utf-8")
        return load_settings(self.path)

    def fault(self, text: str) -> str:
        """What the error says, without the folder of the file."""
        with self.assertRaises(ConfigError) as caught:
            self.load(text)
        return caught.exception.public.replace(f"{self.folder}/", "")


class GoodFileTests(ConfigFileCase):
    """Files that load."""

    @acceptance("S073")
    def test_three_settings_are_enough(self) -> None:
        settings = self.load(THREE)
        self.assertEqual(settings.server.hostname, "mail.example.test")
        self.assertEqual(settings.server.domains, ("example.test",))
        self.assertEqual(settings.listeners.smtp, ("tcp:25", "tcp6:25"))
        self.assertEqual(settings.listeners.imaps, ("tcp:993", "tcp6:993"))

    def test_relative_paths_are_taken_from_the_folder_of_the_file(self) -> None:
        settings = self.load(THREE + '[log]\nfile = "/var/log/mail.log"\n[tls]\ncertificate = "tls/cert.pem"\n')
        self.assertEqual(settings.server.data_dir, self.folder / "data")
        self.assertEqual(settings.tls.certificate, self.folder / "tls/cert.pem")
        self.assertEqual(settings.log.file, Path("/var/log/mail.log"))

    def test_names_are_compared_and_kept_in_lower_case(self) -> None:
        settings = self.load(THREE.replace('"example.test"', '"Example.TEST.", "bücher.test"'))
        self.assertEqual(settings.server.domains, ("example.test", "bücher.test"))

    @acceptance("S002")
    def test_a_second_listener_is_one_line(self) -> None:
        settings = self.load(THREE + '[listeners]\nsmtp = [\n  "tcp:25",\n  "tcp:2525",\n]\n')
        self.assertEqual(settings.listeners.smtp, ("tcp:25", "tcp:2525"))

    def test_durations_and_sizes_take_units(self) -> None:
        settings = self.load(THREE + '[dns]\ntimeout = "250ms"\nlifetime = "2m"\ncache_ttl_max = 5\n')
        self.assertEqual((settings.dns.timeout, settings.dns.lifetime, settings.dns.cache_ttl_max), (0.25, 120, 5))

    @acceptance("S235")
    def test_loopback_alone_is_trusted_by_default(self) -> None:
        networks = self.load(THREE).smtp.trusted_networks
        self.assertEqual([str(network) for network in networks], ["127.0.0.0/8", "::1/128"])

    def test_settings_are_frozen(self) -> None:
        settings = self.load(THREE)
        with self.assertRaisesRegex(Exception, "frozen"):
            settings.server.hostname = "other.test"  # type: ignore[misc]


class FaultTests(ConfigFileCase):
    """Files that do not."""

    def test_a_missing_file_is_named(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            load_settings(self.path)
        self.assertEqual(caught.exception.public, f"{self.path}: No such file or directory")

    def test_an_unknown_key_is_named_with_its_path(self) -> None:
        self.assertEqual(self.fault(THREE + "[dns]\ntimeuot = 3\n"), "mail.toml: dns.timeuot: unknown setting")

    def test_an_unknown_section_is_named(self) -> None:
        self.assertEqual(self.fault(THREE + "[smpt]\n"), "mail.toml: smpt: unknown section")

    def test_a_wrong_type_is_named_with_its_path(self) -> None:
        self.assertEqual(
            self.fault(THREE + '[dns]\ncache_size = "many"\n'),
            "mail.toml: dns.cache_size: Input should be a valid integer",
        )

    def test_a_number_in_quotes_is_no_number(self) -> None:
        self.assertIn("dns.cache_size", self.fault(THREE + '[dns]\ncache_size = "20"\n'))

    def test_one_is_not_true(self) -> None:
        self.assertIn("dns.trust_ad", self.fault(THREE + "[dns]\ntrust_ad = 1\n"))

    def test_a_missing_setting_is_named(self) -> None:
        self.assertEqual(
            self.fault('[server]\nhostname = "a.test"\ndata_dir = "x"\n'), "mail.toml: server.domains: must be set"
        )

    def test_an_empty_file_lacks_the_server(self) -> None:
        self.assertEqual(self.fault(""), "mail.toml: server: must be set")

    def test_every_fault_has_a_line(self) -> None:
        lines = self.fault(THREE + '[dns]\nx = 1\ntimeout = "soon"\n').splitlines()
        self.assertEqual(sorted(line.split(": ")[1] for line in lines), ["dns.timeout", "dns.x"])

    def test_a_value_of_neither_type_has_one_line(self) -> None:
        fault = self.fault(THREE + '[smtp]\ntrusted_networks = ["here"]\n')
        self.assertEqual(
            fault,
            "mail.toml: smtp.trusted_networks.0: Expected 4 octets in 'here'; At least 3 parts expected in 'here'",
        )

    def test_bad_toml_is_reported_with_its_line(self) -> None:
        self.assertRegex(self.fault("[server\n"), r"^mail\.toml: not TOML: .*line 1")

    def test_text_that_is_not_utf8_is_reported(self) -> None:
        self.path.write_bytes(b"# caf\xe9\n")
        with self.assertRaisesRegex(ConfigError, "not UTF-8"):
            load_settings(self.path)

    def test_a_bad_endpoint_is_named_with_its_place_in_the_list(self) -> None:
        self.assertRegex(
            self.fault(THREE + '[listeners]\nimap = ["tcp:143", "tpc:1143"]\n'),
            r"^mail\.toml: listeners\.imap\.1: not an endpoint description: 'tpc:1143'",
        )

    def test_a_host_name_with_a_space_is_refused(self) -> None:
        fault = self.fault(THREE.replace("mail.example.test", "mail example"))
        self.assertEqual(fault, "mail.toml: server.hostname: not a domain name: 'mail example'")

    def test_a_domain_named_twice_is_refused(self) -> None:
        fault = self.fault(THREE.replace('["example.test"]', '["a.test", "A.test"]'))
        self.assertEqual(fault, "mail.toml: server.domains: named twice: a.test")

    def test_a_key_without_a_certificate_is_refused(self) -> None:
        self.assertEqual(
            self.fault(THREE + '[tls]\nprivate_key = "key.pem"\n'), "mail.toml: tls: private_key without certificate"
        )
