"""A stranger on the IMAP ports, and a user who is no friend."""

from __future__ import annotations

import time

import pytest

from tests.acceptance import acceptance
from tests.hostile.base import HostileTestCase, Wire

pytestmark = [pytest.mark.interop, pytest.mark.slow]


class LineTests(HostileTestCase):
    """Lines and literals that are too much."""

    @acceptance("S208")
    def test_a_line_of_a_megabyte_is_refused_and_the_session_goes_on(self) -> None:
        for wire in (self.connect(143), self.imap()):
            with self.memory_grows_less_than(4):
                for _ in range(5):
                    wire.send(b"t " + b"x" * 1_000_000 + b"\r\n")
                    self.assertRegex(wire.line(), rb"\A\S+ BAD ")
            self.assertIn(b"t OK", wire.obey(b"NOOP"))

    @acceptance("S208")
    def test_a_huge_literal_is_refused_before_it_comes(self) -> None:
        for size in (999_999_999, 4_294_967_296, 9_999_999_999):
            for wire in (self.connect(143), self.imap()):
                with self.memory_grows_less_than(4):
                    self.assertIn(b"t BAD", wire.obey(b"LOGIN {%d}" % size))
                    self.assertIn(b"t OK", wire.obey(b"NOOP"))
            wire = self.imap()
            self.assertRegex(wire.obey(b"APPEND INBOX {%d}" % size), rb"t (NO|BAD) ")
            self.assertIn(b"t OK", wire.obey(b"NOOP"))

    @acceptance("S208")
    def test_a_huge_literal_that_does_not_wait_ends_the_connection(self) -> None:
        for size in (999_999_999, 4_294_967_296):
            for wire in (self.connect(143), self.imap()):
                wire.send(b"t LOGIN {%d+}\r\n" % size + b"x" * 100_000)
                self.assertIn(b"* BYE", wire.rest())
            wire = self.imap()
            wire.send(b"t APPEND INBOX {%d+}\r\n" % size + b"x" * 100_000)
            self.assertIn(b"* BYE", wire.rest())

    @acceptance("S208")
    def test_thousands_of_small_literals_are_answered(self) -> None:
        for wire in (self.connect(143), self.imap()):
            wire.send(b"t NOOP" + b" {0+}\r\n" * 900 + b"\r\n")
            self.assertIn(b"t BAD", wire.tagged(b"t"))
            with self.memory_grows_less_than(8):
                wire.send(b"t NOOP" + b" {1+}\r\nx" * 20_000 + b"\r\nt NOOP\r\n")
                self.assertRegex(wire.line(), rb"\A\S+ BAD ")
        wire = self.imap()
        wire.send(b"t NOOP" + b" {0}\r\n" * 100 + b"\r\n")
        self.assertEqual(wire.line()[:1], b"+")

    def test_nesting_without_end_is_refused(self) -> None:
        deep = 8_000
        for command in (
            b"SEARCH " + b"NOT " * deep + b"ALL",
            b"SEARCH " + b"(" * deep + b"ALL" + b")" * deep,
            b"SEARCH " + b"OR " * deep + b"ALL " * (deep + 1),
            b"FETCH 1 (" + b"(" * deep,
            b"FETCH 1 BODY[" + b"1." * deep + b"1]",
            b"LIST (" + b"(" * deep,
            b"STORE 1 FLAGS (" + b"(" * deep,
            b"ID (" + b"(" * deep,
        ):
            wire = self.imap()
            wire.obey(b"SELECT INBOX")
            began = time.monotonic()
            self.assertRegex(wire.obey(command), rb"t (BAD|NO) ", command[:20])
            self.assertLess(time.monotonic() - began, 20, command[:20])
            self.assertIn(b"t OK", wire.obey(b"NOOP"))

    def test_nul_is_refused_wherever_it_stands(self) -> None:
        wire = self.imap()
        for command in (b"NOOP\x00", b"\x00", b"SELECT IN\x00BOX", b'SELECT "IN\x00BOX"', b"CREATE {3+}\r\na\x00b"):
            self.assertRegex(wire.obey(command), rb"(?m)^(t|\*) (BAD|NO) ", command)
        self.assertIn(b"t OK", wire.obey(b"NOOP"))

    def test_bad_commands_end_the_connection(self) -> None:
        for wire in (self.connect(143), self.imap()):
            wire.send(b"t GARBAGE\r\n" * 1000)
            replies = wire.rest().splitlines()
            self.assertEqual(replies[-1][:5], b"* BYE")
            self.assertLess(len(replies), 30)

    def test_a_client_of_one_octet_at_a_time_is_understood(self) -> None:
        wire = self.connect(143)
        for octet in b"t LOGIN {16+}\r\nann@example.test test\r\nt NOOP\r\n":
            wire.send(bytes([octet]))
        self.assertIn(b"t OK", wire.tagged(b"t"))
        self.assertIn(b"t OK", wire.tagged(b"t"))

    def test_a_half_closed_connection_ends_at_every_state(self) -> None:
        for said in (b"", b"t NO", b"t LOGIN {5}\r\n", b"t LOGIN {5+}\r\nx", b"t AUTHENTICATE PLAIN\r\n"):
            wire = self.connect(143)
            wire.send(said)
            wire.shut()
            wire.rest()
        for said in (b"t SELECT INBOX\r\n", b"t IDLE\r\n", b"t APPEND INBOX {100+}\r\nhalf", b"t APPEND INBOX {9}\r\n"):
            wire = self.imap()
            wire.send(said)
            wire.shut()
            wire.rest()
        wire = self.imap()
        wire.send(b"a SELECT INBOX\r\nb FETCH 1:* BODY.PEEK[]\r\nc NOOP\r\n")
        wire.shut()
        self.assertIn(b"\r\nc OK", wire.rest())

    def test_peers_that_vanish_within_append_leave_nothing_behind(self) -> None:
        mailbox = self.new_mailbox().encode()
        for text in (b"", b"x" * 10, b"x" * 299_999, b"x" * 300_000, b"x" * 300_000 + b"\r"):
            for leave in (Wire.close, Wire.reset):
                wire = self.imap()
                wire.send(b"t APPEND %b {300000+}\r\n" % mailbox + text)
                leave(wire)
        time.sleep(0.3)
        self.assertIn(b"(MESSAGES 0)", self.imap().obey(b"STATUS %b (MESSAGES)" % mailbox))


