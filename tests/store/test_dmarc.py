"""Results of DMARC wait in the store until they are reported, on every engine."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.interfaces.dmarc import DomainDay, IDmarcStore, ReportedPolicy, ReportedRow
from tests.store.support import InMemory, OnDisk, StoreTestCase

POLICY = ReportedPolicy("example.com", "reject", sp="none", rua=(("a@example.com", None), ("b@example.net", 1000)))
OTHER = ReportedPolicy("other.test", "none")
ROW = ReportedRow(
    "192.0.2.1",
    "none",
    "pass",
    "fail",
    "example.com",
    overrides=(("local_policy", "why"),),
    auth_dkim=(("example.com", "s", "pass"),),
    auth_spf=(("bounce.test", "mfrom", "pass"),),
)
FORGED = ReportedRow("192.0.2.9", "reject", "fail", "fail", "example.com")


class DmarcContract(StoreTestCase):
    def claim(self, before_day: int = 10, rows_max: int = 100) -> DomainDay | None:
        return self.result(self.store.dmarc.claim(before_day, 60, rows_max))

    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(IDmarcStore, self.store.dmarc)

    def test_equal_rows_are_counted_and_come_back_as_they_went_in(self) -> None:
        asked = [self.store.dmarc.note(9, POLICY, row) for row in (FORGED, ROW, ROW, ROW)]
        for one in asked:
            self.result(one)
        self.result(self.store.dmarc.note(9, POLICY, FORGED))
        self.assertEqual(DomainDay(9, POLICY, ((ROW, 3), (FORGED, 2))), self.claim())

    def test_only_days_that_are_over_are_given_the_oldest_first(self) -> None:
        for day, policy in ((10, POLICY), (8, OTHER), (9, POLICY)):
            self.result(self.store.dmarc.note(day, policy, ROW))
        found = [self.claim(), self.claim(), self.claim()]
        self.assertEqual([8, 9, None], [one and one.day for one in found])

    def test_what_is_claimed_is_nobody_elses_until_the_claim_ends(self) -> None:
        self.result(self.store.dmarc.note(9, POLICY, ROW))
        self.assertIsNotNone(self.claim())
        self.assertIsNone(self.claim())
        self.clock.advance(61)
        self.assertIsNotNone(self.claim())
        self.result(self.store.dmarc.finish(9, "example.com"))
        self.clock.advance(61)
        self.assertIsNone(self.claim())

    def test_the_last_policy_is_reported_and_the_rarest_rows_are_left_out(self) -> None:
        for policy, row in ((OTHER, ROW), (OTHER, FORGED), (ReportedPolicy("other.test", "reject"), FORGED)):
            self.result(self.store.dmarc.note(9, policy, row))
        self.assertEqual(DomainDay(9, ReportedPolicy("other.test", "reject"), ((FORGED, 2),)), self.claim(rows_max=1))

    def test_what_strangers_write_is_kept_short(self) -> None:
        row = ReportedRow("192.0.2.1", "none", "pass", "pass", "x" * 1000, "a\0b\udcff")
        self.result(self.store.dmarc.note(9, OTHER, row))
        found = self.claim()
        assert found is not None
        self.assertEqual(("x" * 255, "a?b?"), (found.rows[0][0].header_from, found.rows[0][0].envelope_from))


class DmarcInMemoryTests(DmarcContract, InMemory):
    pass


class DmarcOnDiskTests(DmarcContract, OnDisk):
    pass


del DmarcContract
