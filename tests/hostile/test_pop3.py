"""A stranger on the POP3 ports."""

from __future__ import annotations

import time

import pytest

from tests.acceptance import acceptance
from tests.hostile.base import HostileTestCase

pytestmark = [pytest.mark.interop, pytest.mark.slow]


class Pop3Tests(HostileTestCase):
    """Everything but a mail client."""

    @acceptance("S208")
    def test_a_line_of_a_megabyte_is_refused_and_the_session_goes_on(self) -> None:
        wire = self.connect(110)
        with self.memory_grows_less_than(4):
            for _ in range(5):
                self.assertEqual(wire.say(b"x" * 1_000_000)[:4], b"-ERR")
        self.assertEqual(wire.say(b"CAPA")[:3], b"+OK")

    def test_nul_is_refused(self) -> None:
        wire = self.connect(110)
        for command in (b"\x00", b"USER a\x00b", b"CAPA\x00", b"STAT\x00"):
            self.assertEqual(wire.say(command)[:4], b"-ERR", command)

    def test_no_line_end_in_a_message_makes_its_end(self) -> None:
        for end in (b"\n", b"\r", b"\r\r\n", b"\n\r"):
            for text in (
                b"a" + end + b"." + end + b"-ERR" + end + b"b\r\n",
                b"a\r\n." + end,
                b"a\r." + end + b".",
                b"." + end,
            ):
                message = b"Subject: %d" % time.monotonic_ns() + end + end + text
                self.assertIn(b"t OK", self.append("INBOX", message))
                wire = self.pop3()
                number = wire.say(b"STAT").split()[1]
                listed = int(wire.say(b"LIST " + number).split()[2])
                self.assertEqual(int(wire.say(b"RETR " + number).split()[1]), listed)
                lines = []
                while (line := wire.line()) != b".\r\n":
                    self.assertEqual(line.count(b"\r") + line.count(b"\n"), 2, line)
                    lines.append(line)
                self.assertEqual(sum(map(len, lines)) - sum(line.startswith(b".") for line in lines), listed)
                self.assertEqual(wire.say(b"NOOP")[:3], b"+OK")
                wire.say(b"QUIT")

    def test_bad_commands_end_the_connection(self) -> None:
        wire = self.connect(110)
        wire.send(b"GARBAGE\r\n" * 1000)
        self.assertLess(len(wire.rest().splitlines()), 30)

    def test_a_client_of_one_octet_at_a_time_is_understood(self) -> None:
        wire = self.connect(110)
        for octet in b"USER ann@example.test\r\nPASS test\r\nNOOP\r\nQUIT\r\n":
            wire.send(bytes([octet]))
        self.assertEqual([wire.reply()[:3] for _ in range(4)], [b"+OK"] * 4)

    def test_a_half_closed_connection_ends_at_every_state(self) -> None:
        for said in (b"", b"US", b"USER x\r\n", b"AUTH PLAIN\r\n"):
            wire = self.connect(110)
            wire.send(said)
            wire.shut()
            wire.rest()
        wire = self.pop3()
        wire.send(b"LIST\r\nQUIT\r\n")
        wire.shut()
        self.assertIn(b"\r\n.\r\n+OK", wire.rest())

    @acceptance("S208")
    def test_a_client_that_only_asks_costs_little(self) -> None:
        wire = self.pop3()
        wire.socket.settimeout(2)
        with self.memory_grows_less_than(8):
            with self.assertRaises(TimeoutError):
                for _ in range(500):
                    wire.socket.sendall(b"NOOP\r\n" * 20_000)
            wire.reset()

    def test_garbage_is_refused_and_cancel_is_heard(self) -> None:
        for line in (b"!!!!", b"====", b"*", b"AAAA", b"x" * 60_000):
            wire = self.connect(110)
            self.assertEqual(wire.say(b"AUTH PLAIN")[:2], b"+ ")
            self.assertEqual(wire.say(line)[:4], b"-ERR", line[:10])
            self.assertEqual(wire.say(b"STAT")[:4], b"-ERR")

    @acceptance("S196")
    def test_wrong_passwords_and_unknown_users_are_answered_alike_and_late(self) -> None:
        answers = set()
        for name in (self.user, "nobody@example.test", "x" * 200):
            wire = self.connect(110)
            self.assertEqual(wire.say(b"USER " + name.encode())[:3], b"+OK")
            began = time.monotonic()
            answers.add(wire.say(b"PASS wrong"))
            self.assertGreater(time.monotonic() - began, 1.9)
        self.assertEqual(len(answers), 1, answers)
        self.assertIn(b"[AUTH]", answers.pop())
