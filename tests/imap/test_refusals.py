"""Each refusal bears the tag of its command, so that no client waits for ever; and lines may end with LF alone."""

from __future__ import annotations

import base64
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.imap.conversation import PASSWORD, USER, Client, Server
from tests.imap.test_protocol import logged_in

LONG = b"x" * 70_000
PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())


def dripped(client: Client, octets: bytes, size: int) -> bytes:
    """What is answered when the octets come in pieces."""
    return b"".join(client.send(octets[at : at + size]) for at in range(0, len(octets), size))


class TooLong(SynchronousTestCase):
    """A line that is too long, wherever it comes."""

    def _refused(self, client: Client, octets: bytes, answer: bytes, size: int = 1 << 20) -> None:
        client.output()
        self.assertEqual(dripped(client, octets, size), answer)
        self.assertEqual(client.send(b"after NOOP\r\n"), b"after OK NOOP completed\r\n")

    def test_a_command(self) -> None:
        for size in (1 << 20, 1000, 7):
            self._refused(
                logged_in(Server()), b"z UID FETCH " + LONG + b" FLAGS\r\n", b"z BAD Command line too long\r\n", size
            )
            self._refused(Server().connect(), b"z NOOP " + LONG + b"\r\n", b"z BAD Command line too long\r\n", size)

    def test_a_line_without_a_tag(self) -> None:
        self._refused(logged_in(Server()), LONG + b"\r\n", b"* BAD Command line too long\r\n")
        self._refused(logged_in(Server()), b"(x " + LONG + b"\r\n", b"* BAD Command line too long\r\n")

    def test_a_command_with_literals(self) -> None:
        client = logged_in(Server())
        self._refused(client, b"z LOGIN {1+}\r\nx " + LONG + b"\r\n", b"z BAD Command line too long\r\n")
        self._refused(client, b"z X" + b" {0+}\r\n" * 20_000 + b"\r\n", b"z BAD Command line too long\r\n")

    def test_what_comes_unasked_behind_it_is_no_command(self) -> None:
        literal = b"\r\nb NOOP\r\n"
        for size in (1 << 20, 1000, 7):
            for line in (LONG, b"FETCH {3+}\r\nabc" + LONG, b"{70000+}\r\n" + LONG + LONG):
                for rest in (b"", b" x", b" " + LONG, b" {3+}\r\nc N", b" {12}"):
                    octets = b"z " + line + b" {%d+}\r\n" % len(literal) + literal + rest + b"\r\n"
                    client = logged_in(Server())
                    where = (size, line[:10], rest[:10])
                    self.assertRegex(dripped(client, octets, size), rb"\Az BAD [^\r]*\r\n\Z", where)
                    self.assertEqual(client.send(b"after NOOP\r\n"), b"after OK NOOP completed\r\n")

    def test_idle_ends(self) -> None:
        server = Server()
        client = logged_in(server)
        client.send(b"z IDLE\r\n")
        self._refused(client, LONG + b"\r\n", b"z BAD Command line too long\r\n")
        session: Any = client.protocol._session
        self.assertFalse(session.is_idle)
        self.assertEqual(client.send(b"z IDLE\r\nDONE\r\n"), b"+ idling\r\nz OK IDLE completed\r\n")

    def test_authentication_ends(self) -> None:
        client = Server().connect()
        client.output()
        self.assertEqual(client.send(b"z AUTHENTICATE PLAIN\r\n"), b"+ \r\n")
        self._refused(client, LONG + b"\r\n", b"z BAD Command line too long\r\n")
        self.assertIn(b"z BAD", client.send(b"z " + PLAIN + b"\r\n"))
        self.assertIn(b"z OK", client.send(b"z AUTHENTICATE PLAIN " + PLAIN + b"\r\n"))

    def test_the_end_of_an_append(self) -> None:
        client = logged_in(Server())
        self._refused(client, b"z APPEND INBOX {5+}\r\nhello" + LONG + b"\r\n", b"z BAD Command line too long\r\n")
        self.assertIn(b"z OK", client.send(b"z APPEND INBOX {5+}\r\nhello \r\n"))
        self.assertIn(b"* 1 EXISTS", client.send(b"z SELECT INBOX\r\n"))


