"""What to publish for a domain, and whether what is live does the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dns.rdata
import dns.rdataclass
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.own_dns import OwnDnsSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces import SrvRecord
from pymailsuite.policy.own.checking import Finding, RecordChecker, Status
from pymailsuite.policy.own.records import OwnFacts, PublishedKey, mta_sts_policy, own_records
from tests.acceptance import acceptance

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
FACTS = OwnFacts(
    "mx.example.com",
    ("192.0.2.1", "2001:db8::1"),
    (KEY,),
    (("_imaps._tcp", 993), ("_submissions._tcp", 465)),
    CERTIFICATE,
)
RECORDS = own_records("example.com", FACTS, OwnDnsSettings())
TLSA = next(record.value.split(" ") for record in RECORDS if record.kind == "TLSA")

LIVE: dict[str, Any] = {
    "mx": {"example.com": [(10, "backup.example.net"), (20, "mx.example.com")]},
    "a": {"mx.example.com": ["192.0.2.1"]},
    "aaaa": {"mx.example.com": ["2001:db8::1"]},
    "txt": {
        "example.com": [b"google-site-verification=x", b"v=spf1 ip4:192.0.2.0/24 a:mx.example.com ~all"],
        KEY.name: [KEY.text.replace("; ", ";").encode()],
        "_dmarc.example.com": [b"v=DMARC1; p=reject; rua=mailto:x@example.com"],
        "_mta-sts.example.com": [b"v=STSv1; id=20260101"],
    },
    "srv": {"_imaps._tcp.example.com": [SrvRecord(0, 1, 993, "mx.example.com")]},
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
        self.assertRegex(lines[-1], r"\A_25\._tcp\.mx\.example\.com\. 3600 IN TLSA 3 1 1 [0-9a-f]{64}\Z")
        for line, record in zip(lines, RECORDS, strict=True):
            *_, kind, value = line.split(" ", 4)
            parsed = dns.rdata.from_text(dns.rdataclass.IN, kind, value)
            if record.kind == "TXT":
                self.assertEqual(record.value.encode(), b"".join(parsed.strings))

    def test_settings_say_it_otherwise(self) -> None:
        settings = OwnDnsSettings(spf="v=spf1 include:x.test -all", dmarc="none", reports_to="r@x.test", mta_sts="none")
        values = [record.value for record in own_records("bücher.example", OwnFacts("mx.test", ()), settings)]
        self.assertEqual(
            ["10 mx.test.", "v=spf1 include:x.test -all", "v=DMARC1; p=none; rua=mailto:r@x.test"]
            + ["v=TLSRPTv1; rua=mailto:r@x.test"],
            values,
        )
        self.assertIn("mode: enforce\r\nmx: mx.test\r\n", mta_sts_policy("mx.test", OwnDnsSettings(mta_sts="enforce")))


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
        self.assertEqual({"TXT _smtp._tls.example.com", "SRV _submissions._tcp.example.com"}, missing)
        self.assertFalse(any(finding.is_wrong for finding in found.values()))

    def test_what_is_missing_says_what_to_publish(self) -> None:
        found = self.findings(mx={}, txt={}, srv={}, tlsa={})
        self.assertTrue(all(finding.status is Status.MISSING for finding in found.values()))
        self.assertIn("publish example.com. 3600 IN MX 10 mx.example.com.", found["MX example.com"].fix)
        wrong = {subject for subject, finding in found.items() if finding.is_wrong}
        self.assertEqual({"MX example.com", "TXT example.com", f"TXT {KEY.name}", "TXT _dmarc.example.com"}, wrong)

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
        self.assertIn("not signed", self.findings(secure=[])["TLSA _25._tcp.mx.example.com"].fix)

    def test_a_look_up_that_fails_is_not_taken_for_missing(self) -> None:
        finding = self.findings(failing=["_dmarc.example.com"])["TXT _dmarc.example.com"]
        self.assertEqual((Status.UNKNOWN, True), (finding.status, finding.is_wrong))
