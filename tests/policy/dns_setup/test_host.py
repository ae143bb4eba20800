"""Our host's names, certificate, and the lists it may be on."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.lists import DnsList
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces import Answer
from pymailsuite.policy.dns_setup.checking import Finding, Status
from pymailsuite.policy.dns_setup.host import HostChecker, certificate_finding
from pymailsuite.policy.dns_setup.watch import ListingWatch
from pymailsuite.policy.lists.dns_lists import DnsLists
from tests.acceptance import acceptance
from tests.policy.dns_setup.test_records import NOW, make_certificate

HOST = "mx.example.com"
GOOD: dict[str, Any] = {
    "a": {HOST: ["192.0.2.1"]},
    "aaaa": {HOST: ["2001:db8::1"]},
    "ptr": {"192.0.2.1": [HOST], "2001:db8::1": [HOST]},
}
LISTED = {"a": {HOST: ["192.0.2.1"], "1.2.0.192.bl.test": ["127.0.0.2"]}}


def lists(resolver: FakeResolver, clock: Clock) -> DnsLists:
    return DnsLists([DnsList(zone="bl.test"), DnsList(zone="good.test", action="accept")], resolver, clock, 2.0)


class HostTests(SynchronousTestCase):
    def findings(self, *addresses: str, **changes: Any) -> dict[str, Finding]:
        resolver = FakeResolver(**{**GOOD, **changes})
        found = self.successResultOf(HostChecker(resolver, HOST, lists(resolver, Clock())).check(addresses))
        return {finding.subject: finding for finding in found}

    @acceptance("S153")
    def test_a_host_in_order_has_nothing_to_fix(self) -> None:
        found = self.findings()
        self.assertEqual(
            [
                f"A {HOST}",
                f"HELO {HOST}",
                "PTR 192.0.2.1",
                "listing 192.0.2.1",
                "PTR 2001:db8::1",
                "listing 2001:db8::1",
            ],
            list(found),
        )
        self.assertTrue(all(finding.status is Status.OK and not finding.fix for finding in found.values()))

    @acceptance("S153")
    def test_each_fault_says_what_to_do(self) -> None:
        for subject, changes, words in (
            (f"A {HOST}", {"a": {}, "aaaa": {}}, "publish A"),
            ("PTR 192.0.2.1", {"ptr": {}}, "ask whoever gave you 192.0.2.1"),
            ("PTR 192.0.2.1", {"ptr": {"192.0.2.1": ["forged.test"]}}, "does not lead back"),
            ("PTR 192.0.2.1", {"ptr": {"192.0.2.1": ["o.test"]}, "a": {**GOOD["a"], "o.test": ["192.0.2.1"]}}, "HELO"),
            ("PTR 192.0.2.1", {"failing": ["192.0.2.1"]}, "cannot be looked up"),
            (f"A {HOST}", {"failing": [HOST]}, "cannot be looked up"),
            ("listing 192.0.2.1", LISTED, "bl.test"),
        ):
            finding = self.findings(**changes)[subject]
            self.assertTrue(finding.is_wrong, changes)
            self.assertIn(words, finding.fix)
        self.assertIn("192.0.2.99", self.findings("192.0.2.99")[f"HELO {HOST}"].fix)

    @acceptance("S153")
    def test_the_certificate_is_for_us_and_for_a_while(self) -> None:
        now = NOW.timestamp()
        for certificate, words in (
            (make_certificate(HOST), ""),
            (make_certificate("*.example.com"), ""),
            (make_certificate("other.test"), "not for mx.example.com"),
            (make_certificate(HOST, days=3), "ends in 3 days"),
            (make_certificate(HOST, days=-1), "has ended"),
            (make_certificate(HOST, issuer=""), "signed by itself"),
            (None, "start the server"),
        ):
            finding = certificate_finding(certificate, HOST, now)
            self.assertEqual(not words, finding.status is Status.OK, finding)
            self.assertIn(words, finding.fix)


class ForgivingResolver(FakeResolver):
    """Its lists forget us when told to."""

    forgiven = False

    def a(self, name: str) -> Deferred[Answer]:
        return super().a("nothing.test" if self.forgiven and name.endswith("bl.test") else name)


class WatchTests(SynchronousTestCase):
    @acceptance("S155", "S260")
    def test_a_listing_is_told_once_and_so_is_its_end(self) -> None:
        clock, resolver = Clock(), ForgivingResolver(**LISTED)
        watch = ListingWatch((), HOST, lists(resolver, clock), resolver, 3600, clock)
        watch.startService()
        told = []
        with capturedLogs() as logged:
            for forgiven in (False, False, True, True):
                resolver.forgiven = forgiven
                clock.advance(3600)
                told.append([(event["event"], event["address"], event["zone"]) for event in logged])
                logged.clear()
        listing = ("192.0.2.1", "bl.test")
        self.assertEqual(
            [[("dns_setup.address_listed", *listing)], [], [("dns_setup.address_delisted", *listing)], []], told
        )
        self.successResultOf(watch.stopService())

    def test_without_lists_nobody_is_asked(self) -> None:
        clock, resolver = Clock(), FakeResolver()
        watch = ListingWatch(("192.0.2.1",), HOST, DnsLists((), resolver, clock, 2.0), resolver, 60, clock)
        watch.startService()
        clock.advance(60)
        self.assertEqual([], resolver.questions)
        self.successResultOf(watch.stopService())