class Lengths(SynchronousTestCase):
    """Octets behind a length that is no number of ours are no commands."""

    def test_a_literal_longer_than_any_number(self) -> None:
        for length in (b"99999999999", b"9" * 25, b"9" * 5000):
            for command in (b"z LOGIN {%b+}", b"z APPEND INBOX {%b+}", b"z APPEND INBOX (\\Seen) ~{%b+}"):
                client = logged_in(Server())
                got = client.send(command % length + b"\r\nb NOOP\r\n")
                self.assertRegex(got, rb"\A(z (BAD|NO)|\* BYE)", command)
                self.assertNotIn(b"b OK", got)
                self.assertTrue(client.transport.disconnecting)
            client = logged_in(Server())
            self.assertRegex(client.send(b"z APPEND INBOX {%b}\r\nb NOOP\r\n" % length), rb"\Az NO .*\r\nb OK")

    def test_zeros_in_front(self) -> None:
        client = logged_in(Server())
        self.assertIn(b"z OK", client.send(b"z APPEND INBOX {%b5+}\r\nhello\r\n" % (b"0" * 40)))


class LineEnds(SynchronousTestCase):
    """LF alone ends a line, of commands and of what is answered to a challenge."""

    def test_a_whole_conversation(self) -> None:
        for end in (b"\n", b"\r\n"):
            for size in (1, 1 << 20):
                client = Server().connect()
                client.output()
                for said, answer in (
                    (b"a NOOP\n", rb"a OK"),
                    (b"a AUTHENTICATE PLAIN\n", rb"\+ "),
                    (PLAIN + b"\n", rb"a OK"),
                    (b"b APPEND INBOX {8+}\na\nb\r\nc\rd\n", rb"b OK"),
                    (b"b APPEND INBOX {2}\n", rb"\+ "),
                    (b"\n\n\n", rb"b OK"),
                    (b"c SELECT {5+}\nINBOX\n", rb"c OK"),
                    (b"d FETCH 1 BODY.PEEK[]\n", rb"\{8\}\r\na\nb\r\nc\rd\)\r\n"),
                    (b"d FETCH 2 BODY.PEEK[]\n", rb"\{2\}\r\n\n\n\)\r\n"),
                    (b"e IDLE\n", rb"\+ idling"),
                    (b"DONE\n", rb"e OK"),
                    (b"f NOOP\ng NOOP\n", rb"f OK.*\r\ng OK"),
                ):
                    octets = said if b"{" in said or said[:1] == b"\n" else said.replace(b"\n", end)
                    self.assertRegex(dripped(client, octets, size), answer, said)

    def test_spaces_at_the_end_of_lines_that_are_no_commands(self) -> None:
        client = Server().connect()
        client.output()
        self.assertEqual(client.send(b"a AUTHENTICATE PLAIN \r\n"), b"+ \r\n")
        self.assertIn(b"a OK", client.send(PLAIN + b"  \r\n"))
        self.assertEqual(client.send(b"b IDLE \r\n"), b"+ idling\r\n")
        self.assertEqual(client.send(b"done \r\n"), b"b OK IDLE completed\r\n")

    def test_what_came_in_the_packet_of_starttls_is_dropped(self) -> None:
        for packet in (b"a STARTTLS\nb NOOP\n", b"a STARTTLS\r\nb NOOP\n", b"a STARTTLS\nb NO", b"a STARTTLS\n\r\n"):
            server = Server(tls="context")
            client = server.connect()
            client.output()
            self.assertEqual(client.send(packet), b"a OK Begin TLS negotiation now\r\n")
            self.assertEqual(client.transport.tls, "context")
            self.assertEqual(client.protocol._session.receiver.unread, 0)

    def test_a_bare_cr_ends_nothing(self) -> None:
        client = logged_in(Server())
        self.assertEqual(client.send(b"a NOOP\r"), b"")
        self.assertRegex(client.send(b"b NOOP\r\n"), rb"\A(a|\*) BAD [^\r]*\r\n\Z")
