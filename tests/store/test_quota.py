"""Quotas: what does not fit is refused in the transaction that would add it, and what is counted is what is there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred

from pymailsuite.config.sections.quota import QuotaSettings
from pymailsuite.errors import NoSuchAccount, NoSuchMailbox, OverQuota
from pymailsuite.interfaces import Acceptance, Account, Delivery, NewMessage
from pymailsuite.interfaces.quota import AccountQuota, DomainQuota, FolderRule, Limits, Quota, QuotaRoot, Usage
from pymailsuite.interfaces.rights import Rights
from pymailsuite.interfaces.sharing import AclEntry, Identifier, RightsChange
from pymailsuite.store import MailStore
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, FlagChange, Flags, SpecialUse, SystemFlag
from tests.acceptance import acceptance
from tests.store.support import InMemory, OnDisk, StoreTestCase


def message(size: int) -> bytes:
    """A message of so many octets."""
    front = b"Subject: x\r\n\r\n"
    return front + b"x" * (size - len(front))


class QuotaCase(StoreTestCase):
    """Short words for what tests of quotas do."""

    def set_quota(self, account: Account, **limits: Any) -> None:
        self.result(self.store.directory.change_account_quota(account.login_name, lambda _: Quota(**limits)))

    def set_domain(self, total: Limits | None = None, domain: str = "example.org", **limits: Any) -> None:
        quota = DomainQuota(accounts=Quota(**limits), total=total or Limits())
        self.result(self.store.directory.change_domain_quota(domain, lambda _: quota))

    def accept(self, size: int, *accounts: Account, store: MailStore | None = None, **more: Any) -> Deferred[Any]:
        deliveries = tuple(Delivery(account.account_id, b"", **more) for account in accounts)
        return (store or self.store).queue.accept(Acceptance(self.stage(message(size)), deliveries))

    def usage(self, account: Account) -> Usage:
        return self.quota_of(account).account.usage

    def quota_of(self, account: Account) -> AccountQuota:
        return self.result(self.store.quotas.account_quota(account.account_id, True))

    def total(self, domain: str = "example.org") -> QuotaRoot:
        return self.result(self.store.quotas.domain_total(domain))

    def put(self, account: Account, mailbox: str, *sizes: int) -> Deferred[Any]:
        new = [NewMessage(self.stage(message(size))) for size in sizes]
        return self.store.account_mail(account.account_id).append(mailbox, new)

    def due(self) -> list[tuple[str, int]]:
        """The warnings that are due: of whom, and at what percentage."""
        return [
            (warning.account.login_name if warning.account else warning.domain, warning.percent)
            for warning in self.result(self.store.quotas.due_warnings())
        ]


class QuotaTests(QuotaCase, InMemory):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.mail = self.store.account_mail(self.ann.account_id)

    def inbox_id(self) -> Any:
        return self.result(self.mail.mailbox("INBOX")).mailbox_id

    def test_limits_are_those_of_the_account_then_of_its_domain_then_general(self) -> None:
        bob = self.account("bob@example.org")
        eve = self.account("eve@other.example")
        self.set_domain(messages=7, mailboxes=20)
        self.set_quota(self.ann, messages=3, storage=1000)
        for account, limits in (
            (self.ann, (1000, 3, 20)),
            (bob, (0, 7, 20)),
            (eve, (0, 0, 0)),
        ):
            found = self.quota_of(account).account.limits
            self.assertEqual((found.storage, found.messages, found.mailboxes), limits)
        self.set_quota(self.ann, messages=0)
        self.assertEqual(self.quota_of(self.ann).account.limits.messages, 0)
        self.assertIsNone(self.quota_of(self.ann).domain_total)
        self.failure(self.store.quotas.account_quota(4711, False), NoSuchAccount)

    def test_what_does_not_fit_is_refused_and_nothing_of_it_is_there(self) -> None:
        self.set_quota(self.ann, storage=1000)
        self.result(self.put(self.ann, "INBOX", 600))
        for deferred in (
            self.put(self.ann, "Archive", 401),
            self.put(self.ann, "INBOX", 200, 201),
            self.mail.copy(self.inbox_id(), ALL_UIDS, "Archive"),
        ):
            error = self.failure(deferred, OverQuota)
            self.assertEqual(error.account_ids, {self.ann.account_id})
        self.assertIn("600 of 1000 octets are used, and 600 more do not fit", error.cause)
        self.assertEqual(self.usage(self.ann), Usage(600, 1, 6))
        self.result(self.put(self.ann, "Archive", 400))
        self.assert_sound()

    def test_a_message_limit_counts_messages(self) -> None:
        self.set_quota(self.ann, messages=2)
        self.result(self.put(self.ann, "INBOX", 50))
        self.failure(self.put(self.ann, "INBOX", 50, 50), OverQuota)
        self.result(self.accept(50, self.ann))
        self.failure(self.accept(50, self.ann), OverQuota)
        self.assertEqual(self.usage(self.ann).messages, 2)

    def test_moving_within_an_account_is_free_even_when_it_is_full(self) -> None:
        self.result(self.put(self.ann, "INBOX", 600))
        self.set_quota(self.ann, storage=500)
        self.result(self.mail.move(self.inbox_id(), ALL_UIDS, "Trash"))
        self.assertEqual(self.usage(self.ann).storage, 600)

    def test_what_is_expunged_frees_its_room_at_once(self) -> None:
        self.set_quota(self.ann, storage=1000, messages=2)
        self.result(self.put(self.ann, "INBOX", 500, 500))
        self.failure(self.accept(60, self.ann), OverQuota)
        self.result(self.mail.store_flags(self.inbox_id(), ALL_UIDS, FlagChange.ADD, Flags(SystemFlag.DELETED), None))
        self.result(self.mail.expunge(self.inbox_id(), ALL_UIDS))
        self.assertEqual(self.usage(self.ann), Usage(0, 0, 6))
        self.result(self.accept(500, self.ann))

    def test_mailboxes_are_limited_with_all_their_levels(self) -> None:
        self.set_quota(self.ann, mailboxes=8)
        self.failure(self.mail.create_mailbox("a/b/c", None), OverQuota)
        self.result(self.mail.create_mailbox("a/b", None))
        self.failure(self.mail.create_mailbox("c", None), OverQuota)
        self.failure(self.mail.rename_mailbox("a/b", "x/b"), OverQuota)
        self.result(self.mail.rename_mailbox("a/b", "a/c"))
        self.set_quota(self.ann, mailboxes=5)
        self.result(self.mail.rename_mailbox("a/c", "a/d"))
        self.assertEqual(self.usage(self.ann).mailboxes, 8)

    def test_the_last_message_delivered_may_pass_the_limit_by_the_grace(self) -> None:
        self.set_quota(self.ann, storage=1000)
        self.result(self.accept(900, self.ann))
        self.failure(self.put(self.ann, "INBOX", 101), OverQuota)
        self.failure(self.accept(201, self.ann), OverQuota)
        self.result(self.accept(200, self.ann))
        # It is full now: not the smallest message goes in.
        self.failure(self.accept(20, self.ann), OverQuota)

    def test_a_quota_costs_a_delivery_one_statement_and_its_absence_none(self) -> None:
        bob = self.account("bob@example.org")
        counts: list[int] = []
        for limits in ({}, {"storage": 100_000}, {"messages": 0}):
            self.set_quota(self.ann, **limits)
            self.set_quota(bob, **limits)
            contents = [self.stage(message(50)) for _ in range(2)]
            run: list[str] = []
            with self.statements(run):
                for content in contents:
                    deliveries = (Delivery(self.ann.account_id, b""), Delivery(bob.account_id, b""))
                    self.result(self.store.queue.accept(Acceptance(content, deliveries)))
            counts.append(len(run))
        self.assertEqual([count - counts[0] for count in counts], [0, 2, 0])

    @contextmanager
    def statements(self, run: list[str]) -> Iterator[None]:
        """Note the statements that are run."""
        kept = {}

        def noting(name: str) -> Any:
            def method(txn: Transaction, sql: str, *values: Any, **more: Any) -> Any:
                run.append(sql)
                return kept[name](txn, sql, *values, **more)

            return method

        for name in ("rows", "row", "value", "execute", "send"):
            kept[name] = getattr(Transaction, name)
            setattr(Transaction, name, noting(name))
        try:
            yield
        finally:
            for name, method in kept.items():
                setattr(Transaction, name, method)

    def test_a_message_that_is_too_much_for_one_of_several_names_that_one(self) -> None:
        bob, eve = self.account("bob@example.org"), self.account("eve@example.org")
        self.set_quota(bob, storage=10)
        self.set_quota(eve, storage=10)
        error = self.failure(self.accept(100, self.ann, bob, eve), OverQuota)
        self.assertEqual(error.account_ids, {bob.account_id, eve.account_id})
        self.assertEqual(self.usage(self.ann).messages, 0)

    def test_a_message_of_ours_is_delivered_however_full_the_account_is(self) -> None:
        self.set_quota(self.ann, storage=10)
        self.result(self.accept(100, self.ann, beyond_quota=True))
        self.assertEqual(self.usage(self.ann).storage, 100)
        self.failure(self.accept(20, self.ann), OverQuota)

    def test_rules_for_folders(self) -> None:
        self.result(self.mail.create_mailbox("Trash/old", None))
        self.result(self.mail.create_mailbox("Lists/one/two", None))
        rules = {
            "\\trash": FolderRule(counted=False),
            "Lists/%/two": FolderRule(extra=50),
            "Lists/*": FolderRule(extra=200),
        }
        self.set_quota(self.ann, storage=1000, folders=rules)
        self.result(self.put(self.ann, "Trash/old", 5000))
        self.result(self.put(self.ann, "INBOX", 1000))
        self.assertEqual(self.usage(self.ann), Usage(1000, 1, 10))
        self.failure(
            self.mail.move(self.result(self.mail.mailbox("Trash/old")).mailbox_id, ALL_UIDS, "INBOX"), OverQuota
        )
        self.failure(self.put(self.ann, "Lists/one/two", 51), OverQuota)
        self.failure(self.put(self.ann, "Lists/one", 201), OverQuota)
        self.result(self.put(self.ann, "Lists/one", 200))
        self.result(self.mail.move(self.inbox_id(), ALL_UIDS, "Trash"))
        folders = {one.name: one for one in self.quota_of(self.ann).folders}
        self.assertEqual((folders["Trash"].storage, folders["Trash"].counted), (1000, False))
        self.assertEqual([folders[name].extra for name in ("INBOX", "Lists/one", "Lists/one/two")], [0, 200, 50])
        self.assertEqual(self.usage(self.ann), Usage(200, 1, 10))

    def test_room_is_looked_for_before_anything_is_sent(self) -> None:
        bob = self.account("bob@example.org")
        rules = {"\\Trash": FolderRule(extra=500)}
        self.set_quota(self.ann, storage=1000, folders=rules)
        self.result(self.mail.check_room("INBOX", 1000, 1))
        self.failure(self.mail.check_room("inbox", 1001, 1), OverQuota)
        self.result(self.mail.check_room("Trash", 1500, 1))
        self.failure(self.mail.check_room("no such mailbox", 1500, 1), OverQuota)
        look = self.store.quotas.without_room
        copies = [(self.ann.account_id, "INBOX"), (bob.account_id, "INBOX"), (4711, "INBOX")]
        self.assertEqual(self.result(look(copies, 1100)), {})
        self.assertEqual(list(self.result(look(copies, 1101))), [self.ann.account_id])

    def test_what_others_put_into_a_mailbox_counts_for_its_owner(self) -> None:
        bob = self.account("bob@example.org")
        entry = AclEntry(Identifier.parse("bob@example.org"), Rights.parse("lrswipkxte"))
        sharing = self.store.sharing
        self.result(self.mail.create_mailbox("Team", None))
        self.result(sharing.set_rights(self.ann.account_id, "Team", None, entry, RightsChange.REPLACE))
        self.set_quota(self.ann, storage=1000, mailboxes=8)
        self.set_quota(bob, storage=700)
        self.result(self.put(bob, "INBOX", 600))
        inbox = self.result(self.store.account_mail(bob.account_id).mailbox("INBOX")).mailbox_id
        transfer = (bob.account_id, bob.account_id, inbox, ALL_UIDS, self.ann.account_id, "Team")
        self.result(sharing.copy(*transfer))
        self.failure(sharing.copy(*transfer), OverQuota)
        self.failure(sharing.move(*transfer), OverQuota)
        theirs = sharing.account_mail_for(self.ann.account_id, bob.account_id)
        self.failure(theirs.check_room("Team", 401, 1), OverQuota)
        self.failure(theirs.check_room("INBOX", 1, 1), NoSuchMailbox)
        new = [NewMessage(self.stage(message(401)))]
        self.failure(theirs.append("Team", new), OverQuota)
        self.result(theirs.create_mailbox("Team/one", None))
        self.failure(theirs.create_mailbox("Team/two", None), OverQuota)
        self.assertEqual((self.usage(self.ann).storage, self.usage(bob).storage), (600, 600))
        self.set_quota(self.ann, storage=1200)
        self.result(sharing.move(*transfer))
        self.assertEqual((self.usage(self.ann).storage, self.usage(bob).storage), (1200, 0))

    # --- totals of domains

    def test_the_total_of_a_domain_counts_all_its_accounts_from_the_moment_it_is_set(self) -> None:
        bob = self.account("bob@example.org")
        self.result(self.put(self.ann, "INBOX", 300))
        self.set_domain(Limits(storage=1000))
        self.assertEqual(self.total(), QuotaRoot(Usage(300, 1, 12), Limits(storage=1000, messages=0, mailboxes=0)))
        self.result(self.put(bob, "INBOX", 600))
        self.failure(self.put(self.ann, "INBOX", 101), OverQuota)
        self.failure(self.accept(201, self.ann, bob), OverQuota)
        eve = self.account("eve@example.org")
        self.assertEqual(self.total().usage, Usage(900, 2, 18))
        self.result(self.put(eve, "INBOX", 100))
        self.assertEqual(self.quota_of(eve).domain_total, self.total())
        self.result(self.store.directory.remove_account("bob@example.org"))
        self.assertEqual(self.total().usage, Usage(400, 2, 12))
        self.assert_sound()
        self.set_domain()
        self.assertEqual(self.total().usage, Usage(400, 2, 12))
        self.result(self.put(self.ann, "INBOX", 5000))
        self.assert_sound()

    def test_mailboxes_and_messages_have_a_total_too(self) -> None:
        self.set_domain(Limits(messages=2, mailboxes=7))
        self.result(self.mail.create_mailbox("a", None))
        error = self.failure(self.mail.create_mailbox("b", None), OverQuota)
        self.assertIn("8 mailboxes in example.org, 7 are allowed", error.cause)
        self.result(self.put(self.ann, "a", 50, 60))
        self.failure(self.put(self.ann, "a", 50), OverQuota)
        self.result(self.mail.delete_mailbox("a"))
        self.assertEqual(self.total().usage, Usage(0, 0, 6))
        self.result(self.store.maintenance.restore_expunged(self.ann.account_id, 0.0, None))
        self.assertEqual(self.total().usage, Usage(110, 2, 7))

    def test_a_total_that_is_noted_wrongly_is_found_and_rebuilt(self) -> None:
        self.set_domain(Limits(storage=1000))
        self.result(self.store.database.run("spoil", lambda txn: txn.execute("UPDATE domain_usage SET storage = 5")))
        found = self.result(self.store.maintenance.verify(False))
        self.assertEqual(found, ["total of domain example.org: storage is noted as 5, it is 0"])
        self.assertEqual(self.result(self.store.maintenance.rebuild())["domain_totals_changed"], 1)
        self.assert_sound()

    # --- warnings

    @acceptance("S206")
    def test_a_warning_is_due_once_for_each_percentage_passed_and_again_only_after_it_fell_below(self) -> None:
        told: list[int] = []
        self.store.quotas.subscribe_warnings(lambda: told.append(1))
        self.set_quota(self.ann, storage=1000)
        self.result(self.put(self.ann, "INBOX", 799))
        self.assertEqual((self.due(), told), ([], []))
        self.result(self.accept(20, self.ann))
        self.assertEqual((self.due(), told), ([("ann@example.org", 80)], [1]))
        self.settle()
        self.result(self.accept(20, self.ann))
        self.assertEqual(self.due(), [])
        self.result(self.accept(150, self.ann))
        self.assertEqual(self.due(), [("ann@example.org", 95)])
        self.settle()
        # It falls to 82 %, and passes 95 % again; then below all, and passes 80 %.
        inbox = self.inbox_id()
        self.result(self.mail.remove_messages(inbox, ALL_UIDS))
        self.result(self.put(self.ann, "INBOX", 820))
        self.assertEqual(self.due(), [("ann@example.org", 80)])
        self.settle()
        self.result(self.put(self.ann, "INBOX", 150))
        self.assertEqual(self.due(), [("ann@example.org", 95)])
        self.result(self.mail.remove_messages(inbox, ALL_UIDS))
        # What was due and is true no more is not told.
        self.result(self.put(self.ann, "INBOX", 20))
        self.assertEqual(self.due(), [])

    def settle(self) -> None:
        (warning,) = self.result(self.store.quotas.due_warnings())
        self.assertTrue(self.result(self.store.quotas.settle_warning(warning, ())))
        self.assertFalse(self.result(self.store.quotas.settle_warning(warning, ())))

    def test_a_lower_limit_is_warned_of_at_the_next_message(self) -> None:
        self.set_quota(self.ann, storage=10_000)
        self.result(self.put(self.ann, "INBOX", 900))
        self.set_quota(self.ann, storage=1000)
        self.result(self.put(self.ann, "INBOX", 20))
        self.assertEqual(self.due(), [("ann@example.org", 80)])

    def test_a_domain_is_warned_of_by_its_total(self) -> None:
        bob = self.account("bob@example.org")
        self.set_domain(Limits(messages=5))
        self.result(self.put(self.ann, "INBOX", 50, 50))
        self.result(self.accept(50, self.ann, bob))
        self.assertEqual(self.due(), [("example.org", 80)])
        self.settle()
        self.result(self.accept(50, bob))
        self.assertEqual(self.due(), [("example.org", 95)])

    def test_a_warning_and_its_message_are_accepted_together_or_not_at_all(self) -> None:
        self.set_quota(self.ann, storage=100)
        self.result(self.put(self.ann, "INBOX", 90))
        (warning,) = self.result(self.store.quotas.due_warnings())
        delivery = Delivery(self.ann.account_id, b"", beyond_quota=True)

        def given() -> bool:
            acceptance = Acceptance(self.stage(message(50)), (delivery,))
            return self.result(self.store.quotas.settle_warning(warning, (acceptance,)))

        self.assertEqual([given(), given()], [True, False])
        self.assertEqual(self.usage(self.ann).messages, 2)
        self.assert_sound()

    # --- whatever happens

    def test_usage_is_what_is_there_in_random_lives(self) -> None:
        for seed in range(4):
            dice = random.Random(seed)
            domain = f"life{seed}.example"
            people = [self.account(f"user{number}@{domain}") for number in range(3)]
            self.set_domain(Limits(storage=9000, messages=60, mailboxes=24), domain, storage=4000, messages=30)
            for _ in range(60):
                self.act(dice, dice.choice(people))
            for person in people:
                self.assertEqual(self.usage(person), self.counted(person))
                self.assertLessEqual(self.usage(person).storage, 4400)
            sums = [self.counted(person) for person in people]
            self.assertEqual(
                self.total(domain).usage,
                Usage(*[sum(getattr(one, name) for one in sums) for name in ("storage", "messages", "mailboxes")]),
            )
            self.assertLessEqual(self.total(domain).usage.storage, 9900)
        self.assert_sound()

    def act(self, dice: random.Random, person: Account) -> None:
        """Something happens to an account; whatever does not fit is refused."""
        mail = self.store.account_mail(person.account_id)
        boxes = self.result(mail.mailboxes())
        source, target = dice.choice(boxes), dice.choice(boxes)
        action = dice.choice(
            [
                lambda: self.put(person, target.name, *[dice.randrange(50, 900) for _ in range(dice.randrange(1, 4))]),
                lambda: self.accept(dice.randrange(50, 900), person),
                lambda: mail.copy(source.mailbox_id, ALL_UIDS, target.name),
                lambda: mail.move(source.mailbox_id, ALL_UIDS, target.name),
                lambda: mail.remove_messages(source.mailbox_id, ALL_UIDS),
                lambda: mail.create_mailbox(f"new{dice.randrange(5)}/x", SpecialUse.ARCHIVE),
                lambda: mail.delete_mailbox(source.name) if source.name.startswith("new") else mail.mailboxes(),
                lambda: (
                    self.store.maintenance.restore_expunged(person.account_id, 0.0, "Archive")
                    if dice.random() < 0.1
                    else mail.mailboxes()
                ),
            ]
        )()
        action.addErrback(lambda reason: self.assertIsInstance(reason.value, Exception))
        self.result(action)

    def counted(self, person: Account) -> Usage:
        """What rows of messages come to."""

        def count_txn(txn: Any) -> Usage:
            storage, messages = txn.rows(
                "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT), COUNT(*) FROM messages WHERE account_id = ?",
                (person.account_id,),
            )[0]
            boxes = txn.value("SELECT COUNT(*) FROM mailboxes WHERE account_id = ?", (person.account_id,))
            return Usage(storage, messages, boxes)

        return self.result(self.store.database.read("count", count_txn))


class GeneralQuotaTests(QuotaCase, InMemory):
    quota = QuotaSettings(
        storage=1000, messages=5, mailboxes=7, folders={"\\Trash": FolderRule(counted=False)}, grace=0
    )

    def test_the_general_quota_goes_for_accounts_without_another(self) -> None:
        ann, bob = self.account(), self.account("bob@example.org")
        self.set_quota(bob, storage=0)
        self.failure(self.accept(1001, ann), OverQuota)
        self.result(self.accept(1001, bob))
        self.result(self.put(ann, "Trash", 1001))
        self.result(self.store.account_mail(ann.account_id).create_mailbox("one", None))
        self.failure(self.store.account_mail(ann.account_id).create_mailbox("two", None), OverQuota)
        self.assertEqual(self.quota_of(bob).account.limits, Limits(storage=0, messages=5, mailboxes=7))
        self.assertEqual(self.usage(ann), Usage(0, 0, 7))


class QuotaOnDiskTests(QuotaCase, OnDisk):
    """With threads: deliveries that are committed together, and by two processes at once."""

    def outcomes(self, deferreds: list[Deferred[Any]]) -> list[str]:
        found = []
        for deferred in deferreds:
            self.bell.wait(deferred)
            failed: list[Any] = []
            deferred.addErrback(failed.append)
            found.append(failed[0].type.__name__ if failed else "accepted")
        return sorted(found)

    def test_deliveries_that_together_are_too_much_are_not_all_accepted(self) -> None:
        ann, bob = self.account(), self.account("bob@example.org")
        self.set_quota(ann, storage=1000)
        other = self.open_store()
        staged = [
            (store, account, self.stage(message(400))) for store in (self.store, other) for account in (ann, ann, bob)
        ]
        deferreds = [
            store.queue.accept(Acceptance(content, (Delivery(account.account_id, b""),)))
            for store, account, content in staged
        ]
        self.assertEqual(self.outcomes(deferreds), ["OverQuota"] * 2 + ["accepted"] * 4)
        self.assertEqual(self.usage(ann).storage, 800)
        self.assertEqual(self.usage(bob).storage, 800)

    def test_a_total_is_not_passed_by_two_accounts_at_once(self) -> None:
        people = [self.account(f"user{number}@example.org") for number in range(6)]
        self.set_domain(Limits(storage=1000))
        other = self.open_store()
        contents = [self.stage(message(300)) for _ in people]
        deferreds = [
            store.queue.accept(Acceptance(content, (Delivery(account.account_id, b""),)))
            for account, content, store in zip(people, contents, [self.store, other] * 3, strict=True)
        ]
        self.assertEqual(self.outcomes(deferreds), ["OverQuota"] * 3 + ["accepted"] * 3)
        self.assertEqual(self.total().usage.storage, 900)
        self.assert_sound()
