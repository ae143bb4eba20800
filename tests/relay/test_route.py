"""Where mail for a domain goes, by what DNS and the settings say."""

from __future__ import annotations

import random
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.listeners import ListenerSettings
from pymailsuite.config.sections.outgoing import OutgoingSettings
from pymailsuite.config.sections.relay import NextHop, RelaySettings, parse_next_hop
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces import MxRecord, RecipientState
from pymailsuite.relay.route import Routes, Target, Unroutable, by_preference
from tests.acceptance import acceptance

ZONE: dict[str, Any] = {
    "mx": {
        "b.example": [(20, "backup.b.example"), (10, "mx.b.example")],
        "null.example": [(0, ".")],
        "nohosts.example": [(10, "gone.nohosts.example")],
        "halfbroken.example": [(10, "dead.example"), (20, "mx.b.example")],
        "broken-hosts.example": [(10, "dead.example")],
        "backed.example": [(10, "mx.b.example"), (20, "US.example"), (30, "backup.b.example")],
        "ours.example": [(5, "us.example"), (10, "mx.b.example")],
        "ours-by-address.example": [(5, "other-name.example")],
        "six.example": [(10, "six.b.example")],
        "loop.example": [(10, "lo.loop.example")],
        "unspecified.example": [(10, "any.loop.example")],
        "mapped.example": [(10, "mapped.loop.example")],
        "half-loop.example": [(5, "lo.loop.example"), (10, "mx.b.example")],
        "half-unknown.example": [(5, "lo.loop.example"), (10, "dead.example")],
        "listener.example": [(5, "here.example"), (10, "mx.b.example")],
        "home.example": [(10, "home.loop.example")],
    },
    "a": {
        "mx.b.example": ["192.0.2.1", "192.0.2.2"],
        "backup.b.example": ["192.0.2.3"],
        "plain.example": ["192.0.2.4"],
        "us.example": ["192.0.2.99"],
        "other-name.example": ["192.0.2.99"],
        "smart.example": ["192.0.2.50"],
        "six.b.example": ["192.0.2.6"],
        "lo.loop.example": ["127.0.0.1"],
        "any.loop.example": ["0.0.0.0"],
        "plain-loop.example": ["127.0.0.53"],
        "here.example": ["192.0.2.98"],
        "home.loop.example": ["10.0.0.25"],
    },
    "aaaa": {"six.b.example": ["2001:db8::6"], "mapped.loop.example": ["::ffff:127.0.0.1"]},
    "txt": {"empty.example": [b"x"]},
    "cname": {"www.example": "plain.example"},
    "failing": ["dead.example", "servfail.example", ("mx", "mxfail.example")],
}


