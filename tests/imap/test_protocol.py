"""Sessions over a transport: TLS, time, back-pressure, and clients that mean harm."""

from __future__ import annotations

import tracemalloc
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.imap.places import Places
from pymailsuite.interfaces import IImapAvatar
from pymailsuite.server.listeners import Sessions
from pymailsuite.values import Flags, SystemFlag
from tests.acceptance import acceptance
from tests.imap.conversation import PASSWORD, USER, Client, Server, Transport, message
from tests.support.stores import append

BIG = 600_000


class Failing:
    """The account's mail with one method that fails, or waits."""

    def __init__(self, mail: Any, **answers: Any) -> None:
        self._mail = mail
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        if name in self._answers:
            return lambda *_: self._answers[name]()
        return getattr(self._mail, name)


def logged_in(server: Server, *, select: bool = True) -> Client:
    """A client, logged in, INBOX selected."""
    client = server.connect().login()
    if select:
        client.command("SELECT INBOX")
    return client


def spoil(client: Client, **answers: Any) -> None:
    """Replace methods of the client's mail."""
    session: Any = client.protocol._session
    avatar = session.avatar = type(session.avatar)(session.avatar.account, Failing(session.avatar.mail, **answers))
    session.places = Places(session.shared.naming, session.shared.sharing, avatar)
    if session.view is not None:
        session.view.mail = avatar.mail


class Tls(SynchronousTestCase):
    """RFC 3501 §6.2.1."""

    @acceptance("S196")
    def test_commands_in_the_packet_of_starttls_never_run(self) -> None:
        server = Server(tls="context", plaintext_login=False)
        client = server.connect()
        self.assertIn(b" STARTTLS LOGINDISABLED]", client.output())
        self.assertEqual(
            client.send(f"a STARTTLS\r\nb LOGIN {USER} {PASSWORD}\r\n".encode()), b"a OK Begin TLS negotiation now\r\n"
        )
        self.assertEqual(client.transport.tls, "context")
        self.assertEqual(client.command("NOOP"), ["x OK NOOP completed"])
        self.assertEqual(server.portal.checker.asked, [])

    def test_capabilities_change_with_tls(self) -> None:
        server = Server(tls="context", plaintext_login=False)
        client = server.connect()
        client.send(b"a STARTTLS\r\n")
        self.assertEqual(
            client.command("CAPABILITY")[0],
            "* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE SASL-IR AUTH=PLAIN AUTH=LOGIN",
        )
        self.assertEqual(client.command("STARTTLS"), ["x BAD TLS is in use already"])
        self.assertTrue(client.command(f"LOGIN {USER} {PASSWORD}")[0].startswith("x OK"))

    @acceptance("S086")
    def test_a_listener_with_tls_from_the_start_takes_passwords(self) -> None:
        server = Server(plaintext_login=False)
        client = server.connect("192.0.2.7", tls=True)
        self.assertEqual(
            client.output(),
            b"* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE SASL-IR AUTH=PLAIN AUTH=LOGIN]"
            b" IMAP4 ready\r\n",
        )
        self.assertTrue(client.command(f"LOGIN {USER} {PASSWORD}")[0].startswith("x OK"))

    @acceptance("S093")
    def test_passwords_in_the_clear_need_a_network_that_the_setting_names(self) -> None:
        for setting, allowed in ((False, ""), (True, "127.0.0.1"), (["192.0.2.0/24"], "192.0.2.7")):
            server = Server(tls="context", plaintext_login=setting)
            for ip in ("127.0.0.1", "192.0.2.7"):
                client = server.connect(ip)
                self.assertEqual(b"LOGINDISABLED" in client.output(), ip != allowed)
                answer = client.command(f"LOGIN {USER} {PASSWORD}")[0]
                self.assertEqual(
                    answer.split()[1:3], ["OK", "[CAPABILITY"] if ip == allowed else ["NO", "[PRIVACYREQUIRED]"]
                )

    def test_half_a_literal_does_not_survive_starttls(self) -> None:
        client = Server(tls="context").connect()
        client.output()
        client.send(b"a STARTTLS\r\nb LOGIN {4+}\r\nan")
        self.assertEqual(client.command("NOOP"), ["x OK NOOP completed"])


