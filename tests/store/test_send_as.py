"""As whom accounts may send, on every engine."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.errors import AlreadyExists, NoSuchAccount, NoSuchEntry
from pymailsuite.interfaces.send_as import ISendAsStore, SendAsGrant
from pymailsuite.values import AccountId
from tests.store.support import InMemory, OnDisk, StoreTestCase

DOMAIN, INFO = SendAsGrant("far.example"), SendAsGrant("far.example", "info")


class SendAsContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.send_as = self.store.send_as
        self.ann = self.account()

    def grants(self, login_name: str = "ann@example.org") -> list[SendAsGrant]:
        return list(self.result(self.send_as.grants_of(login_name)))

    def test_grants_are_made_listed_and_taken_back(self) -> None:
        verifyObject(ISendAsStore, self.send_as)
        bob = self.account("bob@example.org")
        for grant in (INFO, DOMAIN):
            self.result(self.send_as.grant(self.ann.account_id, grant))
        self.result(self.send_as.grant(bob.account_id, INFO))
        self.failure(self.send_as.grant(bob.account_id, INFO), AlreadyExists)
        self.assertEqual(self.grants("Ann@example.org"), [DOMAIN, INFO])
        self.assertEqual(
            list(self.result(self.send_as.all_grants())),
            [("ann@example.org", DOMAIN), ("ann@example.org", INFO), ("bob@example.org", INFO)],
        )
        self.result(self.send_as.revoke(self.ann.account_id, DOMAIN))
        self.failure(self.send_as.revoke(self.ann.account_id, DOMAIN), NoSuchEntry)
        self.assertEqual(self.grants(), [INFO])

    def test_grants_end_with_the_account(self) -> None:
        self.result(self.send_as.grant(self.ann.account_id, INFO))
        self.result(self.store.directory.remove_account("ann@example.org"))
        self.failure(self.send_as.grant(self.ann.account_id, DOMAIN), NoSuchAccount)
        self.failure(self.send_as.grant(AccountId(99), DOMAIN), NoSuchAccount)
        self.account()
        self.assertEqual((self.grants(), list(self.result(self.send_as.all_grants()))), ([], []))


class SendAsInMemoryTests(SendAsContract, InMemory):
    pass


class SendAsOnDiskTests(SendAsContract, OnDisk):
    pass


del SendAsContract
