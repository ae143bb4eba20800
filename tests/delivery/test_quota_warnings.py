"""Warnings before an account is full: each once."""

from __future__ import annotations

import email
from typing import Any

from twisted.internet.defer import Deferred, fail

from pymailsuite.config.sections.quota import QuotaSettings
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.delivery.quota_warnings import QuotaWarner, warning_message
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.quota import AccountQuota, DomainQuota, Limits, Quota, QuotaRoot, QuotaWarning, Usage
from pymailsuite.values import ALL_UIDS, AccountId, Address
from tests.acceptance import acceptance
from tests.delivery.test_intake import IntakeTestCase
from tests.support.delivery import planner_for
from tests.support.stores import append, fired


class WarnerTests(IntakeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.warner = self.make_warner()
        self.limit("ann", storage=10_000)

    def make_warner(self, settings: QuotaSettings = QuotaSettings(), start: bool = True) -> QuotaWarner:  # noqa: B008
        own_messages = OwnMessages(self.store, planner_for(self.store, self.clock))
        warner = QuotaWarner(self.store.quotas, settings, own_messages, "mx.example.org", self.clock)
        if start:
            warner.startService()
            self.addCleanup(warner.stopService)
        return warner

    def limit(self, name: str, **limits: Any) -> None:
        fired(self.store.directory.change_account_quota(f"{name}@example.org", lambda _: Quota(**limits)))

    def fill(self, octets: int, name: str = "ann") -> None:
        account: Any = fired(self.store.directory.account(f"{name}@example.org"))
        append(self.store, account, "Archive", b"Subject: x\r\n\r\n".ljust(octets, b"x"))

    def warnings(self, account_id: AccountId | None = None) -> list[str]:
        """The subjects in an inbox."""
        return [str(email.message_from_bytes(octets)["Subject"]) for octets in self.mail(account_id or self.ann)]

    @acceptance("S206")
    def test_the_user_is_told_once_at_each_percentage(self) -> None:
        self.fill(7_900)
        self.assertEqual(self.warnings(), [])
        self.fill(150)
        self.assertEqual(self.warnings(), ["Your mailbox: 80 % used"])
        self.fill(50)
        self.clock.advance(3600)
        self.assertEqual(len(self.warnings()), 1)
        self.limit("ann", storage=9_000)
        self.fill(50)
        self.assertEqual(self.warnings(), ["Your mailbox: 80 % used", "Your mailbox: 95 % used"])
        (octets, _) = self.mail(self.ann)
        self.assertTrue(octets.startswith(b"Return-Path: <>\r\nDelivered-To: ann@example.org\r\n"))
        self.assertEqual(fired(self.store.maintenance.verify(True)), [])

    def test_it_is_told_again_after_it_fell_below(self) -> None:
        self.fill(8_000)
        mail = self.store.account_mail(self.ann)
        archive: Any = fired(mail.mailbox("Archive"))
        fired(mail.remove_messages(archive.mailbox_id, ALL_UIDS))
        self.fill(8_000)
        self.assertEqual(self.warnings(), ["Your mailbox: 80 % used"] * 2)

    def test_a_warning_gets_into_an_account_that_is_full(self) -> None:
        self.limit("ann", messages=1)
        self.fill(100)
        self.assertEqual(self.warnings(), ["Your mailbox: 95 % used"])

    def test_what_a_process_left_behind_is_told_by_the_next_and_by_one_of_several(self) -> None:
        self.warner.stopService()
        self.fill(8_000)
        self.assertEqual(self.warnings(), [])
        self.make_warner()
        self.make_warner()
        self.clock.advance(60)
        self.assertEqual(len(self.warnings()), 1)

    def test_what_cannot_be_told_now_is_told_later(self) -> None:
        settle = self.store.quotas.settle_warning
        self.patch(self.store.quotas, "settle_warning", lambda *_: fail(StoreUnavailable()))
        self.fill(8_000)
        self.assertEqual(self.warnings(), [])
        self.patch(self.store.quotas, "settle_warning", settle)
        self.clock.advance(60)
        self.assertEqual(len(self.warnings()), 1)

    def test_warnings_that_become_due_meanwhile_are_given_in_the_same_round(self) -> None:
        due = self.store.quotas.due_warnings
        gate: Deferred[None] = Deferred()
        asked: list[int] = []

        def slow() -> Any:
            asked.append(1)
            return gate.addCallback(lambda _: due()) if len(asked) == 1 else due()

        self.patch(self.store.quotas, "due_warnings", slow)
        self.fill(8_000)
        self.limit("bea", storage=1_000)
        self.fill(900, "bea")
        self.assertEqual(len(asked), 1)
        gate.callback(None)
        self.assertEqual((len(self.warnings()), len(self.warnings(self.bea))), (1, 1))

    def test_the_postmaster_is_told_too_by_setting_and_of_a_domain_in_any_case(self) -> None:
        self.warner.stopService()
        fired(self.store.directory.set_alias(Address("postmaster", "example.org"), [Address("bea", "example.org")]))
        self.make_warner(QuotaSettings(warn_administrators=True))
        self.fill(8_000)
        self.assertEqual(self.warnings(self.bea), ["Mailbox quota: 80 % used"])
        self.assertIn(b"The account ann@example.org has passed 80 %", self.mail(self.bea)[0])
        total = DomainQuota(total=Limits(messages=10))
        fired(self.store.directory.change_domain_quota("example.org", lambda _: total))
        for _ in range(5):
            self.fill(20, "bea")
        self.assertIn(b"All accounts of example.org together have passed 80 %", self.mail(self.bea)[-1])
        self.assertIn(b"8 of 10 messages (80 %)", self.mail(self.bea)[-1])

    def test_without_percentages_nobody_is_told(self) -> None:
        self.warner.stopService()
        self.make_warner(QuotaSettings(warn_at=()))
        self.fill(8_000)
        self.clock.advance(3600)
        self.assertEqual(self.warnings(), [])


class MessageTests(IntakeTestCase):
    def test_a_user_whose_name_is_not_ascii_reads_it_too(self) -> None:
        root = QuotaRoot(Usage(5 * 2**30, 7, 6), Limits(storage=6 * 2**30))
        account = AccountQuota(AccountId(1), "jörg@example.org", root, "example.org")
        to = Address("jörg", "example.org")
        octets = warning_message(
            QuotaWarning(80, root, account, "example.org"), to, "mx.example.org", 0.0, to_user=False
        )
        self.assertTrue(octets.isascii())
        read = email.message_from_bytes(octets)
        self.assertIn("The account jörg@example.org has", read.get_payload(decode=True).decode())  # type: ignore[union-attr]
        self.assertIn("5.0 GiB of 6.0 GiB (83 %)", read.get_payload(decode=True).decode())  # type: ignore[union-attr]
        self.assertEqual(read["Auto-Submitted"], "auto-generated")
