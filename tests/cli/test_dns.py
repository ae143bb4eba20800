"""``pymailsuite dns``, as an operator runs it."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.dkim.keys import ED25519
from pymailsuite.policy.dkim.private_keys import generate_key, write_key_file
from tests.acceptance import acceptance
from tests.policy.dns_setup.test_records import make_certificate
from tests.support import commands
from tests.support.dns import ZoneServer

CONFIG = """
[server]
hostname = "mx.example.com"
domains = ["example.com"]
data_dir = "data"
[[dnsbl.lists]]
zone = "bl.test"
"""
ZONE = {
    ("mx.example.com", "A"): ["192.0.2.1"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.com."],
    ("example.com", "MX"): ["10 mx.example.com."],
    ("example.com", "TXT"): ['"v=spf1 mx -all"'],
    ("_dmarc.example.com", "TXT"): ['"v=DMARC1; p=reject"'],
}


class DnsCommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.config = Path(folder.name) / "pymailsuite.toml"
        self.config.write_text(CONFIG, encoding="utf-8")

    def run_dns(self, zone: dict[tuple[str, str], list[str]], *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["dns", *arguments, "--config", str(self.config)]
        with ZoneServer(zone) as server:
            command += ["--resolver", server.address]
            command = [server.address if word == "THERE" else word for word in command]
            return commands.run(*command)

    @acceptance("S159")
    def test_records_are_printed_and_checked(self) -> None:
        printed = self.run_dns(ZONE, "records", "example.com")
        self.assertEqual(0, printed.returncode, printed.stderr)
        self.assertIn('example.com. 3600 IN TXT "v=spf1 mx ip4:192.0.2.1 -all"\n', printed.stdout)
        self.assertIn("_submissions._tcp.example.com. 3600 IN SRV 0 1 465 mx.example.com.\n", printed.stdout)
        self.assertIn(";   mode: testing\n", printed.stdout)
        values = json.loads(self.run_dns(ZONE, "records", "example.com", "--json").stdout)
        self.assertIn(
            {"purpose": "mx", "name": "example.com", "type": "MX", "value": "10 mx.example.com.", "optional": False},
            values,
        )
        self.assertEqual(0, self.run_dns(ZONE, "records", "example.com", "--check").returncode)
        broken = self.run_dns(
            {**ZONE, ("example.com", "TXT"): ['"v=spf1 -all"']}, "records", "example.com", "--check", "--json"
        )
        self.assertEqual(1, broken.returncode)
        spf = next(one for one in json.loads(broken.stdout) if one["subject"] == "TXT example.com")
        self.assertEqual("different", spf["status"])
        self.assertIn("192.0.2.1 may not send", spf["fix"])

    @acceptance("S159")
    def test_keys_of_the_configuration_are_published_and_compared(self) -> None:
        file = self.config.with_name("s1.pem")
        private = generate_key(ED25519)
        write_key_file(file, private)
        key = f'[[dkim_sign.keys]]\ndomain = "example.com"\nselector = "s1"\nfile = "{file}"\n'
        self.config.write_text(CONFIG + key, encoding="utf-8")
        name = ("s1._domainkey.example.com", "TXT")
        printed = self.run_dns(ZONE, "records", "example.com")
        self.assertIn(f'{name[0]}. 3600 IN TXT "{private.record_text()}"\n', printed.stdout)
        for zone, code in ((ZONE, 1), ({**ZONE, name: [f'"{private.record_text()}"']}, 0)):
            self.assertEqual(code, self.run_dns(zone, "records", "example.com", "--check").returncode)

    @acceptance("S159")
    def test_only_what_is_offered_is_told_to_mail_clients(self) -> None:
        listeners = "[listeners]\npop3 = []\nimap = ['tcp:143:interface=127.0.0.1']\nimaps = ['tcp6:port=1993']\n"
        self.config.write_text(CONFIG + listeners, encoding="utf-8")
        lines = [line for line in self.run_dns(ZONE, "records", "bücher.example").stdout.splitlines() if "SRV" in line]
        self.assertEqual(
            [
                "_submissions._tcp.xn--bcher-kva.example. 3600 IN SRV 0 1 465 mx.example.com.",
                "_submission._tcp.xn--bcher-kva.example. 3600 IN SRV 0 1 587 mx.example.com.",
                "_imaps._tcp.xn--bcher-kva.example. 3600 IN SRV 0 1 1993 mx.example.com.",
                "_pop3s._tcp.xn--bcher-kva.example. 3600 IN SRV 10 1 995 mx.example.com.",
                "_pop3._tcp.xn--bcher-kva.example. 3600 IN SRV 0 0 0 .",
            ],
            lines,
        )

    def test_a_key_is_published_for_a_week_after_it_has_signed(self) -> None:
        keys = ""
        for selector, ended_s in (("now", -3600), ("late", 86_400), ("old", 30 * 86_400)):
            file = self.config.with_name(f"{selector}.pem")
            write_key_file(file, generate_key(ED25519))
            keys += f'[[dkim_sign.keys]]\ndomain = "example.com"\nselector = "{selector}"\nfile = "{file}"\n'
            keys += f"active_until = {time.time() - ended_s}\n"
        self.config.write_text(CONFIG + keys, encoding="utf-8")
        printed = self.run_dns(ZONE, "records", "example.com", "--json").stdout
        names = [one["name"] for one in json.loads(printed) if one["purpose"] == "dkim"]
        self.assertEqual(["now._domainkey.example.com", "late._domainkey.example.com"], names)

    @acceptance("S159")
    def test_the_certificate_makes_a_tlsa_record_and_a_word_about_its_issuer(self) -> None:
        file = self.config.with_name("certificate.pem")
        file.write_bytes(make_certificate("mx.example.com").public_bytes(Encoding.PEM))
        tls = f'[tls]\ncertificate = "{file}"\nprivate_key = "{file}"\n'
        self.config.write_text(CONFIG + tls, encoding="utf-8")
        printed = self.run_dns(ZONE, "records", "example.com").stdout
        self.assertIn("_25._tcp.mx.example.com. 3600 IN TLSA 3 1 1 ", printed)
        self.assertIn("; TLSA is heeded only if the zone of mx.example.com is signed", printed)
        self.assertIn("must allow CN=Some CA", printed)

    @acceptance("S159")
    def test_domains_can_be_checked_one_by_one(self) -> None:
        checked = json.loads(self.run_dns(ZONE, "check", "other.example", "--json").stdout)
        subjects = [one["subject"] for one in checked]
        self.assertIn("MX other.example", subjects)
        self.assertNotIn("MX example.com", subjects)
        self.assertEqual(1, subjects.count("TXT mx.example.com"))

    @acceptance("S153", "S155")
    def test_the_host_is_checked(self) -> None:
        listed = {**ZONE, ("1.2.0.192.bl.test", "A"): ["127.0.0.2"]}
        checked = self.run_dns(listed, "check", "--json")
        self.assertEqual(1, checked.returncode, checked.stderr)
        found = {one["subject"]: one["status"] for one in json.loads(checked.stdout)}
        self.assertEqual("ok", found["PTR 192.0.2.1"])
        self.assertEqual("different", found["listing 192.0.2.1"])
        self.assertEqual("missing", found["certificate mx.example.com"])
        self.assertEqual("ok", found["MX example.com"])

    @acceptance("S153")
    def test_the_way_out_is_tried(self) -> None:
        for target, status in (("THERE", "ok"), ("127.0.0.1:1", "different")):
            checked = json.loads(self.run_dns(ZONE, "check", "--json", "--out", target).stdout)
            self.assertEqual([status], [one["status"] for one in checked if one["subject"].startswith("out ")])
