"""What to publish for a domain, and whether what is live does the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dns.rdata
import dns.rdataclass
import dns.zone
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.dns_setup import DnsSetupSettings
from pymailsuite.config.sections.listeners import ListenerSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces import SrvRecord
from pymailsuite.policy.dns_setup.checking import Finding, RecordChecker, Status
from pymailsuite.policy.dns_setup.records import (
    HostFacts,
    PublishedKey,
    Purpose,
    Service,
    mta_sts_policy,
    zone_records,
    zone_text,
)
from pymailsuite.policy.dns_setup.services import public_services
from tests.acceptance import acceptance

REVERSE = "1.2.0.192.in-addr.arpa"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_certificate(*names: str, days: float = 90, issuer: str = "Some CA") -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    by = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]) if issuer else subject
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - timedelta(days=1000))
    builder = builder.not_valid_after(NOW + timedelta(days=days)).add_extension(alternative, critical=False)
    return builder.sign(key, hashes.SHA256())


CERTIFICATE = make_certificate("mx.example.com")
KEY = PublishedKey("s1._domainkey.example.com", "v=DKIM1; k=rsa; p=" + "A" * 400)
FACTS = HostFacts(
    "mx.example.com",
    ("192.0.2.1", "2001:db8::1"),
    (KEY,),
    (
        Service("_imaps._tcp", 993),
        Service("_submissions._tcp", 465),
        Service("_pop3s._tcp", 995),
        Service("_pop3._tcp", None),
    ),
    CERTIFICATE,
)
RECORDS = zone_records("example.com", FACTS, DnsSetupSettings())
TLSA = next(record.value.split(" ") for record in RECORDS if record.kind == "TLSA")

LIVE: dict[str, Any] = {
    "mx": {"example.com": [(10, "backup.example.net"), (20, "mx.example.com")]},
    "a": {"mx.example.com": ["192.0.2.1"], "mta-sts.example.com": ["192.0.2.80"]},
    "aaaa": {"mx.example.com": ["2001:db8::1"]},
    "txt": {
        "example.com": [b"google-site-verification=x", b"v=spf1 ip4:192.0.2.0/24 a:mx.example.com ~all"],
        KEY.name: [KEY.text.replace("; ", ";").encode()],
        "_dmarc.example.com": [b"v=DMARC1; p=reject; rua=mailto:x@example.com"],
        "_mta-sts.example.com": [b"v=STSv1; id=20260101"],
    },
    "srv": {"_imaps._tcp.example.com": [SrvRecord(0, 1, 993, "mx.example.com")]},
    "ptr": {"192.0.2.1": ["mx.example.com"], "2001:db8::1": ["mx.example.com", "alias.example.com"]},
    "tlsa": {"_25._tcp.mx.example.com": [(3, 1, 1, bytes.fromhex(TLSA[3]))]},
    "secure": ["_25._tcp.mx.example.com"],
}


class RecordTests(SynchronousTestCase):
    @acceptance("S159")
    def test_every_record_of_a_domain_is_printed_as_a_zone_file_has_it(self) -> None:
        lines = [record.zone_line() for record in RECORDS]
        self.assertEqual("example.com. 3600 IN MX 10 mx.example.com.", lines[0])
        self.assertEqual('example.com. 3600 IN TXT "v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1 -all"', lines[1])
        self.assertIn(
            '_dmarc.example.com. 3600 IN TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@example.com"', lines
        )
        self.assertIn('_smtp._tls.example.com. 3600 IN TXT "v=TLSRPTv1; rua=mailto:postmaster@example.com"', lines)
        self.assertIn("_imaps._tcp.example.com. 3600 IN SRV 0 1 993 mx.example.com.", lines)
        self.assertIn("_pop3s._tcp.example.com. 3600 IN SRV 10 1 995 mx.example.com.", lines)
        self.assertIn("_pop3._tcp.example.com. 3600 IN SRV 0 0 0 .", lines)
        self.assertIn("mta-sts.example.com. 3600 IN CNAME mx.example.com.", lines)
        self.assertIn("mx.example.com. 3600 IN A 192.0.2.1", lines)
        self.assertIn("mx.example.com. 3600 IN AAAA 2001:db8::1", lines)
        self.assertIn('mx.example.com. 3600 IN TXT "v=spf1 a ip4:192.0.2.1 ip6:2001:db8::1 -all"', lines)
        self.assertIn("1.2.0.192.in-addr.arpa. 3600 IN PTR mx.example.com.", lines)
        (tlsa,) = (line for line in lines if " TLSA " in line)
        self.assertRegex(tlsa, r"\A_25\._tcp\.mx\.example\.com\. 3600 IN TLSA 3 1 1 [0-9a-f]{64}\Z")

    @acceptance("S159")
    def test_what_is_printed_is_a_zone_and_says_what_belongs_elsewhere(self) -> None:
        settings = DnsSetupSettings(
            reports_to="dmarc reports!@reports.example.net", bimi_picture="https://x.test/l.svg"
        )
        records = zone_records("bücher.example", FACTS, settings)
        text = zone_text("bücher.example", records)
        head = "$TTL 60\n@ IN SOA ns.test. admin.test. 1 3600 600 86400 60\n@ IN NS ns.test.\n"
        zone = dns.zone.from_text(head + text, "xn--bcher-kva.example.")
        names = {f"{name.derelativize(zone.origin)}".removesuffix(".") for name in zone.nodes}
        inside = {record.name for record in records if record.name.endswith("xn--bcher-kva.example")}
        self.assertEqual(inside, names)
        self.assertIn('"v=DMARC1; p=quarantine; rua=mailto:dmarc%20reports%21@reports.example.net"', text)
        authorisation = 'xn--bcher-kva.example._report._dmarc.reports.example.net. 3600 IN TXT "v=DMARC1;"'
        self.assertIn(f"; to be published by example.net:\n; {authorisation}\n", text)
        self.assertIn("; to be published by whoever gave you the address:\n; 1.2.0.192.in-addr.arpa. ", text)
        self.assertIn('default._bimi.xn--bcher-kva.example. 3600 IN TXT "v=BIMI1; l=https://x.test/l.svg;"', text)

    def test_strings_of_a_record_are_cut_before_they_are_escaped(self) -> None:
        text = "v=spf1 " + '"\\ü' * 200
        (line,) = (r.zone_line() for r in zone_records("a.test", FACTS, DnsSetupSettings(spf=text)) if r.value == text)
        parsed = dns.rdata.from_text(dns.rdataclass.IN, "TXT", line.split(" ", 4)[4])
        self.assertEqual(text.encode(), b"".join(parsed.strings))
        self.assertEqual([255, 255, 255, 42], [len(string) for string in parsed.strings])

    def test_a_domain_that_is_its_own_host_has_one_spf_record(self) -> None:
        records = zone_records("mx.example.com", FACTS, DnsSetupSettings())
        self.assertEqual([Purpose.SPF], [one.purpose for one in records if one.value.startswith("v=spf1")])

    def test_settings_say_it_otherwise(self) -> None:
        settings = DnsSetupSettings(
            spf="v=spf1 include:x.test -all", dmarc="none", reports_to="r@x.test", mta_sts="none"
        )
        values = [record.value for record in zone_records("bücher.example", HostFacts("mx.test", ()), settings)]
        self.assertEqual(
            ["10 mx.test.", "v=spf1 include:x.test -all", "v=DMARC1; p=none; rua=mailto:r@x.test", "v=DMARC1;"]
            + ["v=TLSRPTv1; rua=mailto:r@x.test", "v=spf1 a -all"],
            values,
        )
        self.assertIn(
            "mode: enforce\r\nmx: mx.test\r\n", mta_sts_policy("mx.test", DnsSetupSettings(mta_sts="enforce"))
        )

    def test_settings_that_make_no_record_are_refused(self) -> None:
        for wrong in ({"bimi_picture": "http://x.test/l.svg"}, {"reports_to": "nobody"}, {"mta_sts_host": "a b"}):
            self.assertRaises(ValueError, DnsSetupSettings, **wrong)


class CheckTests(SynchronousTestCase):
    def findings(self, **changes: Any) -> dict[str, Finding]:
        resolver = FakeResolver(**{**LIVE, **changes})
        checker = RecordChecker(resolver, FACTS.addresses, FACTS.hostname, Clock())
        found = self.successResultOf(checker.check(RECORDS))
        self.assertEqual(len(RECORDS), len(found))
        return {finding.subject: finding for finding in found}

    @acceptance("S159")
    def test_records_that_do_the_same_in_other_words_are_ok(self) -> None:
        found = self.findings()
        missing = {subject for subject, finding in found.items() if finding.status is not Status.OK}
        self.assertEqual(
            {"TXT _smtp._tls.example.com", "TXT mx.example.com"}
            | {f"SRV _{name}._tcp.example.com" for name in ("submissions", "pop3s", "pop3")},
            missing,
        )
        self.assertFalse(any(finding.is_wrong for finding in found.values()))

    def test_what_is_missing_says_what_to_publish(self) -> None:
        found = self.findings(mx={}, txt={}, srv={}, tlsa={}, a={}, aaaa={}, ptr={})
        self.assertTrue(all(finding.status is Status.MISSING for finding in found.values()))
        self.assertIn("publish example.com. 3600 IN MX 10 mx.example.com.", found["MX example.com"].fix)
        wrong = {subject for subject, finding in found.items() if finding.is_wrong}
        self.assertEqual(
            {"MX example.com", "TXT example.com", f"TXT {KEY.name}", "TXT _dmarc.example.com"}
            | {record_subject for record_subject in found if record_subject.startswith(("A ", "AAAA ", "PTR "))},
            wrong,
        )

    def test_what_does_something_else_is_different(self) -> None:
        for name, texts, words in (
            ("example.com", [b"v=spf1 ip4:192.0.2.1 -all"], "2001:db8::1 may not send"),
            ("example.com", [b"v=spf1 +all", b"v=spf1 -all"], "2 SPF records"),
            (KEY.name, [b"v=DKIM1; p=BBBB"], "another key"),
            ("_dmarc.example.com", [b"v=DMARC1; p=none"], "p=none asks nobody"),
            ("_dmarc.example.com", [b"v=DMARC1; p=reject"] * 2, "counts as none"),
            ("_mta-sts.example.com", [b"v=STSv1; id=1", b"v=STSv1; id=2"], "publish"),
        ):
            finding = self.findings(txt={**LIVE["txt"], name: texts})[f"TXT {name}"]
            self.assertEqual((Status.DIFFERENT, True), (finding.status, finding.is_wrong), texts)
            self.assertIn(words, finding.fix)
        self.assertIs(Status.DIFFERENT, self.findings(mx={"example.com": [(1, "x.test")]})["MX example.com"].status)
        self.assertIs(Status.DIFFERENT, self.findings(ptr={"192.0.2.1": ["x.test"]})[f"PTR {REVERSE}"].status)
        self.assertIs(Status.DIFFERENT, self.findings(a={"mx.example.com": ["192.0.2.7"]})["A mx.example.com"].status)
        self.assertIn("not signed", self.findings(secure=[])["TLSA _25._tcp.mx.example.com"].fix)

    def test_a_look_up_that_fails_is_not_taken_for_missing(self) -> None:
        finding = self.findings(failing=["_dmarc.example.com"])["TXT _dmarc.example.com"]
        self.assertEqual((Status.UNKNOWN, True), (finding.status, finding.is_wrong))


class ServicesTests(SynchronousTestCase):
    def test_a_listener_for_this_host_alone_is_no_service_for_others(self) -> None:
        listeners = ListenerSettings(
            imap=("tcp:143:interface=127.0.0.1",), pop3=(), pop3s=("systemd:domain=INET:index=0",)
        )
        found = {service.name: service.port for service in public_services(listeners)}
        self.assertEqual(found["_imaps._tcp"], 993)
        self.assertIsNone(found["_pop3._tcp"])
        self.assertNotIn("_imap._tcp", found)
        self.assertNotIn("_pop3s._tcp", found)
        self.assertNotIn("_autodiscover._tcp", found)

    @acceptance("S159")
    def test_where_settings_are_served_they_are_led_to(self) -> None:
        facts = evolve(FACTS, services=public_services(ListenerSettings(https=("tcp:443",))))
        text = zone_text("example.com", zone_records("example.com", facts, DnsSetupSettings()))
        self.assertIn("autoconfig.example.com. 3600 IN CNAME mx.example.com.\n", text)
        self.assertIn("_autodiscover._tcp.example.com. 3600 IN SRV 0 1 443 mx.example.com.\n", text)