class Writes(SynchronousTestCase):
    """How replies leave."""

    def test_a_reply_leaves_in_one_write(self) -> None:
        server = Server()
        server.deliver(*range(1, 30))
        client = logged_in(server)
        client.transport.writes.clear()
        for command in ("FETCH 1:* (UID FLAGS)", "FETCH 1:* BODY[]", "NOOP", "STORE 1:* +FLAGS (\\Deleted)", "EXPUNGE"):
            client.command(command)
        self.assertEqual(len(client.transport.writes), 5)

    def test_pipelined_replies_leave_in_one_write(self) -> None:
        client = logged_in(Server())
        client.transport.writes.clear()
        client.send(b"a NOOP\r\nb NOOP\r\nc NOOP\r\n")
        self.assertEqual(
            client.transport.writes, [b"a OK NOOP completed\r\nb OK NOOP completed\r\nc OK NOOP completed\r\n"]
        )

    def _slow(self, **settings: Any) -> tuple[Server, Client]:
        server = Server(**settings)
        append(server.store, server.account, "INBOX", *[b"Subject: x\r\n\r\n" + b"y" * 50_000] * 100)
        client = logged_in(server)
        write = client.transport.write

        def write_and_be_full(octets: bytes) -> None:
            write(octets)
            client.protocol.pauseProducing()

        self.patch(client.transport, "write", write_and_be_full)
        return server, client

    @acceptance("S208")
    def test_commands_of_a_client_that_does_not_read_wait(self) -> None:
        client = logged_in(Server())
        client.protocol.pauseProducing()
        client.send(b"".join(b"%d CAPABILITY\r\n" % number for number in range(1000)))
        self.assertEqual(client.transport.value(), b"")
        client.protocol.resumeProducing()
        client.clock.advance(0)
        self.assertEqual(client.output().count(b"OK CAPABILITY completed"), 1000)

    @acceptance("S208")
    def test_a_client_that_only_asks_is_cut(self) -> None:
        server = Server(write_timeout=60)
        client = logged_in(server)
        client.protocol.pauseProducing()
        client.send(b"a NOOP\r\n")
        server.clock.advance(61)
        self.assertTrue(client.transport.aborted)

    @acceptance("S208")
    def test_a_client_that_does_not_read_is_not_written_to(self) -> None:
        _, client = self._slow(fetch_piece=65536)
        got = client.send(b"a FETCH 1:* BODY.PEEK[]\r\nb NOOP\r\n")
        self.assertLess(len(got), 2_000_000)
        self.assertEqual(client.output(), b"")
        for _ in range(100):
            client.protocol.resumeProducing()
            got += client.output()
        self.assertEqual(got.count(b"* "), 100)
        self.assertTrue(got.endswith(b"a OK FETCH completed\r\nb OK NOOP completed\r\n"))

    def test_a_client_that_never_reads_is_cut(self) -> None:
        server, client = self._slow(write_timeout=60)
        client.send(b"a FETCH 1:* BODY.PEEK[]\r\n")
        server.clock.advance(61)
        self.assertTrue(client.transport.aborted)

    def test_a_connection_lost_during_fetch_ends_it(self) -> None:
        server, client = self._slow()
        client.send(b"a FETCH 1:* BODY.PEEK[]\r\n")
        client.close()
        self.assertEqual(server.portal.realm.logged_out, [USER])

    @acceptance("S112", "S208")
    def test_a_long_message_comes_back_in_parts_and_whole(self) -> None:
        server = Server()
        octets = b"Subject: long\r\n\r\n" + bytes(range(1, 250)) * (BIG // 249)
        append(server.store, server.account, "INBOX", octets)
        client = logged_in(server)
        whole = client.send(b"a FETCH 1 BODY.PEEK[]\r\n")
        head, _, rest = whole.partition(b"\r\n")
        self.assertEqual(head, b"* 1 FETCH (BODY[] {%d}" % len(octets))
        self.assertEqual(rest, octets + b")\r\na OK FETCH completed\r\n")
        joined = b""
        for start in range(0, len(octets) - 17, 65536):
            part = client.send(b"a FETCH 1 BODY.PEEK[1]<%d.65536>\r\n" % start)
            size = int(part[part.index(b"{") + 1 : part.index(b"}")])
            at = part.index(b"\r\n") + 2
            joined += part[at : at + size]
        self.assertEqual(joined, octets[17:])


class Waiting(SynchronousTestCase):
    """One command after the other."""

    def test_commands_wait_for_the_one_before(self) -> None:
        client = logged_in(Server())
        waiting: Deferred[Any] = Deferred()
        spoil(client, mailboxes=lambda: waiting)
        self.assertEqual(client.send(b'a LIST "" INBOX\r\nb NOOP\r\n'), b"")
        waiting.callback([])
        self.assertEqual(client.output(), b"a OK LIST completed\r\nb OK NOOP completed\r\n")

    @acceptance("S208")
    def test_a_client_that_sends_on_and_on_is_not_read(self) -> None:
        client = logged_in(Server())
        waiting: Deferred[Any] = Deferred()
        spoil(client, mailboxes=lambda: waiting)
        client.send(b'a LIST "" INBOX\r\n')
        client.send(b"b NOOP\r\n" * 10_000)
        self.assertEqual(client.transport.producerState, "paused")
        waiting.callback([])
        client.clock.advance(0)
        self.assertEqual(client.transport.producerState, "producing")
        self.assertEqual(client.output().count(b"b OK"), 10_000)

    def test_a_server_that_stops_says_bye_after_the_answer_under_way(self) -> None:
        server = Server()
        idle, busy = logged_in(server), logged_in(server)
        waiting: Deferred[Any] = Deferred()
        spoil(busy, mailbox_changes=lambda: waiting)
        busy.send(b"a NOOP\r\nb NOOP\r\n")
        for client in (idle, busy):
            client.protocol.in_turn(client.protocol.shut_down)
        self.assertEqual(idle.output(), b"* BYE Server shutting down\r\n")
        self.assertEqual(busy.output(), b"")
        waiting.errback(StoreUnavailable())
        answered = busy.output()
        self.assertIn(b"\r\n* BYE Server shutting down\r\n", b"\r\n" + answered)
        self.assertNotIn(b"b OK", answered)

    def test_a_login_that_is_done_when_the_client_has_gone_is_undone(self) -> None:
        server = Server()
        server.portal.checker.hold()
        client = server.connect()
        client.send(f"a LOGIN {USER} {PASSWORD}\r\n".encode())
        client.close()
        server.portal.checker.release()
        self.assertEqual(server.factory.shared.per_account.here, {})

    def test_sessions_of_an_account_are_counted(self) -> None:
        server = Server(connections_per_account=2)
        first, _ = logged_in(server), logged_in(server)
        third = server.connect()
        third.output()
        self.assertEqual(third.command(f"LOGIN {USER} {PASSWORD}"), ["x NO [LIMIT] Too many sessions of this account"])
        first.close()
        self.assertTrue(third.command(f"LOGIN {USER} {PASSWORD}")[0].startswith("x OK"))

    def test_a_connection_too_many_is_told_so(self) -> None:
        server = Server(connections=1)
        server.connect()
        transport = Transport()
        busy = server.factory.buildProtocol(transport.getPeer())
        assert busy is not None
        busy.makeConnection(transport)
        self.assertEqual(transport.value(), b"* BYE Too many connections\r\n")
        self.assertTrue(transport.disconnecting)


class Silent:
    """Notices that never come."""

    def subscribe(self, account_id: Any, callback: Any) -> Any:
        """Nothing to stop."""
        return lambda: None


class LateNotices(SynchronousTestCase):
    """A notice may come after the answer of the commit it tells of, and another process's later still."""

    def test_what_we_did_ourselves_is_told_at_once(self) -> None:
        server = Server()
        server.factory.shared.notices = Silent()
        client = logged_in(server)
        self.assertIn(b"* 1 EXISTS", client.send(b"a APPEND INBOX {5+}\r\nhello\r\n"))
        self.assertIn("* 2 EXISTS", client.command("COPY 1 INBOX"))
        self.assertEqual(client.command("STORE 1 +FLAGS (\\Deleted)")[0], "* 1 FETCH (FLAGS (\\Deleted \\Recent))")
        self.assertEqual(client.command("EXPUNGE")[0], "* 1 EXPUNGE")

    @acceptance("S131")
    def test_noop_asks_the_store(self) -> None:
        server = Server()
        server.factory.shared.notices = Silent()
        client = logged_in(server)
        server.deliver(1)
        self.assertEqual(client.command("FETCH 1 FLAGS"), ["x BAD Invalid message sequence number"])
        self.assertEqual(client.command("NOOP")[0], "* 1 EXISTS")


class Failures(SynchronousTestCase):
    """What goes wrong on our side."""

    def test_a_store_that_is_not_there(self) -> None:
        client = logged_in(Server())
        spoil(client, mailboxes=lambda: fail(StoreUnavailable()))
        self.assertEqual(client.command('LIST "" INBOX'), ["x NO [UNAVAILABLE] Mail store unavailable"])
        self.assertEqual(client.command("NOOP"), ["x OK NOOP completed"])

    def test_a_full_disk(self) -> None:
        server = Server()
        server.deliver(1)
        client = logged_in(server)
        spoil(client, store_flags=lambda: fail(StorageFull()), append=lambda: fail(StorageFull()))
        self.assertEqual(client.command("STORE 1 FLAGS (\\Seen)"), ["x NO [UNAVAILABLE] Insufficient system storage"])
        self.assertEqual(
            client.send(b"a APPEND INBOX {5+}\r\nhello\r\n"), b"a NO [UNAVAILABLE] Insufficient system storage\r\n"
        )
        # Reading goes on, even where it would set \Seen.
        self.assertEqual(client.command("FETCH 1 BODY[TEXT]")[-1], "x OK FETCH completed")

    def test_a_defect_is_logged_and_answered(self) -> None:
        client = logged_in(Server())
        spoil(client, mailboxes=lambda: 1 / 0)
        self.assertEqual(client.command('LIST "" INBOX'), ["x NO [SERVERBUG] Internal error"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(client.command("NOOP"), ["x OK NOOP completed"])

    def test_octets_that_are_gone_end_the_connection_in_silence(self) -> None:
        server = Server()
        append(server.store, server.account, "INBOX", b"Subject: x\r\n\r\n" + b"y" * BIG)
        client = logged_in(server)
        spoil(client, read_octets=lambda: succeed(b""))
        got = client.send(b"a FETCH 1 BODY.PEEK[]\r\n")
        self.assertTrue(client.transport.disconnecting)
        self.assertNotIn(b"a ", got.partition(b"\r\n")[2])


class Hostile(SynchronousTestCase):
    """Input that no client sends by accident."""

    @acceptance("S208")
    def test_a_line_of_a_megabyte(self) -> None:
        client = logged_in(Server())
        tracemalloc.start()
        got = b"".join(client.send(b"a NOOP" + b" " * 10_000) for _ in range(100))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertLess(peak, 500_000)
        self.assertEqual(got, b"a BAD Command line too long\r\n")
        self.assertEqual(client.send(b"\r\nb NOOP\r\n"), b"b OK NOOP completed\r\n")

    def test_nuls(self) -> None:
        client = logged_in(Server())
        self.assertIn(b"BAD", client.send(b"a \0NOOP\r\n"))
        self.assertIn(b"BAD", client.send(b"\0\0\0\r\n"))
        self.assertIn(b"a BAD", client.send(b"a SELECT {3+}\r\n\0\0\0\r\n"))
        self.assertIn(b"a BAD", client.send(b'a SELECT "\0"\r\n'))

    def test_deep_parentheses(self) -> None:
        client = logged_in(Server())
        self.assertIn(b"a BAD", client.send(b"a SEARCH " + b"(" * 30_000 + b"\r\n"))
        self.assertIn(b"a BAD", client.send(b"a FETCH 1 " + b"(" * 30_000 + b"\r\n"))
        self.assertIn(b"a BAD", client.send(b"a SEARCH " + b"NOT " * 15_000 + b"ALL\r\n"))

    def test_numbers_beyond_reason(self) -> None:
        server = Server()
        server.deliver(1)
        client = logged_in(server)
        for command in (
            "FETCH 99999999999999999999 FLAGS",
            "FETCH 1:4294967295 FLAGS",
            "FETCH 4294967295 FLAGS",
            "UID FETCH 4294967296 FLAGS",
            "FETCH 1 BODY[1.1.1.1.1.1.99999999999]",
            "STORE 1 (UNCHANGEDSINCE 99999999999999999999999) FLAGS ()",
        ):
            self.assertRegex(client.command(command)[-1], "^x BAD", command)
        self.assertEqual(client.command("UID FETCH 1:4294967295 UID")[0], "* 1 FETCH (UID 1)")
        self.assertEqual(client.command("FETCH 1 BODY.PEEK[]<4294967294.4294967295>")[-1], "x OK FETCH completed")

    def test_line_ends_in_names_do_not_reach_the_reply(self) -> None:
        client = logged_in(Server())
        got = client.send(b"a CREATE {12+}\r\nx\r\ny OK fake\r\n")
        self.assertNotIn(b"\r\ny OK", got)

    @acceptance("S208")
    def test_a_huge_append_is_refused_before_it_comes(self) -> None:
        client = logged_in(Server())
        self.assertIn(b"a NO [TOOBIG]", client.send(b"a APPEND INBOX {4000000000}\r\n"))
        self.assertEqual(client.send(b"b NOOP\r\n"), b"b OK NOOP completed\r\n")

    def test_a_client_that_shuts_its_side_gets_its_answer(self) -> None:
        client = logged_in(Server())
        waiting: Deferred[Any] = Deferred()
        spoil(client, mailboxes=lambda: waiting)
        client.send(b'a LIST "" INBOX\r\n')
        client.protocol.readConnectionLost()
        self.assertFalse(client.transport.disconnecting)
        waiting.callback([])
        self.assertEqual(client.output(), b"a OK LIST completed\r\n")
        self.assertTrue(client.transport.disconnecting)


class Copies(SynchronousTestCase):
    """What an APPEND stored is what a FETCH gives."""

    @acceptance("S087")
    def test_octets_come_back_as_they_went_in(self) -> None:
        client = logged_in(Server())
        for octets in (b"x", b"\r\n", b"\n\n", bytes(range(256)) * 20, message(1), b"a" * 300_000 + b"\r\n.\r\n"):
            sent = client.send(b"a APPEND INBOX {%d+}\r\n" % len(octets) + octets + b"\r\n")
            self.assertIn(b"a OK [APPENDUID", sent)
            got = client.send(b"b FETCH * BODY.PEEK[]\r\n")
            self.assertEqual(
                got.partition(b"\r\n")[2].removesuffix(b")\r\nb OK FETCH completed\r\n"), octets.replace(b"\0", b"?")
            )
            got = client.send(b"b FETCH * BINARY.PEEK[]\r\n")
            self.assertEqual(got.partition(b"\r\n")[2].removesuffix(b")\r\nb OK FETCH completed\r\n"), octets)

    def test_a_nul_is_in_no_literal_but_a_literal8(self) -> None:
        for size in (10, BIG):
            client = logged_in(Server())
            octets = b"Subject: a\0b\r\nX-Nul: \0\r\n\r\n" + b"x" * size + b"\0\0.\r\n"
            self.assertIn(b"a OK", client.send(b"a APPEND INBOX ~{%d+}\r\n%b\r\n" % (len(octets), octets)))
            for item in (
                "BODY[] BODY[TEXT] BODY[HEADER] RFC822 RFC822.TEXT RFC822.HEADER ENVELOPE BODYSTRUCTURE",
                "BODY[1] BODY[1.MIME] BODY[HEADER.FIELDS (Subject X-Nul)] BODY[]<5.600000> BODY[1]<9.999999>",
                " ".join(f"BODY[]<{first}.999999>" for first in range(40)),
            ):
                got = client.send(b"b FETCH 1 (%b)\r\n" % item.encode())
                self.assertIn(b"b OK FETCH completed", got)
                self.assertNotIn(b"\0", got, item)
                self.assertNotIn(b"~{", got, item)
            for item in ("BINARY[]", "BINARY[1]", f"BINARY[1]<{size}.5>"):
                got = client.send(b"b FETCH 1 (%b)\r\n" % item.encode())
                self.assertIn(b" ~{", got)
                self.assertIn(b"\0\0.\r\n)\r\n", got)
            got = client.send(b"b FETCH 1 (BINARY[1]<0.5>)\r\n")
            self.assertNotIn(b"~", got)

    def test_a_piece_beyond_the_end_is_quoted(self) -> None:
        for size in (10, BIG):
            server = Server()
            append(server.store, server.account, "INBOX", b"Subject: x\r\n\r\n" + b"y" * size)
            client = logged_in(server)
            for item in (
                "BODY[1]", "BODY[]", "BODY[TEXT]", "BODY[HEADER]", "BODY[1.MIME]", "BINARY[1]", "BINARY[]",
                "BODY[HEADER.FIELDS (SUBJECT)]",
            ):  # fmt: skip
                asked = item.replace("[", ".PEEK[", 1)
                self.assertEqual(
                    client.command(f"FETCH 1 ({asked}<{size + 1000}.5>)"),
                    [f'* 1 FETCH ({item}<{size + 1000}> "")', "x OK FETCH completed"],
                )


class Interfaces(SynchronousTestCase):
    """What sessions are given in tests is what they are given in earnest."""

    def test_the_avatar_is_one(self) -> None:
        server = Server()
        client = logged_in(server)
        verifyObject(IImapAvatar, client.protocol._session.avatar)

    def test_flags_of_a_delivery_are_seen(self) -> None:
        server = Server()
        server.deliver(1, flags=Flags(SystemFlag.FLAGGED, frozenset({"$x"})))
        client = logged_in(server)
        self.assertEqual(client.command("FETCH 1 FLAGS")[0], "* 1 FETCH (FLAGS (\\Flagged $x \\Recent))")


class Turns(SynchronousTestCase):
    """A client that sends thousands of commands at once has its share of a turn of the reactor, not all of it."""

    def assert_shared(self, client: Client, commands: bytes, reply: bytes, count: int) -> None:
        """``commands`` make ``count`` replies, not many of them in one turn."""
        client.output()
        client.protocol.dataReceived(commands)
        answered = client.output().count(reply)
        self.assertLessEqual(answered, 101)
        client.clock.advance(0)
        self.assertEqual(answered + client.output().count(reply), count)

    def test_before_login(self) -> None:
        self.assert_shared(Server().connect(), b"a NOOP\r\n" * 2000, b"a OK", 2000)

    def test_what_is_wrong(self) -> None:
        client = Server(bad_commands=5000).connect()
        self.assert_shared(client, b"a NOSUCH\r\n" * 2000, b"a BAD", 2000)

    def test_idle_and_done_in_pairs(self) -> None:
        self.assert_shared(logged_in(Server()), b"a IDLE\r\nDONE\r\n" * 1000, b"a OK", 1000)

    def test_a_client_that_leaves_meanwhile(self) -> None:
        client = Server().connect()
        client.protocol.dataReceived(b"a NOOP\r\n" * 2000)
        client.output()
        client.close()
        client.clock.advance(0)
        self.assertEqual(client.output(), b"")


class WorkEnds(SynchronousTestCase):
    """What a command waits for ends with its connection, and a stop takes its time at most."""

    def waiting(self, server: Server, method: str, command: bytes) -> tuple[Client, list[Any]]:
        """A client whose command waits for the store; and what became of that."""
        client = logged_in(server)
        asked: Deferred[Any] = Deferred()
        ended: list[Any] = []

        def note(reason: Failure) -> Failure:
            ended.append(reason.type)
            return reason

        asked.addErrback(note)
        spoil(client, **{method: lambda: asked})
        client.send(b"t " + command + b"\r\n")
        self.assertEqual(ended, [])
        return client, ended

    def test_with_the_connection(self) -> None:
        server = Server()
        append(server.store, server.account, "INBOX", message(1))
        for method, command in (
            ("read_in_steps", b"SEARCH BODY x"),
            ("read_piece", b"FETCH 1 BODY.PEEK[]"),
            ("mailboxes", b'LIST "" INBOX'),
            ("mailbox", b"STATUS INBOX (MESSAGES)"),
            ("mailbox_changes", b"NOOP"),
        ):
            client, ended = self.waiting(server, method, command)
            client.close()
            self.assertEqual(ended, [CancelledError], command)

    def test_with_the_time_of_a_stop(self) -> None:
        server = Server()
        append(server.store, server.account, "INBOX", message(1))
        client, ended = self.waiting(server, "read_in_steps", b"SEARCH BODY x")
        stopped = Sessions([server.factory], 10.0, server.clock).stopService()
        self.assertNoResult(stopped)
        server.clock.advance(10)
        self.successResultOf(stopped)
        self.assertTrue(client.transport.aborted)
        client.close()
        self.assertEqual(ended, [CancelledError])
