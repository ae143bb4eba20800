"""SORT and THREAD of many messages, on stores of each kind. Source: RFC 5256."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.bus.account_notices import ChangeNotices
from pymailsuite.imap import thread_memory
from pymailsuite.imap.extensions.sort import Criteria, sort_columns, sort_rows
from pymailsuite.imap.extensions.thread import render_threads
from pymailsuite.interfaces import Column, IAccountMail, drained
from pymailsuite.message.scan import scan
from pymailsuite.message.structure import MessageKeys
from pymailsuite.message.thread_trees import ThreadTrees
from pymailsuite.store import message_keys
from pymailsuite.store.plain import PlainAccountMail, PlainMailbox, PlainMessage
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, AccountId, ContentId, MailboxId, Uid, UidSet
from tests.imap.conversation import Client, Server
from tests.support.stores import append, fired, make_account, make_store

DAYS = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9)
COUNT = len(DAYS)
NOW = 1_770_000_000.0
EACH: tuple[str, ...] = ("ARRIVAL", "CC", "DATE", "DISPLAYFROM", "DISPLAYTO", "FROM", "SIZE", "SUBJECT", "TO")


def message(number: int) -> bytes:
    """One of a few threads, on one of a few days; some have a header that is longer than others."""
    day = DAYS[number - 1]
    return (
        f"Message-ID: <{number}@x>\r\nReferences: {f'<{number - 3}@x>' if number > 3 else ''}\r\n"
        f"Date: {day} Nov 2026 10:00:00 +0000\r\nFrom: N{day} <{'abc'[number % 3]}@x>\r\nTo: {'xy'[number % 2]}@x\r\n"
        f"X-Long: {'x' * 70 * day}\r\nSubject: {'Re: ' if number > 3 else ''}Subject {number % 3}\r\n\r\n{number}\r\n"
    ).encode()


MESSAGES = [message(number) for number in range(1, COUNT + 1)]
BY_DATE = sorted(range(1, COUNT + 1), key=lambda number: DAYS[number - 1])


class ManyTests(SynchronousTestCase):
    def client(self, **settings: Any) -> Client:
        self.server = Server(**settings)
        self.addCleanup(self.server.store.close)
        append(self.server.store, self.server.account, "INBOX", *MESSAGES)
        client = self.server.connect().login()
        client.command("SELECT INBOX")
        return client

    def assert_told(self, client: Client) -> None:
        expected = f"* SORT {' '.join(map(str, BY_DATE))}"
        for command in ("SORT", "UID SORT"):
            self.assertEqual(client.command(f"{command} (DATE) UTF-8 ALL"), [expected, "x OK SORT completed"])
        # Threads of every third message, by the dates of their first.
        expected = "* THREAD (2 5 8 11 14)(1 4 7 10 13)(3 6 9 12 15)"
        for command in ("THREAD", "UID THREAD"):
            lines = client.command(f"{command} REFERENCES UTF-8 ALL")
            self.assertEqual(lines, [expected, "x OK THREAD completed"])
        expected = "* THREAD (2 (5)(11)(8)(14))(4 (7)(1)(10)(13))(3 (9)(12)(6)(15))"
        self.assertEqual(client.command("THREAD ORDEREDSUBJECT UTF-8 ALL")[0], expected)

    def test_read_at_once(self) -> None:
        self.assert_told(self.client())

    def test_read_in_pieces(self) -> None:
        self.assert_told(self.client(search_piece=2))
        self.assert_told(self.client(search_octets=65536))

    def test_of_messages_that_came_before_keys_were_noted(self) -> None:
        client = self.client()

        def forget_txn(txn: Transaction) -> None:
            txn.execute(f"UPDATE contents SET {' = NULL, '.join(MessageKeys._fields)} = NULL")
            message_keys.fill_anew_txn(txn)

        fired(self.server.store.database.run("forget", forget_txn))
        self.assert_told(client)

    def test_what_is_expunged_by_another_keeps_the_numbers_of_the_rest(self) -> None:
        client, other = self.client(), self.server.connect().login()
        other.command("SELECT INBOX")
        other.command("STORE 1:2 +FLAGS (\\Deleted)")
        other.command("EXPUNGE")
        left = [number for number in BY_DATE if number > 2]
        lines = client.command("SORT (DATE) UTF-8 ALL")
        self.assertIn(f"* SORT {' '.join(map(str, left))}", lines)
        self.assertFalse([line for line in lines if "EXPUNGE" in line])
        client.command("NOOP")
        self.assertEqual(
            client.command("SORT (DATE) UTF-8 ALL")[0], f"* SORT {' '.join(str(number - 2) for number in left)}"
        )
        self.assertEqual(client.command("UID SORT (DATE) UTF-8 ALL")[0], f"* SORT {' '.join(map(str, left))}")

    def test_threads_are_made_of_what_was_read_before_and_of_new_messages(self) -> None:
        self.patch(thread_memory, "_WORTH_KEEPING", 1)
        client, other = self.client(), self.server.connect().login()
        other.command("SELECT INBOX")
        self.assert_told(client)
        read: list[UidSet] = []
        mail = other.protocol._session.avatar.mail
        read_in_steps = mail.read_in_steps

        def counted(mailbox_id: MailboxId, uids: UidSet, *arguments: Any) -> Any:
            read.append(uids)
            return read_in_steps(mailbox_id, uids, *arguments)

        mail.read_in_steps = counted
        self.assertEqual(
            other.command("THREAD REFERENCES UTF-8 ALL")[0], "* THREAD (2 5 8 11 14)(1 4 7 10 13)(3 6 9 12 15)"
        )
        self.assertEqual(read, [])
        client.command("STORE 1:12 +FLAGS.SILENT (\\Deleted)")
        client.command("EXPUNGE")
        append(self.server.store, self.server.account, "INBOX", message(5))
        other.command("NOOP")
        told = other.command("UID THREAD REFS UTF-8 ALL")[0]
        self.assertEqual(read, [UidSet([(16, 16)])])
        self.server.factory.shared.thread_memory = thread_memory.ThreadMemory(self.server.clock, 0)
        self.assertEqual(told, other.command("UID THREAD REFS UTF-8 ALL")[0])
        self.assertEqual(len(read), 2)

    def test_errors_leave_the_session_as_it_is(self) -> None:
        client = self.client()
        self.assertEqual(client.command("SORT (DATE COLOUR) UTF-8 ALL"), ["x BAD Unknown sort criterion"])
        self.assertEqual(client.command("SORT () UTF-8 ALL"), ["x BAD Expected a sort criterion"])
        self.assertEqual(client.command("THREAD SUBJECT UTF-8 ALL"), ["x BAD Unknown threading algorithm"])
        self.assertRegex(client.command("THREAD REFERENCES X-NONE ALL")[0], r"x NO \[BADCHARSET ")
        self.assertRegex(client.command(f"SORT ({' '.join(['DATE'] * 51)}) UTF-8 ALL")[0], "x BAD Too many")
        self.assertEqual(client.command(f"SORT ({' '.join(['DATE'] * 50)}) UTF-8 1")[0], "* SORT 1")


class PlainMailTests(SynchronousTestCase):
    """Mail in plain lists is sorted as mail in the database is."""

    def sorted(self, mail: IAccountMail, criteria: Criteria) -> list[int]:
        columns: Sequence[Column] = sort_columns(criteria)
        rows = self.successResultOf(mail.read_messages(MailboxId(1), ALL_UIDS, columns, list))
        return [row[0] for row in drained(sort_rows(rows, criteria))]

    def test_by_each_criterion(self) -> None:
        store = make_store()
        self.addCleanup(store.close)
        ann = make_account(store)
        append(store, ann, "INBOX", *MESSAGES)
        messages = [
            PlainMessage(Uid(uid), octets, scan(octets), ContentId(uid), NOW) for uid, octets in enumerate(MESSAGES, 1)
        ]
        inbox = PlainMailbox(MailboxId(1), "inbox", 7, messages)
        plain = PlainAccountMail(AccountId(5), [inbox], ChangeNotices(), Clock(), execute)
        stored = store.account_mail(ann.account_id)
        orders = set()
        for name in EACH:
            for is_reversed in (False, True):
                criteria = ((name, is_reversed), ("SIZE", not is_reversed))
                order = self.sorted(plain, criteria)
                self.assertEqual(order, self.sorted(stored, criteria), criteria)
                orders.add(tuple(order))
        self.assertGreaterEqual(len(orders), 8)


class RenderTests(SynchronousTestCase):
    """The examples of RFC 5256 §4, with places that are one less than their numbers."""

    def told(self, roots: list[int], children: dict[int, list[int]], numbers: Sequence[int]) -> bytes:
        return b"".join(drained(render_threads(ThreadTrees(roots, children), numbers)))

    def test_no_thread(self) -> None:
        self.assertEqual(self.told([], {}, []), b"* THREAD\r\n")

    def test_a_thread_that_splits(self) -> None:
        numbers = [2, 3, 6, 4, 23, 44, 7, 96]
        trees = {1: [2], 2: [3, 5], 3: [4], 5: [6], 6: [7]}
        self.assertEqual(self.told([0, 1], trees, numbers), b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n")

    def test_siblings_whose_parent_is_not_there(self) -> None:
        self.assertEqual(self.told([2], {2: [0, 1]}, [3, 5]), b"* THREAD ((3)(5))\r\n")

    def test_a_thread_of_any_length_is_told_in_pieces(self) -> None:
        count = 10_000
        pieces = drained(
            render_threads(ThreadTrees([0], {place: [place + 1] for place in range(count - 1)}), range(count))
        )
        self.assertGreater(len(pieces), 4)
        self.assertEqual(b"".join(pieces), b"* THREAD (" + " ".join(map(str, range(count))).encode() + b")\r\n")
