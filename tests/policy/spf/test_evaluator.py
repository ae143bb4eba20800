"""check_host() beyond what the public suite asks."""

import itertools
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.spf import Evaluation, Identity, Query, Result, SpfChecker
from tests.acceptance import acceptance

SEED_ZONE: dict[str, Any] = {
    "txt": {
        "example.com": [
            b"v=spf1 mx ip4:192.0.2.0/28 mx:backup.example.com a:www.example.com include:isp.example.net -all"
        ],
        "isp.example.net": [b"v=spf1 ip4:198.51.100.0/24 ip6:2001:db8:5::/48 -all"],
    },
    "mx": {"example.com": [(10, "mail.example.com")], "backup.example.com": [(10, "mx.backup.example.com")]},
    "a": {
        "mail.example.com": ["203.0.113.1"],
        "mx.backup.example.com": ["203.0.113.2"],
        "www.example.com": ["203.0.113.3"],
    },
}


def chain_zone() -> dict[str, Any]:
    """A sender with includes of includes, macros at the end of them."""
    txt = {"big.example": [b"v=spf1 include:%{d2}._inc1.example ~all"]}
    txt["big.example._inc1.example"] = [b"v=spf1 include:_inc2.example -all"]
    for n in range(2, 8):
        txt[f"_inc{n}.example"] = [f"v=spf1 ip4:198.51.100.{n} include:_inc{n + 1}.example -all".encode()]
    txt["_inc8.example"] = [b"v=spf1 exists:%{ir}.%{v}.%{l1r+}._spf.%{o2} -all"]
    return {"txt": txt, "a": {"9.2.0.192.in-addr.joe._spf.big.example": ["127.0.0.2"]}}


class EvaluatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def check(
        self, zone: dict[str, Any], ip: str, sender: str, helo: str = "mx.client.example", **settings: Any
    ) -> Evaluation:
        checker = SpfChecker(SpfSettings(**settings), FakeResolver(**zone), self.clock)
        return self.successResultOf(checker.check(Query.of_mail_from(ip, sender, helo)))

    @acceptance("S157")
    def test_each_mechanism_of_a_usual_policy_permits_its_hosts(self) -> None:
        permitted = {
            "203.0.113.1": "mx",
            "192.0.2.15": "ip4:192.0.2.0/28",
            "203.0.113.2": "mx:backup.example.com",
            "203.0.113.3": "a:www.example.com",
            "198.51.100.77": "include:isp.example.net",
            "2001:db8:5::1": "include:isp.example.net",
        }
        for ip, mechanism in permitted.items():
            found = self.check(SEED_ZONE, ip, "joe@example.com", void_look_ups=10)
            self.assertEqual((found.result, found.mechanism), (Result.PASS, mechanism), ip)
        for ip in ("192.0.2.16", "203.0.113.4"):
            found = self.check(SEED_ZONE, ip, "joe@example.com")
            self.assertEqual((found.result, found.mechanism), (Result.FAIL, "-all"), ip)

    @acceptance("S265")
    def test_long_chains_of_includes_with_macros_are_followed(self) -> None:
        zone = chain_zone()
        found = self.check(zone, "192.0.2.9", "joe+news@big.example")
        self.assertEqual(found.result, Result.PASS, found.reason)
        found = self.check(zone, "192.0.2.8", "joe+news@big.example")
        self.assertEqual(found.result, Result.SOFTFAIL, found.reason)

    @acceptance("S265")
    def test_policies_that_vendors_keep_behind_macros_are_followed_to_the_tenth_look_up(self) -> None:
        host = "192.0.2.9._ip.mx.client.example._ehlo.bank.example._spf.vendor.example"
        includes = [f"include:_s{n}.vendor.example" for n in range(1, 8)]
        txt = {
            "bank.example": [b"v=spf1 redirect=_spf.bank.example"],
            "_spf.bank.example": [b"v=spf1 include:%{i}._ip.%{h}._ehlo.%{d2}._spf.vendor.example ~all"],
            host: [f"v=spf1 {' '.join(includes)} exists:%{{i}}.%{{l}}.last.example -all".encode()],
            **{f"_s{n}.vendor.example": [b"v=spf1 ip4:198.51.100.0/24 ip6:2001:db8::/32 -all"] for n in range(1, 8)},
        }
        zone: dict[str, Any] = {"txt": txt, "a": {"192.0.2.9.joe.last.example": ["127.0.0.2"]}}
        found = self.check(zone, "192.0.2.9", "joe@bank.example")
        self.assertEqual(found.result, Result.PASS, found.reason)
        # redirect, the include of the vendor, its seven, and exists are ten: not one more.
        txt["_s7.vendor.example"] = [b"v=spf1 include:_s8.vendor.example -all"]
        txt["_s8.vendor.example"] = [b"v=spf1 -all"]
        found = self.check(zone, "192.0.2.9", "joe@bank.example")
        self.assertEqual(found.result, Result.PERMERROR, found.reason)

    def test_the_trace_tells_each_term_with_its_look_ups(self) -> None:
        found = self.check(SEED_ZONE, "203.0.113.3", "joe@example.com")
        steps = [(step.term, step.outcome, list(map(str, step.look_ups))) for step in found.trace[1:]]
        self.assertEqual(
            steps,
            [
                ("mx", "does not match", ["MX example.com: 10 mail.example.com", "A mail.example.com: 203.0.113.1"]),
                ("ip4:192.0.2.0/28", "does not match", []),
                (
                    "mx:backup.example.com",
                    "does not match",
                    ["MX backup.example.com: 10 mx.backup.example.com", "A mx.backup.example.com: 203.0.113.2"],
                ),
                ("a:www.example.com", "matches", ["A www.example.com: 203.0.113.3"]),
            ],
        )

    def test_the_null_path_asks_the_helo_name(self) -> None:
        zone = {"txt": {"mx.example.org": [b"v=spf1 ip4:192.0.2.1 -all"]}}
        found = self.check(zone, "192.0.2.1", "", "mx.example.org")
        self.assertEqual((found.result, found.query.identity), (Result.PASS, Identity.HELO))
        self.assertEqual(found.query.sender, "postmaster@mx.example.org")

    def test_names_nobody_can_have_are_none(self) -> None:
        for domain in ("localhost", "[192.0.2.1]", "a..example", "x" * 64 + ".example", "\u2028.example", ""):
            self.assertEqual(self.check({}, "192.0.2.1", f"joe@{domain}").result, Result.NONE, domain)

    def test_u_labels_are_asked_in_a_labels(self) -> None:
        zone = {"txt": {"xn--bcher-kva.example": [b"v=spf1 exists:%{d}.%{o}.x.example -all"]}}
        zone["a"] = {"xn--bcher-kva.example.bücher.example.x.example": ["127.0.0.2"]}  # type: ignore[dict-item]
        self.assertEqual(self.check(zone, "192.0.2.1", "joe@Bücher.example").result, Result.PASS)

    def test_a_local_part_beyond_ascii_matches_nothing(self) -> None:
        zone = {"txt": {"example.org": [b"v=spf1 -exists:%{l}.example.org -include:%{s}.example.org ip4:192.0.2.1"]}}
        self.assertEqual(self.check(zone, "192.0.2.1", "jos\u00e9@example.org").result, Result.PASS)

    def test_each_limit_is_a_setting(self) -> None:
        zone = {"txt": {"example.org": [b"v=spf1 a:x.example.org a:y.example.org a:z.example.org ?all"]}}
        self.assertEqual(self.check(zone, "192.0.2.1", "j@example.org").result, Result.PERMERROR)
        self.assertEqual(self.check(zone, "192.0.2.1", "j@example.org", void_look_ups=3).result, Result.NEUTRAL)
        found = self.check(zone, "192.0.2.1", "j@example.org", void_look_ups=3, look_ups=2)
        self.assertEqual(found.result, Result.PERMERROR)
        self.assertIn("more than 2 terms", found.reason)

    def test_each_term_that_finds_no_name_of_the_client_is_a_void_look_up(self) -> None:
        """RFC 7208 §4.6.4 counts terms, whoever remembers the answer."""
        for policy, result in (
            (b"v=spf1 ptr ptr:a.example -all", Result.FAIL),
            (b"v=spf1 ptr ptr:a.example ptr:b.example -all", Result.PERMERROR),
            (b"v=spf1 exists:%{p}.void.example exists:%{p}.example ptr -all", Result.PERMERROR),
            (b"v=spf1 a:mx.%{p}.example ptr -all", Result.FAIL),
        ):
            self.assertEqual(
                self.check({"txt": {"example.org": [policy]}}, "192.0.2.1", "j@example.org").result, result
            )

    def test_a_term_with_many_hosts_is_one_void_look_up_at_most_in_whatever_order_dns_gives_them(self) -> None:
        """RFC 7208 §4.6.4 limits the terms; which host comes first is chance."""
        hosts = [(10, f"{letter}.v.example") for letter in "abcd"]
        zone: dict[str, Any] = {
            "txt": {"v.example": [b"v=spf1 mx ~all"]},
            "a": {host: ["192.0.2.1"] for _, host in hosts},
            "aaaa": {"d.v.example": ["2001:db8::9"]},
        }
        more = {
            b"v=spf1 mx ~all": ("pass", "softfail"),
            b"v=spf1 mx mx:w.example ~all": ("pass", "softfail"),
            b"v=spf1 a a:w.example mx ~all": ("pass", "permerror"),
            b"v=spf1 mx mx:w.example a:nowhere.example ~all": ("pass", "permerror"),
        }
        for order in itertools.permutations(hosts):
            for policy, (own, other) in more.items():
                zone["mx"] = {"v.example": order, "w.example": order[:3]}
                zone["txt"]["v.example"] = [policy]
                self.assertEqual(self.check(zone, "2001:db8::9", "a@v.example").result.value, own, (order, policy))
                # One for each term: none of the hosts is this one, and three of them have no such address.
                self.assertEqual(self.check(zone, "2001:db8::8", "a@v.example").result.value, other, (order, policy))

    def test_a_host_that_cannot_be_looked_up_counts_only_if_no_other_matches(self) -> None:
        hosts = [(10, "a.v.example"), (10, "b.v.example"), (20, "c.v.example")]
        for order in itertools.permutations(hosts):
            zone: dict[str, Any] = {
                "txt": {"v.example": [b"v=spf1 mx -all"]},
                "mx": {"v.example": order},
                "a": {"b.v.example": ["192.0.2.1"]},
                "failing": ["a.v.example"],
            }
            self.assertEqual(self.check(zone, "192.0.2.1", "a@v.example").result, Result.PASS, order)
            self.assertEqual(self.check(zone, "192.0.2.2", "a@v.example").result, Result.TEMPERROR, order)

    def test_of_many_names_of_a_client_the_same_ones_count_in_whatever_order_dns_gives_them(self) -> None:
        names = [f"n{number:02}.example.org" for number in range(12)]
        for last, result in (("n05", Result.PASS), ("n11", Result.FAIL)):
            for order in (names, names[::-1], names[6:] + names[:6]):
                zone = {
                    "txt": {"example.org": [b"v=spf1 ptr -all"]},
                    "ptr": {"192.0.2.1": order},
                    "a": {f"{last}.example.org": ["192.0.2.1"]},
                }
                self.assertEqual(self.check(zone, "192.0.2.1", "j@example.org").result, result, order)

    def test_names_that_claim_the_client_do_not_use_up_void_look_ups(self) -> None:
        zone = {
            "txt": {"example.org": [b"v=spf1 ptr ptr:example.net a -all"]},
            "ptr": {"192.0.2.1": [f"n{n}.example.org" for n in range(9)]},
            "a": {"example.org": ["192.0.2.1"]},
        }
        self.assertEqual(self.check(zone, "192.0.2.1", "j@example.org").result, Result.PASS)

    def test_a_failed_look_up_is_temperror_but_not_in_ptr_and_exp(self) -> None:
        text = b"v=spf1 ptr exp=why.example.org -all"
        zone = {"txt": {"example.org": [text]}, "failing": [("ptr", "192.0.2.1"), "why.example.org"]}
        found = self.check(zone, "192.0.2.1", "j@example.org")
        self.assertEqual((found.result, found.is_own_explanation), (Result.FAIL, True))
        for term in (b"a:b.example", b"mx:b.example", b"exists:b.example", b"include:b.example", b"redirect=b.example"):
            zone = {"txt": {"example.org": [b"v=spf1 " + term]}, "failing": ["b.example"]}
            self.assertEqual(self.check(zone, "192.0.2.1", "j@example.org").result, Result.TEMPERROR, term)

    def test_an_explanation_that_would_leave_ascii_is_none(self) -> None:
        zone = {"txt": {"example.org": [b"v=spf1 exp=why.example.org -all"], "why.example.org": [b"not %{l}"]}}
        self.assertEqual(self.check(zone, "192.0.2.1", "joe@example.org").explanation, "not joe")
        self.assertTrue(self.check(zone, "192.0.2.1", "jos\u00e9@example.org").is_own_explanation)

    def test_it_takes_no_longer_than_allowed(self) -> None:
        class Silent(FakeResolver):
            cancelled = 0

            def a(self, name: str) -> Deferred[Any]:
                return Deferred(self._cancel)

            def _cancel(self, deferred: Deferred[Any]) -> None:
                self.cancelled += 1

        resolver = Silent(txt={"example.org": [b"v=spf1 a -all"]})
        checker = SpfChecker(SpfSettings(timeout=20), resolver, self.clock)
        evaluated = checker.check(Query.of_mail_from("192.0.2.1", "joe@example.org", "x.example"))
        self.clock.advance(19.9)
        self.assertNoResult(evaluated)
        self.clock.advance(0.2)
        found = self.successResultOf(evaluated)
        self.assertEqual((found.result, found.reason), (Result.TEMPERROR, "not done within 20 s"))
        self.assertEqual(found.trace[0].domain, "example.org")
        self.assertEqual(resolver.cancelled, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
