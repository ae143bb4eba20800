"""Sessions that end: because the login has, and because the client takes too long."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance import acceptance
from tests.imap.conversation import PASSWORD, USER, Client, Server, message
from tests.imap.test_protocol import spoil

BYE = b"* BYE Your login has ended: log in again\r\n"


class LoginEndsTests(SynchronousTestCase):
    """The password was set, or the account disabled or removed."""

    def setUp(self) -> None:
        self.server = Server()
        self.client = self.server.connect().login()

    def end_logins(self) -> bytes:
        self.server.portal.realm.end_logins(USER)
        return self.client.output()

    def test_a_client_that_says_nothing_is_told(self) -> None:
        self.assertEqual(self.end_logins(), BYE)
        self.assertTrue(self.client.transport.disconnecting)

    def test_a_client_in_idle_is_told(self) -> None:
        self.client.command("SELECT INBOX")
        self.client.command("IDLE")
        self.assertEqual(self.end_logins(), BYE)

    def test_an_append_under_way_comes_to_nothing(self) -> None:
        self.client.send(b"a APPEND INBOX {100000}\r\n")
        self.client.send(b"half a message")
        self.assertEqual(self.end_logins(), BYE)
        self.assertEqual(self.client.send(b"x" * 100000 + b"\r\n"), b"")
        self.client.close()
        self.assertEqual(self.server.connect().login().command("STATUS INBOX (MESSAGES)")[0][-3:], " 0)")

    def test_what_is_pipelined_is_not_done(self) -> None:
        waiting: Deferred[list[object]] = Deferred()
        spoil(self.client, mailboxes=lambda: waiting)
        self.client.send(b'a LIST "" INBOX\r\nb CREATE other\r\n')
        self.assertEqual(self.end_logins(), b"")
        waiting.callback([])
        self.assertEqual(self.client.output(), b"a OK LIST completed\r\n" + BYE)
        self.client.close()
        self.assertNotIn("other", " ".join(self.server.connect().login().command('LIST "" *')))

    def test_what_takes_long_is_cut_off(self) -> None:
        spoil(self.client, mailboxes=Deferred)
        self.client.send(b'a LIST "" INBOX\r\n')
        self.assertEqual(self.end_logins(), b"")
        self.server.clock.advance(1.9)
        self.assertFalse(self.client.transport.aborted)
        self.server.clock.advance(0.1)
        self.assertTrue(self.client.transport.aborted)

    def test_a_client_that_does_not_read_is_cut_off(self) -> None:
        self.end_logins()
        self.server.clock.advance(2)
        self.assertTrue(self.client.transport.aborted)


@acceptance("S133")
class UnauthenticateTests(SynchronousTestCase):
    """The login ends, and the connection goes on. Source: RFC 8437."""

    def test_what_the_login_took_is_given_back_and_its_end_is_no_more_of_interest(self) -> None:
        server = Server(connections_per_account=1)
        client, other = server.connect().login(), server.connect()
        other.output()
        client.command("SELECT INBOX")
        self.assertTrue(client.command("UNAUTHENTICATE")[-1].startswith("x OK [CAPABILITY IMAP4rev1 "))
        self.assertEqual(server.portal.realm.logged_out, [USER])
        self.assertEqual(server.factory.shared.per_account.here, {})
        server.portal.realm.end_logins(USER)
        server.deliver(1)
        self.assertEqual(client.command("NOOP"), ["x OK NOOP completed"])
        other.login()
        self.assertEqual(client.command(f"LOGIN {USER} {PASSWORD}"), ["x NO [LIMIT] Too many sessions of this account"])
        other.close()
        client.login()
        client.close()
        self.assertEqual(server.portal.realm.logged_out, [USER] * 4)

    def test_the_limits_are_those_before_login_again(self) -> None:
        server = Server(line_before_login=1000, login_timeout=100)
        client = server.connect().login()
        long = "x" * 1100
        self.assertEqual(client.command(f"STATUS {long} (MESSAGES)"), ["x BAD Mailbox name too long"])
        client.command("UNAUTHENTICATE")
        self.assertEqual(client.command(f"STATUS {long} (MESSAGES)"), ["x BAD Command line too long"])
        server.clock.advance(50)
        client.command("NOOP")
        server.clock.advance(50)
        self.assertTrue(client.output().startswith(b"* BYE "))

    def test_tls_stays(self) -> None:
        client = Server(plaintext_login=False, tls="context").connect(tls=True).login()
        (answer,) = client.command("UNAUTHENTICATE")
        self.assertIn(" AUTH=PLAIN", answer)
        self.assertNotIn("STARTTLS", answer)
        client.login()


class DeadlineTests(SynchronousTestCase):
    """No octet now and then holds a connection."""

    def drip(self, client: Client, octets: bytes, every_s: float, for_s: float) -> float:
        """Send an octet at a time; how long that went well."""
        spent = 0.0
        while spent < for_s and not client.transport.disconnecting:
            client.send(octets[:1])
            octets = octets[1:] + octets[:1]
            client.protocol._reactor.advance(every_s)  # type: ignore[attr-defined]
            spent += every_s
        return spent

    def test_logging_in_has_its_time_whatever_is_said_meanwhile(self) -> None:
        server = Server(login_timeout=100)
        self.assertEqual(self.drip(server.connect(), b"a NOOP\r\n", 3, 200), 102)

    def test_a_message_that_is_offered_too_early_does_not_lift_that_limit(self) -> None:
        client = Server(login_timeout=100).connect()
        client.send(b"a APPEND INBOX {10+}\r\n0123456789\r\n")
        self.assertEqual(self.drip(client, b"a NOOP\r\n", 3, 200), 102)

    def test_starttls_begins_that_time_anew_once(self) -> None:
        server = Server(login_timeout=100, tls="context")
        client = server.connect()
        self.drip(client, b"a NOOP\r\n", 9, 90)
        client.send(b"\r\nb STARTTLS\r\n")
        self.assertEqual(self.drip(client, b"a STARTTLS\r\n", 3, 200), 102)

    def test_whoever_has_logged_in_has_as_long_as_he_likes(self) -> None:
        server = Server(login_timeout=100)
        client = server.connect()
        client.send(f"a LOGIN {USER} {PASSWORD}\r\n".encode())
        self.assertEqual(self.drip(client, b"a NOOP\r\n", 9, 5000), 5004)

    def test_a_command_that_is_dripped_in_has_no_more_time_than_one_that_does_not_come(self) -> None:
        server = Server(autologout=1800)
        client = server.connect().login()
        self.assertEqual(self.drip(client, b"x", 10, 3000), 1800)

    def test_an_append_that_is_dripped_in_has_its_time(self) -> None:
        server = Server(append_timeout=2000)
        client = server.connect().login()
        client.send(b"a APPEND INBOX {100000}\r\n")
        self.assertEqual(self.drip(client, b"x", 10, 5000), 2000)

    def test_an_append_that_came_in_time_leaves_no_limit(self) -> None:
        server = Server(append_timeout=2000)
        client = server.connect().login()
        octets = message(1)
        client.send(b"a APPEND INBOX {%d}\r\n" % len(octets))
        self.assertIn(b"a OK", client.send(octets + b"\r\n"))
        self.assertEqual(self.drip(client, b"a NOOP\r\n", 10, 5000), 5000)