class ReaderTests(HostileTestCase):
    """Clients that ask and do not read."""

    @acceptance("S208")
    def test_a_client_that_never_reads_a_large_fetch_costs_little(self) -> None:
        mailbox = self.new_mailbox()
        octets = b"Subject: large\r\n\r\n" + (b"x" * 98 + b"\r\n") * 100_000
        for _ in range(10):
            self.assertIn(b"t OK", self.append(mailbox, octets))
        wire = self.imap(receive_buffer=4096)
        wire.obey(b"SELECT " + mailbox.encode())
        with self.memory_grows_less_than(30):
            wire.send(b"t FETCH 1:* BODY.PEEK[]\r\n")
            time.sleep(2)

    @acceptance("S208")
    def test_a_client_that_only_asks_costs_little(self) -> None:
        wire = self.imap(receive_buffer=4096)
        wire.socket.settimeout(2)
        with self.memory_grows_less_than(8):
            commands = b"t CAPABILITY\r\n" * 10_000
            with self.assertRaises(TimeoutError):
                for _ in range(200):
                    wire.socket.sendall(commands)


class MessageTests(HostileTestCase):
    """Messages made to be hard to look into."""

    def _structure_of(self, octets: bytes) -> bytes:
        mailbox = self.new_mailbox()
        began = time.monotonic()
        self.assertIn(b"t OK", self.append(mailbox, octets))
        wire = self.imap()
        wire.obey(b"SELECT " + mailbox.encode())
        told = wire.obey(b"FETCH 1 (BODYSTRUCTURE ENVELOPE RFC822.SIZE)")
        self.assertIn(b"RFC822.SIZE %d" % len(octets), told)
        self.assertIn(b"t OK", told)
        self.assertIn(octets.replace(b"\0", b"?"), wire.obey(b"FETCH 1 BODY.PEEK[]"))
        self.assertIn(octets, wire.obey(b"FETCH 1 BINARY.PEEK[]"))
        self.assertLess(time.monotonic() - began, 60)
        return told

    @acceptance("S208")
    def test_ten_thousand_levels_are_described_as_far_as_is_sane(self) -> None:
        multiparts = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(10_000)
        )
        told = self._structure_of(multiparts + b"\r\ntext\r\n")
        # Lines of the levels that are not looked into begin as those of levels that are, and begin parts of these.
        self.assertLess(told.count(b"("), 5000)
        self._structure_of(b"Content-Type: message/rfc822\r\n\r\n" * 10_000 + b"\r\ntext\r\n")

    @acceptance("S208")
    def test_a_hundred_thousand_parts_are_described_as_far_as_is_sane(self) -> None:
        head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        told = self._structure_of(head + b"--b\r\n\r\nx\r\n" * 100_000 + b"--b--\r\n")
        self.assertLess(told.count(b'("text"'), 10_001)
        self._structure_of(head + b"--b\r\n" * 200_000)

    def test_such_messages_come_by_smtp_too(self) -> None:
        text = b"Subject: hard\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000
        wire = self.smtp_data()
        wire.send(text + b".\r\n")
        self.assertEqual(wire.reply()[:4], b"250 ")
        self.assertGreaterEqual(self.found(self.user, "SUBJECT hard"), 1)

    def test_nuls_come_back_as_they_went_in_where_they_may(self) -> None:
        # RFC 9051 §4.3.1: in no literal but those that BINARY is answered with.
        self._structure_of(
            b"Subject: nul\x00\r\nFrom: \x00 <a\x00@b>\r\nContent-Type: text/\x00; x=\x00\r\n\r\n\x00\x00\r\n"
        )


class LoginTests(HostileTestCase):
    """AUTHENTICATE and LOGIN."""

    def test_garbage_is_refused_and_cancel_is_heard(self) -> None:
        for line in (b"!!!!", b"====", b"*", b"AAAA", b"x" * 60_000):
            wire = self.connect(143)
            wire.send(b"t AUTHENTICATE PLAIN\r\n")
            self.assertEqual(wire.line()[:1], b"+")
            wire.send(line + b"\r\n")
            self.assertRegex(wire.line(), rb"\A\S+ (BAD|NO) ", line[:10])
            self.assertIn(b"t OK", wire.obey(b"NOOP"))
            self.assertRegex(wire.obey(b"SELECT INBOX"), rb"t BAD ")

    @acceptance("S196")
    def test_wrong_passwords_and_unknown_users_are_answered_alike_and_late(self) -> None:
        answers = set()
        for name in (self.user, "nobody@example.test", "x" * 200):
            wire = self.connect(143)
            began = time.monotonic()
            answers.add(wire.obey(b"LOGIN %b wrong" % name.encode()))
            self.assertGreater(time.monotonic() - began, 1.9)
        self.assertEqual(len(answers), 1, answers)
        self.assertIn(b"[AUTHENTICATIONFAILED]", answers.pop())
