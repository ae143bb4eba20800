"""The name a peer has in DNS: only one that leads back to it, only in time, and nobody waits for it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import DnsFailure
from pymailsuite.smtp.peer_names import PeerNames
from tests.acceptance import acceptance


class PeerNameTests(SynchronousTestCase):
    def names(self, **records: Any) -> PeerNames:
        self.clock = Clock()
        return PeerNames(FakeResolver(**records), 5.0, self.clock)

    def name_of(self, ip: str, **records: Any) -> str:
        return self.successResultOf(self.names(**records).name_of(ip))

    @acceptance("S054")
    def test_a_name_that_leads_back_to_the_address_is_the_peers(self) -> None:
        found = self.name_of("192.0.2.1", ptr={"192.0.2.1": ["mx.peer.example"]}, a={"mx.peer.example": ["192.0.2.1"]})
        self.assertEqual(found, "mx.peer.example")

    def test_an_ipv6_address_is_compared_as_an_address(self) -> None:
        found = self.name_of(
            "2001:db8::1", ptr={"2001:db8::1": ["mx.peer.example"]}, aaaa={"mx.peer.example": ["2001:0db8:0::1"]}
        )
        self.assertEqual(found, "mx.peer.example")

    @acceptance("S054")
    def test_a_name_that_leads_elsewhere_is_not_believed(self) -> None:
        records = {"ptr": {"192.0.2.1": ["bank.example", "mx.peer.example"]}, "a": {"bank.example": ["192.0.2.9"]}}
        self.assertEqual(self.name_of("192.0.2.1", **records), "")

    def test_no_name_and_no_address_are_no_error(self) -> None:
        self.assertEqual(self.name_of("192.0.2.1"), "")
        self.assertEqual(self.name_of(""), "")

    def test_a_look_up_that_fails_or_takes_too_long_gives_no_name(self) -> None:
        for answer in (DnsFailure("SERVFAIL"), Deferred()):
            names = self.names()
            pending: Deferred[Any] = Deferred()
            if isinstance(answer, DnsFailure):
                pending.errback(answer)
            self.patch(names._resolver, "ptr", lambda ip, pending=pending: pending)
            found = names.name_of("192.0.2.1")
            self.clock.advance(5)
            self.assertEqual(self.successResultOf(found), "")
