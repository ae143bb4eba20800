"""Mail in plain lists behaves as mail in the database does, as far as it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.bus.account_notices import ChangeNotices
from pymailsuite.errors import LimitReached, MaildropInUse, NoSuchMailbox, Refusal
from pymailsuite.interfaces import Column, IAccountMail, MailboxChanges, Steps
from pymailsuite.message.scan import scan
from pymailsuite.store.plain import KEYWORDS_MAX, PlainAccountMail, PlainMailbox, PlainMessage
from pymailsuite.values import (
    ALL_UIDS,
    MAX_CHUNK,
    AccountId,
    ContentId,
    FlagChange,
    Flags,
    MailboxId,
    ModSeq,
    SystemFlag,
    Uid,
    UidSet,
)
from tests.support.stores import append, make_account, make_store

MESSAGES = [b"Subject: %d\r\n\r\n%s\r\n" % (number, b"x" * 100 * number) for number in range(1, 6)]
NOW = 1_770_000_000.0
FEW = UidSet.of([1, 3, 9])
SEEN = Flags(SystemFlag.SEEN)


class PlainMailCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.notices = ChangeNotices()
        messages = [
            PlainMessage(Uid(uid), octets, scan(octets), ContentId(uid), NOW) for uid, octets in enumerate(MESSAGES, 1)
        ]
        self.inbox = PlainMailbox(MailboxId(1), "inbox", 7, messages)
        boxes = [self.inbox, PlainMailbox(MailboxId(2), "Archive/2025", 7, [])]
        self.mail = PlainAccountMail(AccountId(5), boxes, self.notices, self.clock, execute)

    def result(self, deferred: Deferred[Any]) -> Any:
        return self.successResultOf(deferred)


class LikenessTests(PlainMailCase):
    """The same calls on both kinds of store answer the same."""

    def setUp(self) -> None:
        super().setUp()
        store = make_store(self.clock)
        ann = make_account(store)
        append(store, ann, "INBOX", *MESSAGES)
        self.stored = store.account_mail(ann.account_id)
        self.addCleanup(store.close)

    def both(self, call: Callable[[IAccountMail], Deferred[Any]]) -> Any:
        plain, stored = self.result(call(self.mail)), self.result(call(self.stored))
        self.assertEqual(plain, stored)
        return plain

    def test_every_column_of_a_message(self) -> None:
        columns = [one for one in Column if one not in {Column.CONTENT_ID, Column.MODSEQ, Column.THREAD_ID}]
        rows = self.both(lambda mail: mail.read_messages(MailboxId(1), UidSet.of([2, 4, 8]), columns, list))
        self.assertEqual([row[0] for row in rows], [2, 4])

    def test_pieces_end_where_there_are_enough_octets(self) -> None:
        columns = [Column.UID, Column.OCTETS]
        for most in (1, 300, 10_000):
            self.both(lambda mail, most=most: mail.read_piece(MailboxId(1), ALL_UIDS, columns, most, list))

    def test_octets_of_a_part_of_a_message(self) -> None:
        for start, stop in ((0, 10), (5, 5000), (5000, 6000), (0, 2 * MAX_CHUNK)):
            self.both(lambda mail, a=start, b=stop: mail.read_octets(MailboxId(1), Uid(3), a, b))

    def test_flags_and_what_changed_since(self) -> None:
        changes = [
            (FEW, FlagChange.ADD, Flags(SystemFlag.SEEN, frozenset({"Work", "$a"}))),
            (ALL_UIDS, FlagChange.ADD, Flags(SystemFlag.DELETED, frozenset({"work"}))),
            (FEW, FlagChange.REMOVE, Flags(SystemFlag.SEEN, frozenset({"WORK"}))),
            (UidSet.of([2]), FlagChange.REPLACE, Flags(SystemFlag.FLAGGED)),
            (UidSet.of([2]), FlagChange.REPLACE, Flags(SystemFlag.FLAGGED)),
        ]
        for uids, change, flags in changes:

            def flagged(mail: IAccountMail, uids: UidSet = uids, change: Any = change, flags: Any = flags) -> Any:
                done = mail.store_flags(MailboxId(1), uids, change, flags, None)
                return done.addCallback(lambda result: ([row[:3] for row in result.changed], result.modified))

            self.both(flagged)
        self.both(lambda mail: mail.expunge(MailboxId(1), UidSet.of([1, 2, 3])))
        self.both(lambda mail: mail.remove_messages(MailboxId(1), UidSet.of([2, 99])))

        def since_the_beginning(mail: IAccountMail) -> Deferred[Any]:
            changes = mail.mailbox_changes(MailboxId(1), ModSeq(1))
            return changes.addCallback(lambda found: ({row[0] for row in found.changed}, found.exists, found.name))

        self.both(since_the_beginning)

        def without_modseq(mail: IAccountMail) -> Deferred[Any]:
            return mail.mailbox("inbox").addCallback(
                lambda found: evolve(found, highest_modseq=ModSeq(0), uid_validity=0, account_id=AccountId(0))
            )

        self.both(without_modseq)


class PlainMailTests(PlainMailCase):
    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(IAccountMail, self.mail)

    def test_each_change_is_told_once_to_who_asks_what_happened_since(self) -> None:
        told: list[ModSeq] = []
        self.notices.subscribe(AccountId(5), told.append)
        since = self.mail.modseq
        done = self.result(self.mail.store_flags(MailboxId(1), FEW, FlagChange.ADD, SEEN, None))
        self.assertEqual((told, [row[0] for row in done.changed]), ([], [1, 3]))
        self.clock.advance(0)
        self.assertEqual(told, [done.modseq])
        changes: MailboxChanges = self.result(self.mail.mailbox_changes(MailboxId(1), since))
        self.assertEqual((list(changes.changed), changes.first_new), (list(done.changed), Uid(6)))
        self.assertEqual(self.result(self.mail.mailbox_changes(MailboxId(1), changes.modseq)).changed, [])
        self.assertEqual([one.name for one in self.result(self.mail.account_changes(since)).messages_in], ["INBOX"])
        gone = self.result(self.mail.remove_messages(MailboxId(1), UidSet.of([3])))
        again = self.result(self.mail.mailbox_changes(MailboxId(1), changes.modseq))
        self.assertEqual((gone, again.expunged, again.changed), (UidSet.of([3]), UidSet.of([3]), []))
        self.assertFalse(self.result(self.mail.mailbox_changes(MailboxId(9), since)).exists)

    def test_messages_that_refer_to_each_other_are_of_one_thread(self) -> None:
        texts = [
            b"Message-ID: <a>\r\nSubject: x\r\n\r\n",
            b"Message-ID: <c>\r\nSubject: Re: x\r\nIn-Reply-To: <b>\r\n\r\n",
            b"Message-ID: <d>\r\nSubject: y\r\nIn-Reply-To: <a>\r\n\r\n",
            b"Message-ID: <b>\r\nSubject: x\r\nReferences: <a>\r\n\r\n",
            b"Message-ID: <e>\r\nSubject: x\r\nReferences: <z> <c>\r\n\r\n",
        ]
        messages = [PlainMessage(Uid(n), text, scan(text), ContentId(n + 10), NOW) for n, text in enumerate(texts, 1)]
        boxes = [PlainMailbox(MailboxId(1), "INBOX", 7, messages[2:]), PlainMailbox(MailboxId(2), "A", 7, messages[:2])]
        PlainAccountMail(AccountId(5), boxes, self.notices, self.clock, execute)
        self.assertEqual([message.thread_id for message in messages], [11, 11, 13, 11, 11])

    def test_what_changes_nothing_is_told_to_nobody(self) -> None:
        told: list[ModSeq] = []
        self.notices.subscribe(AccountId(5), told.append)
        before = self.result(self.mail.mailbox("INBOX"))
        self.result(self.mail.store_flags(MailboxId(1), FEW, FlagChange.REMOVE, SEEN, None))
        self.result(self.mail.expunge(MailboxId(1), ALL_UIDS))
        self.clock.advance(0)
        self.assertEqual((told, self.result(self.mail.mailbox("INBOX"))), ([], before))

    def test_who_was_not_told_of_a_change_changes_nothing(self) -> None:
        first = self.result(self.mail.store_flags(MailboxId(1), UidSet.of([1]), FlagChange.ADD, SEEN, None))
        second = self.result(self.mail.store_flags(MailboxId(1), FEW, FlagChange.REPLACE, Flags(), first.before))
        self.assertEqual((second.modified, [row[0] for row in second.changed]), (UidSet.of([1]), [3]))
        self.assertEqual(self.inbox.messages[1].system_flags, SystemFlag.SEEN)

    def test_keywords_have_a_limit(self) -> None:
        many = Flags(keywords=frozenset(f"k{number}" for number in range(KEYWORDS_MAX + 1)))
        failed = self.mail.store_flags(MailboxId(1), FEW, FlagChange.ADD, many, None)
        self.failureResultOf(failed, LimitReached)
        self.assertEqual(self.inbox.messages[1].keywords, "")

    def test_recent_is_given_once(self) -> None:
        self.assertEqual(self.result(self.mail.select("inbox", True)).recent, UidSet())
        selected = self.result(self.mail.select("inbox", False))
        self.assertEqual((len(selected.rows), selected.recent), (5, UidSet(((1, 5),))))
        self.assertEqual(self.result(self.mail.claim_recent(MailboxId(1))), UidSet())

    def test_mailboxes_stay_as_they_are_and_nothing_is_added(self) -> None:
        names = [one.name for one in self.result(self.mail.mailboxes())]
        self.assertEqual(names, ["Archive/2025", "INBOX"])
        self.assertEqual(self.result(self.mail.subscriptions()), names)
        self.result(self.mail.subscribe("Inbox"))
        self.result(self.mail.unsubscribe("Never there"))
        for refused in (
            self.mail.create_mailbox("New", None),
            self.mail.delete_mailbox("Archive/2025"),
            self.mail.rename_mailbox("INBOX", "Old"),
            self.mail.subscribe("New"),
            self.mail.unsubscribe("INBOX"),
            self.mail.copy(MailboxId(1), FEW, "Archive/2025"),
            self.mail.move(MailboxId(1), FEW, "Archive/2025"),
            self.mail.append("INBOX", []),
            self.mail.replace(MailboxId(1), Uid(1), "INBOX", None),
        ):
            self.failureResultOf(refused, Refusal)
        self.failureResultOf(self.mail.select("New", False), NoSuchMailbox)

    def test_work_in_steps_ends_when_nobody_waits_for_it(self) -> None:
        steps: list[int] = []

        def work() -> Steps[int]:
            for number in range(3):
                steps.append(number)
                if number == 1 and called_off:
                    called_off[0].cancel()
                yield
            return len(steps)

        called_off: list[Deferred[int]] = []
        self.assertEqual(self.result(self.mail.in_steps("count", work())), 3)
        begun: list[Callable[[], None]] = []

        def later(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            answer: Deferred[Any] = Deferred()
            begun.append(lambda: execute(function, *arguments).chainDeferred(answer))
            return answer

        mail = PlainAccountMail(AccountId(5), [], self.notices, self.clock, later)
        steps.clear()
        called_off.append(mail.in_steps("count", work()))
        begun[0]()
        self.failureResultOf(called_off[0], CancelledError)
        self.assertEqual(steps, [0, 1])

    def test_a_maildrop_is_one_session_s_at_a_time(self) -> None:
        self.result(self.mail.lock_maildrop("a", 60))
        self.result(self.mail.lock_maildrop("a", 60))
        self.failureResultOf(self.mail.lock_maildrop("b", 60), MaildropInUse)
        self.result(self.mail.unlock_maildrop("b"))
        self.failureResultOf(self.mail.lock_maildrop("b", 60), MaildropInUse)
        self.clock.advance(60)
        self.result(self.mail.lock_maildrop("b", 60))
        self.result(self.mail.unlock_maildrop("b"))
        self.result(self.mail.lock_maildrop("a", 60))
