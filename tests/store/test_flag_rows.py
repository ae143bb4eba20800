"""The flags of so many messages that they are read as columns, on every engine."""

from __future__ import annotations

from unittest import TestCase
from unittest.mock import patch

from pymailsuite.interfaces.flag_rows import FlagRow, FlagRows
from pymailsuite.store import flag_columns, messages
from pymailsuite.values import ALL_UIDS, FlagChange, Flags, SystemFlag, UidSet
from tests.store.support import InMemory, OnDisk, StoreTestCase

ROWS: list[FlagRow] = [(1, 0, "", 5), (2, 1, "$a b", 2**40), (5, 0, "", 6), (9, 1, "", 7)]


class FlagRowsTest(TestCase):
    def test_columns_are_the_rows(self) -> None:
        rows = FlagRows.of(ROWS)
        self.assertEqual(list(rows), ROWS)
        self.assertEqual((rows[1], rows[-1], rows[1:3], len(rows)), (ROWS[1], ROWS[-1], ROWS[1:3], 4))
        self.assertEqual(list(rows.combinations), [(0, ""), (1, "$a b"), (1, "")])
        self.assertEqual([list(FlagRows.of(some)) for some in ([], ROWS[1:2])], [[], ROWS[1:2]])

    def test_some_are_chosen(self) -> None:
        rows = FlagRows.of(ROWS)
        self.assertEqual(list(rows.only([False, True, True, False])), ROWS[1:3])
        self.assertEqual(list(rows.only([False] * 4)), [])


class ColumnsContract(StoreTestCase):
    """The same answers for a mailbox that is read as columns as for one that is read as rows."""

    def test_columns_are_read_as_rows_are(self) -> None:
        account = self.account()
        mail = self.store.account_mail(account.account_id)
        for name in ("Rows", "Columns"):
            self.result(mail.create_mailbox(name, None))
            self.append(account, name, *[b"Subject: %d\r\n\r\n" % number for number in range(12)])
        answers = []
        for name, many in (("Rows", 1000), ("Columns", 1)):
            with patch.object(flag_columns, "_PIECE", 3), patch.object(messages, "MANY", many):
                answers.append(self._answers(mail, name))
        self.assertEqual(*answers)
        self.assert_sound()

    def _answers(self, mail, name: str) -> list[object]:
        box = self.result(mail.mailbox(name))
        answers: list[object] = []

        def store(uids: UidSet, change: FlagChange, flags: Flags, since: int | None = None) -> int:
            done = self.result(mail.store_flags(box.mailbox_id, uids, change, flags, since))
            answers.append(([(*row[:3], row[3] == done.modseq) for row in done.changed], done.modified))
            return done.modseq

        words = Flags(SystemFlag.FLAGGED, frozenset({"a,b", "$c"}))
        store(UidSet([(2, 8)]), FlagChange.ADD, words)
        self.result(mail.remove_messages(box.mailbox_id, UidSet.of([4, 5, 12])))
        since = store(ALL_UIDS, FlagChange.ADD, Flags(SystemFlag.SEEN))
        store(UidSet([(6, 7)]), FlagChange.REMOVE, Flags(SystemFlag.SEEN))
        store(ALL_UIDS, FlagChange.REMOVE, Flags(SystemFlag.FLAGGED), since)
        store(UidSet([(9, 10)]), FlagChange.REPLACE, Flags(SystemFlag.DELETED))
        store(UidSet([(20, 30)]), FlagChange.ADD, words)
        box = self.result(mail.mailbox(name))
        answers.append((box.unseen, box.deleted, [row[:3] for row in self.result(mail.select(name, True)).rows]))
        return answers


class ColumnsInMemoryTests(ColumnsContract, InMemory):
    pass


class ColumnsOnDiskTests(ColumnsContract, OnDisk):
    pass


del ColumnsContract
