"""The real resolver against a real name server on loopback."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.dns import DnsSettings
from pymailsuite.dns.resolver import Resolver
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver, MxRecord
from tests.acceptance import acceptance
from tests.support.dns import NEGATIVE_TTL_S, TTL_S, ZoneServer

ZONE = {
    ("example.test", "MX"): ["10 MX1.example.test.", "20 mx2.example.test."],
    ("null.test", "MX"): ["0 ."],
    ("mx1.example.test", "A"): ["192.0.2.1", "192.0.2.2"],
    ("mx1.example.test", "AAAA"): ["2001:db8::1"],
    ("alias.test", "CNAME"): ["other.test."],
    ("other.test", "CNAME"): ["mx1.example.test."],
    ("example.test", "TXT"): ['"v=spf1 " "-all"', '"second"'],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx1.example.test."],
    ("_25._tcp.mx1.example.test", "TLSA"): ["3 1 1 " + "ab" * 32],
    ("xn--bcher-kva.test", "A"): ["192.0.2.7"],
    ("long.test", "TXT"): ["x" * 200] * 1,
    ("broken.test", "A"): ["192.0.2.3"],
}


class ResolverTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.zone = ZoneServer(
            ZONE, broken=["broken.test"], silent=["silent.test"], truncated=["long.test"], secure=True
        )
        self.zone.__enter__()
        self.addCleanup(self.zone.__exit__)
        self.resolver = self.make()

    def make(self, **settings: Any) -> Resolver:
        options = {"servers": (self.zone.address,), "timeout": 20, "lifetime": 60, **settings}
        return Resolver(DnsSettings(**options), reactor)

    def test_it_provides_the_interface(self) -> None:
        verifyObject(IResolver, self.resolver)

    @acceptance("S057")
    async def test_each_type_comes_back_in_its_own_form(self) -> None:
        resolver = self.resolver
        mx = await resolver.mx("example.test")
        self.assertEqual(set(mx.records), {MxRecord(10, "mx1.example.test"), MxRecord(20, "mx2.example.test")})
        self.assertEqual((mx.exists, mx.ttl_s), (True, TTL_S))
        self.assertEqual((await resolver.mx("null.test")).records, (MxRecord(0, ""),))
        self.assertEqual(set((await resolver.a("mx1.example.test.")).records), {"192.0.2.1", "192.0.2.2"})
        self.assertEqual((await resolver.aaaa("mx1.example.test")).records, ("2001:db8::1",))
        self.assertEqual(set((await resolver.txt("example.test")).records), {b"v=spf1 -all", b"second"})
        self.assertEqual((await resolver.ptr("192.0.2.1")).records, ("mx1.example.test",))
        tlsa = await resolver.tlsa("_25._tcp.mx1.example.test")
        self.assertEqual(tlsa.records, ((3, 1, 1, bytes.fromhex("ab" * 32)),))

    async def test_no_such_name_no_data_and_failed_are_three_answers(self) -> None:
        absent = await self.resolver.a("nobody.test")
        self.assertEqual((absent.records, absent.exists, absent.ttl_s), ((), False, NEGATIVE_TTL_S))
        empty = await self.resolver.aaaa("xn--bcher-kva.test")
        self.assertEqual((empty.records, empty.exists), ((), True))
        await self.assertFailure(self.resolver.a("broken.test"), DnsFailure)

    async def test_what_cannot_be_a_name_does_not_exist_and_nobody_is_asked(self) -> None:
        self.assertFalse((await self.resolver.mx("a..b")).exists)
        self.assertEqual(self.zone.asked, [])

    async def test_a_silent_server_fails_after_the_lifetime_and_is_asked_again_meanwhile(self) -> None:
        hasty = self.make(timeout=0.1, lifetime=0.3)
        failure = await self.assertFailure(hasty.a("silent.test"), DnsFailure)
        # However often it was asked.
        self.assertEqual(1, failure.cause.count("no answer"), failure.cause)
        self.assertGreater(len(self.zone.asked), 1)

    async def test_a_truncated_answer_is_asked_for_again_over_tcp(self) -> None:
        self.assertEqual((await self.resolver.txt("long.test")).records, (b"x" * 200,))
        self.assertEqual([transport for transport, _, _ in self.zone.asked], ["udp", "tcp"])

    async def test_a_server_that_knows_no_edns_is_asked_without(self) -> None:
        """RFC 6891 §7."""
        self.zone.edns = False
        self.assertEqual(set((await self.resolver.a("mx1.example.test")).records), {"192.0.2.1", "192.0.2.2"})
        self.assertEqual((await self.resolver.txt("long.test")).records, (b"x" * 200,))
        self.assertFalse((await self.resolver.a("nothing.test")).exists)

    async def test_the_next_server_is_asked_when_one_refuses(self) -> None:
        dead = ZoneServer({})
        dead.__enter__()
        dead.__exit__()
        resolver = self.make(servers=(dead.address, self.zone.address), timeout=0.5)
        self.assertEqual((await resolver.aaaa("mx1.example.test")).records, ("2001:db8::1",))

    async def test_aliases_are_followed(self) -> None:
        self.assertEqual(len((await self.resolver.a("alias.test")).records), 2)

    async def test_unicode_names_are_asked_for_in_a_labels(self) -> None:
        self.assertEqual((await self.resolver.a("Bücher.test")).records, ("192.0.2.7",))

    async def test_an_answer_is_remembered_and_a_failure_is_not(self) -> None:
        for _ in range(3):
            await self.resolver.mx("example.test")
            await self.resolver.mx("nobody.test")
        self.assertEqual(len(self.zone.asked), 2)
        for _ in range(2):
            await self.assertFailure(self.resolver.a("broken.test"), DnsFailure)
        self.assertEqual(len(self.zone.asked), 4)

    async def test_the_same_question_at_the_same_time_is_asked_once(self) -> None:
        first, second, third = (self.resolver.mx("example.test") for _ in range(3))
        second.cancel()
        await self.assertFailure(second, CancelledError)
        self.assertEqual(await first, await third)
        self.assertEqual(len(self.zone.asked), 1)

    async def test_the_ad_bit_counts_only_when_the_server_is_trusted(self) -> None:
        self.assertFalse((await self.resolver.mx("example.test")).secure)
        self.assertTrue((await self.make(trust_ad=True).mx("example.test")).secure)

    def test_ptr_of_something_else_is_a_mistake_of_the_caller(self) -> None:
        self.assertRaises(ValueError, self.resolver.ptr, "example.test")