class RoutesTests(SynchronousTestCase):
    def routes(self, outgoing: OutgoingSettings | None = None, **settings: Any) -> Routes:
        options = {"own_addresses": ("192.0.2.99",), **settings}
        address_filter = AddressFilter(outgoing, ListenerSettings(), ["192.0.2.99"], lambda ip: ip == "192.0.2.98")
        return Routes(RelaySettings(**options), FakeResolver(**ZONE), ["us.example."], random.Random(1), address_filter)

    def find(self, domain: str, **settings: Any) -> list[str]:
        found = self.successResultOf(Deferred.fromCoroutine(self.routes(**settings).find(domain)))
        return [f"{target.host} {target.ip} {target.port}" for target in found]

    def unroutable(self, domain: str, **settings: Any) -> tuple[RecipientState, str]:
        reason = self.failureResultOf(Deferred.fromCoroutine(self.routes(**settings).find(domain)), Unroutable).value
        assert isinstance(reason, Unroutable)
        self.assertTrue(reason.text)
        return reason.state, reason.status

    @acceptance("S057")
    def test_mx_hosts_come_by_preference(self) -> None:
        expected = ["mx.b.example 192.0.2.1 25", "mx.b.example 192.0.2.2 25", "backup.b.example 192.0.2.3 25"]
        self.assertEqual(self.find("b.example"), expected)

    @acceptance("S057")
    def test_equals_share_the_load(self) -> None:
        records = [MxRecord(10, "a"), MxRecord(10, "b"), MxRecord(20, "c"), MxRecord(10, "d"), MxRecord(5, "first")]
        rng = random.Random(7)
        orders = {tuple(record.exchange for record in by_preference(records, rng)) for _ in range(200)}
        self.assertEqual({order[0] for order in orders}, {"first"})
        self.assertEqual({order[4] for order in orders}, {"c"})
        self.assertEqual(len(orders), 6)

    @acceptance("S057")
    def test_without_mx_the_domain_is_its_own_host(self) -> None:
        self.assertEqual(self.find("plain.example"), ["plain.example 192.0.2.4 25"])

    @acceptance("S057")
    def test_an_alias_leads_to_its_host(self) -> None:
        self.assertEqual(self.find("www.example"), ["www.example 192.0.2.4 25"])

    @acceptance("S057")
    def test_definite_answers_fail_and_missing_answers_wait(self) -> None:
        failed, waiting = RecipientState.FAILED, RecipientState.DELAYED
        for domain, expected in {
            "null.example": (failed, "5.1.10"),
            "nosuch.example": (failed, "5.1.2"),
            "empty.example": (failed, "5.1.2"),
            "a..b": (failed, "5.1.2"),
            "nohosts.example": (failed, "5.4.4"),
            "servfail.example": (waiting, "4.4.3"),
            "mxfail.example": (waiting, "4.4.3"),
            "broken-hosts.example": (waiting, "4.4.3"),
        }.items():
            self.assertEqual(self.unroutable(domain), expected, domain)

    def test_a_host_whose_address_cannot_be_found_does_not_hide_the_others(self) -> None:
        self.assertEqual(len(self.find("halfbroken.example")), 2)

    @acceptance("S057")
    def test_the_list_is_cut_at_ourselves(self) -> None:
        self.assertEqual(self.find("backed.example"), ["mx.b.example 192.0.2.1 25", "mx.b.example 192.0.2.2 25"])
        for domain in ("ours.example", "ours-by-address.example", "us.example"):
            self.assertEqual(self.unroutable(domain), (RecipientState.FAILED, "5.4.6"), domain)
        self.assertEqual(self.unroutable("b.example", own_names=("MX.b.example",)), (RecipientState.FAILED, "5.4.6"))

    @acceptance("S057")
    def test_where_nobody_else_is_nothing_is_sent(self) -> None:
        for domain in (
            "loop.example",
            "unspecified.example",
            "mapped.example",
            "plain-loop.example",
            "listener.example",
            "[127.0.0.1]",
            "[127.8.8.8]",
            "[0.0.0.0]",
            "[IPv6:::1]",
            "[IPv6:::]",
            "[IPv6:::ffff:127.0.0.1]",
            "[IPv6:64:ff9b::7f00:1]",
            "[IPv6:2002:7f00:1::]",
            "[169.254.169.254]",
            "[224.0.0.1]",
            "[255.255.255.255]",
            "[192.0.2.98]",
            "127.0.0.1",
        ):
            self.assertEqual(self.unroutable(domain), (RecipientState.FAILED, "5.4.6"), domain)

    def test_a_domain_of_thousands_of_hosts_costs_as_much_as_one_of_some(self) -> None:
        hosts = {f"mx{number}.many.example": [f"192.0.2.{octet}" for octet in range(1, 60)] for number in range(500)}
        mx = [(number // 100, host) for number, host in enumerate(hosts)]
        resolver = FakeResolver(mx={"many.example": mx}, a=hosts)
        routes = Routes(RelaySettings(), resolver, ["us.example"], random.Random(1))
        found = self.successResultOf(Deferred.fromCoroutine(routes.find("many.example")))
        self.assertLess(len(resolver.questions), 50)
        self.assertLessEqual(len(found), 200)
        self.assertTrue(all(int(target.host[2:].split(".")[0]) < 100 for target in found))

    def test_what_is_left_of_a_list_is_tried(self) -> None:
        self.assertEqual(len(self.find("half-loop.example")), 2)
        self.assertEqual(self.unroutable("half-unknown.example"), (RecipientState.DELAYED, "4.4.3"))

    def test_private_networks_are_a_setting_and_loopback_can_be_allowed(self) -> None:
        self.assertEqual(self.find("home.example"), ["home.loop.example 10.0.0.25 25"])
        refused = OutgoingSettings(private_networks=False)
        self.assertEqual(self.unroutable("home.example", outgoing=refused), (RecipientState.FAILED, "5.4.6"))
        self.assertEqual(self.unroutable("[10.0.0.25]", outgoing=refused), (RecipientState.FAILED, "5.4.6"))
        allowed = OutgoingSettings.model_validate({"allowed_networks": ["127.0.0.0/8"]})
        self.assertEqual(self.find("loop.example", outgoing=allowed, port=2525), ["lo.loop.example 127.0.0.1 2525"])
        self.assertEqual(self.unroutable("loop.example", outgoing=allowed), (RecipientState.FAILED, "5.4.6"))

    def test_what_the_settings_name_is_gone_by_unless_it_is_ourselves(self) -> None:
        self.assertEqual(self.find("x.example", relayhost="[127.0.0.1]:10025"), ["127.0.0.1 127.0.0.1 10025"])
        self.assertEqual(self.find("x.example", routes={"x.example": "lo.loop.example:26"})[0].split()[1], "127.0.0.1")
        self.assertEqual(len(self.find("loop.example", ports={"lo.loop.example": 2525})), 1)
        for hop in ("[127.0.0.1]", "lo.loop.example:25", "[192.0.2.98]:25", "here.example:587"):
            self.assertEqual(self.unroutable("x.example", relayhost=hop), (RecipientState.DELAYED, "4.4.6"), hop)

    def test_address_literals_need_no_dns(self) -> None:
        self.assertEqual(self.find("[192.0.2.7]"), ["[192.0.2.7] 192.0.2.7 25"])
        self.assertEqual(self.find("[IPv6:2001:DB8::7]"), ["[IPv6:2001:DB8::7] 2001:db8::7 25"])
        self.assertEqual(self.unroutable("[192.0.2.99]"), (RecipientState.FAILED, "5.4.6"))
        self.assertEqual(self.unroutable("[x]"), (RecipientState.FAILED, "5.1.2"))

    def test_both_ip_versions_are_tried_in_the_order_set(self) -> None:
        self.assertEqual(self.find("six.example"), ["six.b.example 192.0.2.6 25", "six.b.example 2001:db8::6 25"])
        six_first = self.find("six.example", ip_versions=(6, 4))
        self.assertEqual(six_first, ["six.b.example 2001:db8::6 25", "six.b.example 192.0.2.6 25"])
        self.assertEqual(self.find("six.example", ip_versions=(6,)), ["six.b.example 2001:db8::6 25"])

    def test_a_relayhost_takes_everything(self) -> None:
        self.assertEqual(self.find("nosuch.example", relayhost="[192.0.2.8]:2525"), ["192.0.2.8 192.0.2.8 2525"])
        self.assertEqual(self.find("x.example", relayhost="smart.example:587"), ["smart.example 192.0.2.50 587"])
        self.assertEqual(len(self.find("x.example", relayhost="b.example")), 3)
        self.assertEqual(self.unroutable("x.example", relayhost="nosuch.example:25"), (RecipientState.DELAYED, "4.4.4"))
        self.assertEqual(self.unroutable("x.example", relayhost="dead.example:25"), (RecipientState.DELAYED, "4.4.3"))

    def test_a_route_of_the_settings_comes_before_the_relayhost_and_dns(self) -> None:
        routes = {"B.example": "[192.0.2.9]", ".b.example": "[192.0.2.10]:26"}
        self.assertEqual(self.find("b.example", routes=routes), ["192.0.2.9 192.0.2.9 25"])
        self.assertEqual(self.find("x.y.b.example", routes=routes), ["192.0.2.10 192.0.2.10 26"])
        self.assertEqual(self.find("c.example", routes=routes, relayhost="[192.0.2.8]"), ["192.0.2.8 192.0.2.8 25"])

    def test_ports_can_be_set_for_all_hosts_and_for_one(self) -> None:
        found = self.find("b.example", port=2525, ports={"backup.b.example": 26})
        self.assertEqual([target.split()[2] for target in found], ["2525", "2525", "26"])

    def test_the_settings_refuse_what_is_no_host(self) -> None:
        self.assertEqual(parse_next_hop("Mx.example"), NextHop("mx.example", 25, True))
        self.assertEqual(parse_next_hop("[mx.example]"), NextHop("mx.example", 25, False))
        self.assertEqual(parse_next_hop("[2001:db8::1]:26"), NextHop("2001:db8::1", 26, False))
        for text in ("", "a b", "mx:0", "mx:70000", "mx:x", "[mx", "2001:db8::1"):
            with self.assertRaises(ValueError, msg=text):
                parse_next_hop(text)
        with self.assertRaises(ValidationError):
            RelaySettings(relayhost="a b")
        with self.assertRaises(ValidationError):
            RelaySettings(routes={"x": "a b"})

    def test_a_target_names_itself_for_logs(self) -> None:
        self.assertEqual(str(Target("mx.example", "192.0.2.1", 25)), "mx.example[192.0.2.1]:25")
