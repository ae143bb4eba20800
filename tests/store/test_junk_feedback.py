"""What users say of messages is told once, after the commit."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.interfaces import Acceptance, Delivery
from pymailsuite.interfaces.reputation import IJunkFeedback, JunkReport
from pymailsuite.values import FlagChange, Flags, UidSet
from tests.acceptance import acceptance
from tests.store.support import InMemory, OnDisk, StoreTestCase

MESSAGE = b"Subject: x\r\n\r\nx\r\n"
BOTH, ONE = UidSet.of([1, 2]), UidSet.of([1])


class JunkMarkContract(StoreTestCase):
    def listen(self) -> None:
        verifyObject(IJunkFeedback, self.store.junk_feedback)
        self.told: list[JunkReport] = []
        self.store.junk_feedback.subscribe(self.told.append)
        account = self.account()
        self.mail = self.store.account_mail(account.account_id)
        self.append(account, "INBOX", MESSAGE, MESSAGE)

    def id_of(self, name: str) -> int:
        return self.result(self.mail.select(name, True)).mailbox.mailbox_id

    def move(self, source: str, uids: UidSet, target: str) -> None:
        self.result(self.mail.move(self.id_of(source), uids, target))

    def mark(self, mailbox: str, uids: UidSet, keyword: str, change: FlagChange = FlagChange.ADD) -> None:
        flags = Flags(keywords=frozenset([keyword]))
        self.result(self.mail.store_flags(self.id_of(mailbox), uids, change, flags, None))

    def said(self) -> list[bool]:
        said = [mark.junk for mark in self.told]
        self.told.clear()
        return said

    @acceptance("S162")
    def test_moving_to_junk_and_back_says_something_and_other_moves_do_not(self) -> None:
        self.listen()
        self.move("INBOX", BOTH, "Archive")
        self.assertEqual(self.said(), [])
        self.move("Archive", BOTH, "Junk")
        self.assertEqual(self.said(), [True, True])
        self.move("Junk", ONE, "INBOX")
        self.assertEqual(self.said(), [False])
        self.result(self.mail.copy(self.id_of("INBOX"), UidSet.of([3]), "Junk"))
        self.assertEqual(self.said(), [True])

    @acceptance("S162")
    def test_keywords_say_the_same_and_what_is_said_twice_counts_once(self) -> None:
        self.listen()
        self.mark("INBOX", BOTH, "$Junk")
        self.assertEqual(self.said(), [True, True])
        self.mark("INBOX", BOTH, "$JUNK")
        self.move("INBOX", BOTH, "Junk")
        self.assertEqual(self.said(), [])
        self.mark("Junk", ONE, "$NotJunk", FlagChange.REPLACE)
        self.assertEqual(self.said(), [False])
        self.move("Junk", ONE, "INBOX")
        self.mark("INBOX", UidSet.of([3]), "$NotJunk")
        self.mark("Junk", UidSet.of([2]), "$Junk", FlagChange.REMOVE)
        self.mark("Junk", UidSet.of([2]), "important")
        self.assertEqual(self.said(), [])

    @acceptance("S162")
    def test_it_tells_the_fields_we_put_in_front_of_the_copy_and_of_all_copies(self) -> None:
        self.listen()
        account_id, found = self.mail.account_id, b"Authentication-Results: mx.example.org; none\r\n"
        deliveries = (Delivery(account_id, b"Delivered-To: ann\r\n"),)
        self.result(self.store.queue.accept(Acceptance(self.stage(MESSAGE), deliveries, fields=found)))
        self.mark("INBOX", UidSet.of([3]), "$Junk")
        self.move("INBOX", BOTH, "Junk")
        self.assertEqual([mark.prefix for mark in self.told], [b"Delivered-To: ann\r\n" + found, b"", b""])

    def test_a_listener_that_fails_harms_nobody(self) -> None:
        self.listen()
        self.store.junk_feedback.subscribe(lambda mark: 1 / 0)  # type: ignore[arg-type,return-value]
        self.move("INBOX", ONE, "Junk")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.said(), [True])


class JunkMarksInMemoryTests(JunkMarkContract, InMemory):
    pass


class JunkMarksOnDiskTests(JunkMarkContract, OnDisk):
    pass


del JunkMarkContract
