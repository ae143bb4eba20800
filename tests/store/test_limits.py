"""What a user may make has an end, and what went beyond it is taken back."""

from __future__ import annotations

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import LimitReached
from pymailsuite.interfaces import IAccountMail, NewMessage
from pymailsuite.values import ALL_UIDS, FlagChange, Flags
from tests.store.support import InMemory, OnDisk, StoreTestCase

_SMALL = {
    "account_mailboxes": 12,
    "account_subscriptions": 10,
    "mailbox_name": 50,
    "mailbox_depth": 3,
    "mailbox_keywords": 10,
    "message_keywords": 4,
}
MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"


class LimitsContract(StoreTestCase):
    mail: IAccountMail

    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.mail = self.store.account_mail(self.ann.account_id)

    def names(self) -> list[str]:
        return [mailbox.name for mailbox in self.result(self.mail.mailboxes())]

    def test_mailboxes(self) -> None:
        before = len(self.names())
        for number in range(before, 12):
            self.result(self.mail.create_mailbox(f"n{number}", None))
        self.failure(self.mail.create_mailbox("more", None), LimitReached)
        self.failure(self.mail.rename_mailbox("n11", "above/n11"), LimitReached)
        self.assertEqual(len(self.names()), 12)
        self.assertIn("n11", self.names())
        self.result(self.mail.delete_mailbox("n11"))
        self.result(self.mail.create_mailbox("more", None))

    def test_levels_count_as_mailboxes(self) -> None:
        for number in range(len(self.names()), 11):
            self.result(self.mail.create_mailbox(f"n{number}", None))
        self.failure(self.mail.create_mailbox("a/b", None), LimitReached)
        self.assertNotIn("a", self.names())

    def test_names(self) -> None:
        self.result(self.mail.create_mailbox("a/b/c", None))
        self.failure(self.mail.create_mailbox("a/b/c/d", None), LimitReached)
        self.failure(self.mail.create_mailbox("é" * 26, None), LimitReached)
        self.result(self.mail.create_mailbox("x" * 50, None))

    def test_names_of_what_is_renamed_with_a_mailbox(self) -> None:
        self.result(self.mail.create_mailbox("a/b/c", None))
        self.result(self.mail.create_mailbox("top", None))
        self.failure(self.mail.rename_mailbox("a", "top/a"), LimitReached)
        self.failure(self.mail.rename_mailbox("a", "x" * 47), LimitReached)
        self.assertIn("a/b/c", self.names())
        self.result(self.mail.rename_mailbox("a", "z"))
        self.assertIn("z/b/c", self.names())

    def test_subscriptions(self) -> None:
        for number in range(10 - len(self.result(self.mail.subscriptions()))):
            self.result(self.mail.subscribe(f"n{number}"))
        self.failure(self.mail.subscribe("more"), LimitReached)
        there = self.result(self.mail.subscriptions())
        self.assertEqual(len(there), 10)
        self.result(self.mail.subscribe(there[0]))

    def store_keywords(self, change: FlagChange, *keywords: str) -> object:
        inbox = self.result(self.mail.mailbox("INBOX")).mailbox_id
        return self.mail.store_flags(inbox, ALL_UIDS, change, Flags(keywords=frozenset(keywords)), None)

    def test_keywords_of_a_message(self) -> None:
        self.append(self.ann, "INBOX", MESSAGE)
        self.result(self.store_keywords(FlagChange.ADD, "a", "b", "c"))
        self.failure(self.store_keywords(FlagChange.ADD, "d", "e"), LimitReached)
        self.result(self.store_keywords(FlagChange.ADD, "d"))
        self.failure(self.store_keywords(FlagChange.REPLACE, *"abcde"), LimitReached)
        self.result(self.store_keywords(FlagChange.REMOVE, *"abcdefgh"))
        content = self.stage(MESSAGE)
        flags = Flags(keywords=frozenset("abcde"))
        self.failure(self.mail.append("INBOX", [NewMessage(content, flags)]), LimitReached)

    def test_keywords_of_a_mailbox(self) -> None:
        self.append(self.ann, "INBOX", MESSAGE, flags=Flags(keywords=frozenset(("k1", "k2", "k3"))))
        self.append(self.ann, "INBOX", MESSAGE, flags=Flags(keywords=frozenset(("k4", "k5", "k6"))))
        self.append(self.ann, "INBOX", MESSAGE, flags=Flags(keywords=frozenset(("K1", "k7", "k8"))))
        full = Flags(keywords=frozenset(("k9", "k10", "k11")))
        self.failure(self.mail.append("INBOX", [NewMessage(self.stage(MESSAGE), full)]), LimitReached)
        self.append(self.ann, "INBOX", MESSAGE, flags=Flags(keywords=frozenset(("k9", "k10"))))
        self.failure(self.store_keywords(FlagChange.REPLACE, "k11", "k12", "k13", "k14", "k15"), LimitReached)
        self.result(self.store_keywords(FlagChange.REPLACE, "k11", "k12"))
        self.assertEqual(self.result(self.mail.mailbox("INBOX")).messages, 4)

    def test_keywords_of_messages_that_are_copied_and_moved(self) -> None:
        self.result(self.mail.create_mailbox("other", None))
        self.append(self.ann, "other", MESSAGE, flags=Flags(keywords=frozenset(("k1", "k2", "k3", "k4"))))
        self.append(self.ann, "other", MESSAGE, flags=Flags(keywords=frozenset(("k5", "k6", "k7", "k8"))))
        self.append(self.ann, "INBOX", MESSAGE, flags=Flags(keywords=frozenset(("k9", "k10", "k11"))))
        inbox = self.result(self.mail.mailbox("INBOX")).mailbox_id
        for transfer in (self.mail.copy, self.mail.move):
            self.failure(transfer(inbox, ALL_UIDS, "other"), LimitReached)
        self.assertEqual(self.result(self.mail.mailbox("other")).messages, 2)
        self.assertEqual(self.result(self.mail.mailbox("INBOX")).messages, 1)
        self.result(self.store_keywords(FlagChange.REPLACE, "k9"))
        self.result(self.mail.copy(inbox, ALL_UIDS, "other"))
        self.assert_sound()


class LimitsInMemoryTests(LimitsContract, InMemory):
    settings = StoreSection(**_SMALL)


class LimitsOnDiskTests(LimitsContract, OnDisk):
    settings = StoreSection(**_SMALL)


del LimitsContract
