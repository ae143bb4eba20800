"""After the first octet of a response comes the rest of it, or the end of the connection; and one message that cannot
be told of takes nothing from the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces import Column, NewMessage
from tests.imap.conversation import Client, Server, message
from tests.imap.test_protocol import BIG, logged_in, spoil
from tests.support.stores import append, fired, stage

LONG = b"Subject: long\r\n\r\n" + b"y" * BIG
UNKNOWN = b"Content-Type: application/x\r\nContent-Transfer-Encoding: x-foo\r\n\r\n"


class InTheMiddle(SynchronousTestCase):
    """Something fails while a message is being sent in pieces."""

    def setUp(self) -> None:
        self.server = Server()
        append(self.server.store, self.server.account, "INBOX", LONG)
        self.client = logged_in(self.server)

    def _fetch(self, item: bytes, *answers: Callable[[], Any]) -> bytes:
        """What is sent when reads of octets end so, one after the other."""
        left = iter(answers)
        spoil(self.client, read_octets=lambda: next(left)())
        got = self.client.send(b"a FETCH 1 (%b)\r\nb NOOP\r\n" % item)
        self.assertTrue(self.client.transport.disconnecting)
        return got

    def _half(self, got: bytes, size: int) -> None:
        """Not a line that is not of the message."""
        head, _, rest = got.partition(b"\r\n")
        self.assertIn(b"* 1 FETCH (", head)
        self.assertEqual(rest.strip(b"y").strip(), b"")
        self.assertLess(len(rest), size)

    def test_the_store_goes_away(self) -> None:
        got = self._fetch(b"BODY.PEEK[TEXT]", lambda: succeed(b"y" * 262144), lambda: fail(StoreUnavailable()))
        self._half(got, BIG)
        self.assertIn(b"y", got.partition(b"\r\n")[2])

    def test_a_defect(self) -> None:
        for error in (ZeroDivisionError(), CancelledError()):
            with self.subTest(error=error):
                self.setUp()
                self._half(self._fetch(b"BODY.PEEK[TEXT]", lambda error=error: fail(error)), BIG)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, CancelledError)), 2)

    def test_the_server_stops_meanwhile(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        spoil(self.client, read_octets=lambda: waiting)
        self.client.send(b"a FETCH 1 BODY.PEEK[TEXT]\r\n")
        session: Any = self.client.protocol._session
        self.client.protocol.shut_down()
        session.end("Another reason")
        self.assertEqual(self.client.output(), b"")
        self.assertTrue(self.client.transport.disconnecting)


class BeforeTheFirst(SynchronousTestCase):
    """What a message is refused with is known before anything of its response is said."""

    def test_a_long_part_in_an_encoding_that_nobody_knows(self) -> None:
        server = Server()
        append(server.store, server.account, "INBOX", UNKNOWN + b"y" * BIG)
        client = logged_in(server)
        for item in ("BINARY.PEEK[1]", "BINARY.SIZE[1]", "BODY.PEEK[HEADER] BINARY.PEEK[1]<5.5>"):
            self.assertEqual(
                client.command(f"FETCH 1 ({item})"), ["x NO [UNKNOWN-CTE] Transfer encoding not known"], item
            )

    def test_the_others_have_theirs(self) -> None:
        for long in (b"", b"y" * BIG):
            server = Server()
            append(server.store, server.account, "INBOX", message(1), UNKNOWN + b"x" + long, message(3))
            lines = logged_in(server).command("FETCH 1:* (UID BINARY.SIZE[1])")
            self.assertEqual(
                [line[:24] for line in lines[:-1]], ["* 1 FETCH (UID 1 BINARY.", "* 3 FETCH (UID 3 BINARY."]
            )
            self.assertEqual(lines[-1], "x NO [UNKNOWN-CTE] Transfer encoding not known")


class OneOfMany(SynchronousTestCase):
    """One bad row."""

    def _client(self, *dates: float) -> Client:
        server = Server()
        new = [NewMessage(stage(server.store, message(n)), internal_date=date) for n, date in enumerate(dates)]
        fired(server.mail.append("INBOX", new))
        return logged_in(server)

    def test_dates_that_cannot_be_said(self) -> None:
        client = self._client(0.0, 1e15, -1e15, float("inf"), float("-inf"), 253402300800.0, -62135596801.0, 1e300)
        lines = client.command("FETCH 1:* (UID INTERNALDATE)")
        self.assertEqual(lines[-1], "x OK FETCH completed")
        self.assertEqual(len(lines), 9)
        self.assertEqual(lines[0], '* 1 FETCH (UID 1 INTERNALDATE " 1-Jan-1970 00:00:00 +0000")')
        for line in lines[1:-1]:
            self.assertRegex(line, r'INTERNALDATE "(31-Dec-9999|[ 0]1-Jan-0001) \d\d:\d\d:\d\d \+0000"\)$')
        self.assertEqual(client.command("FETCH 1:* ALL")[-1], "x OK FETCH completed")
        self.assertEqual(client.command("SEARCH BEFORE 1-Jan-1900")[0], "* SEARCH 3 5 7")
        self.assertEqual(client.command("SEARCH OLDER 100 YOUNGER 3000000000")[0], "* SEARCH 1")

    def test_dates_of_append(self) -> None:
        server = Server()
        client = logged_in(server)
        for date, said in (
            ("31-Dec-9999 23:59:59 -1200", None),
            ("31-Dec-9999 23:59:59 -0001", None),
            (" 1-Jan-0001 00:00:00 +0001", None),
            ("31-Dec-9999 23:59:59 +0000", "31-Dec-9999 23:59:59 +0000"),
            ("31-Dec-9999 23:59:60 +0001", "31-Dec-9999 23:59:00 +0000"),
            ("01-Jan-0001 00:00:00 -0000", " 1-Jan-0001 00:00:00 +0000"),
            (" 3-Feb-2025 18:28:47 +0000", " 3-Feb-2025 18:28:47 +0000"),
            ("3-Feb-2025 18:28:47 +0000", " 3-Feb-2025 18:28:47 +0000"),
            ("03-feb-2025 18:28:47 +0130", " 3-Feb-2025 16:58:47 +0000"),
        ):
            got = client.send(b'a APPEND INBOX "%b" {5+}\r\nhello\r\n' % date.encode())
            if said is None:
                self.assertEqual(got, b"a BAD No such date\r\n", date)
            else:
                self.assertIn(b"a OK", got, date)
                self.assertIn(f'INTERNALDATE "{said}"', client.command("FETCH * INTERNALDATE")[0], date)

    def test_a_row_that_cannot_be_read(self) -> None:
        client = self._client(1.0, 2.0, 3.0)
        mail = client.protocol._session.avatar.mail

        def read(mailbox_id: Any, uids: Any, columns: Any, most_octets: int, convert: Callable[[Any], Any]) -> Any:
            def spoiled(rows: Any) -> Any:
                at = columns.index(Column.PARTS)
                return convert([(*row[:at], b"\xff\xff", *row[at + 1 :]) if row[0] == 2 else row for row in rows])

            return type(mail).read_piece(mail, mailbox_id, uids, columns, most_octets, spoiled)

        mail.read_piece = read
        lines = client.command("FETCH 1:* (UID BODY.PEEK[1.MIME])")
        self.assertEqual(lines[0][:20], "* 1 FETCH (UID 1 BOD")
        self.assertEqual(sum(line.startswith("* ") for line in lines), 2)
        self.assertEqual(lines[-1], "x NO [SERVERBUG] Internal error")
        self.assertEqual(len(self.flushLoggedErrors()), 1)
