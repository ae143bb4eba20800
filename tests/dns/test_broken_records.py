"""What a zone publishes beside what is no record."""

import struct

import dns.message
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from pymailsuite.config.sections.dns import DnsSettings
from pymailsuite.dns.resolver import Resolver
from pymailsuite.errors import DnsFailure
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S


class _EmptyRecords(ZoneServer):
    """Adds a record without content to each answer."""

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        answer = super().answer(wire, transport)
        assert answer is not None
        message = dns.message.from_wire(answer)
        message.use_edns(False)
        octets = message.to_wire()
        (count,) = struct.unpack("!H", octets[6:8])
        empty = b"\xc0\x0c" + struct.pack("!HHIH", message.question[0].rdtype, 1, 60, 0)
        return octets[:6] + struct.pack("!H", count + 1) + octets[8:] + empty


class BrokenRecordTests(TestCase):
    timeout = PATIENCE_S

    async def test_a_txt_record_without_strings_does_not_hide_the_others_but_half_an_address_is_a_failure(self) -> None:
        records = {("example.test", "TXT"): ['"v=spf1 -all"'], ("example.test", "A"): ["192.0.2.1"]}
        with _EmptyRecords(records) as zone:
            patient = Resolver(DnsSettings(servers=(zone.address,)), reactor)
            self.assertEqual((await patient.txt("example.test")).records, (b"v=spf1 -all",))
            hasty = Resolver(DnsSettings(servers=(zone.address,), timeout=0.1, lifetime=0.3), reactor)
            with self.assertRaises(DnsFailure):
                await hasty.a("example.test")
