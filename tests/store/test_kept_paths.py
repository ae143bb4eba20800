"""Addresses that return paths name by a token, on every engine."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.values import Address
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

SAM = Address("Sam+" + "x" * 60, "peer.example")


class KeptPathsContract(StoreTestCase):
    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(IKeptPaths, self.store.kept_paths)

    def test_an_address_is_known_until_its_time_is_over(self) -> None:
        kept = self.store.kept_paths
        self.assertIsNone(self.result(kept.kept("t", NOW)))
        self.result(kept.keep("t", SAM, NOW + 10, NOW + 9))
        self.assertEqual(self.result(kept.kept("t", NOW + 9)), SAM)
        self.assertIsNone(self.result(kept.kept("t", NOW + 10)))

    def test_it_is_kept_longer_but_never_shorter(self) -> None:
        kept = self.store.kept_paths
        for until, at_least, known in ((10, 9, 10), (12, 10, 10), (20, 11, 20), (15, 21, 20)):
            self.result(kept.keep("t", SAM, NOW + until, NOW + at_least))
            self.assertEqual(self.result(kept.kept("t", NOW + known - 1)), SAM)
            self.assertIsNone(self.result(kept.kept("t", NOW + known)))

    def test_what_is_over_is_swept(self) -> None:
        for number in range(3):
            self.result(self.store.kept_paths.keep(str(number), SAM, NOW + number, NOW))
        self.assertEqual(self.result(self.store.maintenance.sweep(NOW + 1))["state"], 2)
        self.assertEqual(self.result(self.store.kept_paths.kept("2", NOW)), SAM)


class KeptPathsInMemoryTests(KeptPathsContract, InMemory):
    pass


class KeptPathsOnDiskTests(KeptPathsContract, OnDisk):
    pass


del KeptPathsContract
