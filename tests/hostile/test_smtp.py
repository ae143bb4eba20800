"""A stranger on the SMTP ports."""

from __future__ import annotations

import base64
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance import acceptance
from tests.hostile.base import SENDER, HostileTestCase, Wire

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ENVELOPE = (b"MAIL FROM:<a@elsewhere.test>", b"RCPT TO:<bob@example.test>", b"DATA")


class LineTests(HostileTestCase):
    """Lines that are none."""

    @acceptance("S208")
    def test_a_line_of_a_megabyte_is_refused_and_the_session_goes_on(self) -> None:
        wire = self.connect(25)
        with self.memory_grows_less_than(4):
            for _ in range(5):
                self.assertEqual(wire.say(b"x" * 1_000_000)[:4], b"500 ")
        self.assertEqual(wire.say(b"EHLO " + b"h" * 100_000)[:4], b"500 ")
        self.assertEqual(wire.say(b"EHLO " + b"h" * 400)[:4], b"501 ")
        self.assertEqual(wire.say(b"NOOP")[:4], b"250 ")

    @acceptance("S208")
    def test_a_line_that_never_ends_takes_no_memory(self) -> None:
        wire = self.connect(25)
        with self.memory_grows_less_than(4):
            wire.send(b"x" * 50_000_000)
            self.assertEqual(wire.reply()[:4], b"500 ")
        self.assertEqual(wire.say(b"\r\nNOOP")[:4], b"250 ")

    def test_nul_and_controls_in_commands_are_refused(self) -> None:
        wire = self.smtp()
        for command in (b"NOOP\x00", b"\x00", b"MAIL FROM:<a\x00@b.test>", b"RSET\x07", b"EHLO \x1b[2J", b"\xff\xfe"):
            self.assertEqual(wire.say(command)[:4], b"500 " if wire is None else b"501 ", command)

    def test_a_client_of_one_octet_at_a_time_is_understood(self) -> None:
        wire = self.connect(25)
        for octet in b"EHLO slow.test\r\nNOOP\r\nQUIT\r\n":
            wire.send(bytes([octet]))
        self.assertEqual([wire.reply()[:3] for _ in range(3)], [b"250", b"250", b"221"])

    def test_bad_commands_end_the_connection(self) -> None:
        wire = self.connect(25)
        wire.send(b"GARBAGE\r\n" * 1000)
        replies = wire.rest().splitlines()
        self.assertEqual({line[:3] for line in replies[:-1]}, {b"500"})
        self.assertEqual(replies[-1][:4], b"421 ")
        self.assertLess(len(replies), 30)

    def test_idle_commands_end_the_connection(self) -> None:
        wire = self.connect(25)
        wire.send(b"NOOP\r\n" * 1000)
        self.assertIn(b"\r\n421 ", wire.rest())

    def test_browsers_are_sent_away(self) -> None:
        wire = self.connect(25)
        wire.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b.test>\r\n")
        self.assertRegex(wire.rest(), rb"\A421 [^\r]*\r\n\Z")


class TextTests(HostileTestCase):
    """What comes after DATA."""

    @acceptance("S047")
    def test_no_false_end_smuggles_a_message(self) -> None:
        line_ends = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x00\r\n", b"\r\x00\n", b"\x0b", b"\x0c", b"\xc2\x85")
        ends = [a + b"." + b for a, b in itertools.product(line_ends, repeat=2)]
        ends = [end for end in ends if b"\r\n.\r\n" not in end]
        ends += [b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n.\x00\r\n"]
        smuggled = b"MAIL FROM:<forged@example.test>\r\nRCPT TO:<%b>\r\nDATA\r\n" % self.user.encode()
        smuggled += b"Subject: smuggled\r\n\r\nsmuggled"
        accepted = 0
        for end in ends:
            with Wire(self.server.port(25)) as wire:
                for command in (b"EHLO s.test", *ENVELOPE):
                    wire.say(command)
                wire.send(b"Subject: outer\r\n\r\ntext" + end + smuggled + b"\r\n.\r\nNOOP\r\n")
                verdict, after = wire.reply(), wire.reply()
                bare = len(end.replace(b"\r\n", b"").translate(None, b"\r\n")) < len(end.replace(b"\r\n", b""))
                refused = bare or b"\0" in end
                self.assertEqual(verdict[:4], b"550 " if refused else b"250 ", end)
                self.assertEqual(after[:4], b"250 ", end)
                accepted += not refused
        self.assertGreater(accepted, 3)
        self.assertEqual(self.found(self.user, "SUBJECT smuggled"), 0)

    def test_peers_that_vanish_leave_nothing_behind(self) -> None:
        open_before = self.descriptors()
        for text in (
            b"Subject: half",
            b"Subject: half\r\n\r\n" + b"x" * 300_000,
            b"Subject: half\r\n.",
            b"Subject: half\r\n.\r",
        ):
            for leave in (Wire.close, Wire.reset, Wire.shut):
                wire = self.smtp_data()
                wire.send(text)
                leave(wire)
                if leave is Wire.shut:
                    self.assertNotIn(b"250", wire.rest())
                    wire.close()
        # Meanwhile a reader of the store may have opened its three files.
        self.assert_settles(open_before + 5)
        self.assertEqual(self.found(self.user, "SUBJECT half"), 0)

    def test_a_peer_that_vanishes_at_the_final_dot_loses_nothing_it_was_promised(self) -> None:
        for _ in range(10):
            wire = self.smtp_data()
            wire.send(b"Subject: gone\r\n\r\n.\r\n")
            wire.reset()
        wire = self.smtp_data()
        wire.send(b"Subject: shut\r\n\r\n.\r\n")
        wire.shut()
        self.assertEqual(wire.rest()[:4], b"250 ")
        self.assertEqual(self.found(self.user, "SUBJECT shut"), 1)
        self.assertLessEqual(self.found(self.user, "SUBJECT gone"), 10)

    def test_a_half_closed_connection_ends_at_every_state(self) -> None:
        commands = (b"EHLO s.test", *ENVELOPE)
        for said in range(len(commands) + 1):
            wire = self.connect(25)
            for command in commands[:said]:
                wire.say(command)
            wire.shut()
            self.assertNotIn(b"250", wire.rest())
        wire = self.connect(25)
        wire.send(b"EHLO s.test\r\nNOOP\r\n")
        wire.shut()
        self.assertTrue(wire.rest().endswith(b"250 2.0.0 Ok\r\n"))

    def test_half_a_thousand_connections_come_and_go(self) -> None:
        open_before = self.descriptors()
        for _ in range(500):
            Wire(self.server.port(25), greeted=False).reset()
        for _ in range(10):
            wires = [Wire(self.server.port(25), greeted=False) for _ in range(50)]
            for wire in wires:
                wire.close()
        # Meanwhile a reader of the store may have opened its three files.
        self.assert_settles(open_before + 5)

    @acceptance("S053")
    def test_all_octets_but_nul_pass_in_a_message(self) -> None:
        text = b"Subject: all\r\n\r\n" + bytes(range(1, 256)).translate(None, b"\r\n") + b"\r\n"
        wire = self.smtp_data()
        wire.send(b"Subject: nul\r\n\r\na\0b\r\n.\r\n")
        self.assertEqual(wire.reply(), b"550 5.6.0 NUL in message not allowed\r\n")
        wire = self.smtp_data()
        wire.send(text + b".\r\n")
        self.assertEqual(wire.reply()[:4], b"250 ")
        reader = self.imap()
        reader.obey(b"SELECT INBOX")
        self.assertIn(text, reader.obey(b"FETCH * BODY[]"))

    def test_a_message_over_the_limit_is_refused_at_its_end_and_by_its_size(self) -> None:
        wire = self.smtp()
        self.assertEqual(wire.say(b"MAIL FROM:<a@b.test> SIZE=99999999999")[:4], b"552 ")
        self.assertEqual(wire.say(b"MAIL FROM:<a@b.test> SIZE=-1")[:4], b"501 ")
        wire = self.smtp_data()
        with self.memory_grows_less_than(30):
            line = b"x" * 998 + b"\r\n"
            for _ in range(55):
                wire.send(line * 1000)
            wire.send(b".\r\n")
            self.assertEqual(wire.reply()[:4], b"552 ")


class AddressTests(HostileTestCase):
    """What is said in MAIL, RCPT and EHLO ends up in header fields and in the log."""

    def test_malformed_addresses_are_refused(self) -> None:
        refused = [
            b"<a@b@c.test>",
            b"<@>",
            b"<a@>",
            b"<a@-b.test>",
            b"<a@c..test>",
            b'<"a@c.test>',
            b"<a@[999.1.1.1]>",
            b"<a@[IPv6:zz]>",
            b"<a b@c.test>",
            b"<a@c.test",
            b"a@c.test>",
            b"<<a@c.test>>",
            b"<a@c.test>x",
            b"<%b@c.test>" % (b"a" * 300),
            b"<a@%b.test>" % (b"b" * 300),
            b"<a\\@c.test>",
            b"<a,b@c.test>",
            b"<a(x)@c.test>",
        ]
        for path in refused:
            wire = self.smtp()
            self.assertEqual(wire.say(b"MAIL FROM:" + path)[:4], b"501 ", path)
            wire.say(b"MAIL FROM:<>")
            self.assertEqual(wire.say(b"RCPT TO:" + path)[:4], b"501 ", path)
            wire.close()

    def test_addresses_with_dots_anywhere_are_taken(self) -> None:
        for path in (b"<a..b@c.test>", b"<.a@c.test>", b"<ilo.@c.test>", b" <a@c_d.test>"):
            with self.smtp() as wire:
                self.assertEqual(wire.say(b"MAIL FROM:" + path)[:4], b"250 ", path)
                self.assertEqual(wire.say(b"RCPT TO:" + path)[:9], b"550 5.7.1", path)

    def test_nothing_that_is_said_becomes_a_header_field_or_a_line_of_the_log(self) -> None:
        marks = [b"\r", b"\n", b"\x00", b"\x0b", b"\xc2\x85", b"\xe2\x80\xa8", b"\\\n", b"\t"]
        token = b"X-Injected: yes"
        wire = self.smtp()
        for number, mark in enumerate(marks):
            if number:
                wire = self.smtp()
            for template in (
                b"EHLO a%b",
                b"MAIL FROM:<a%b@b.test>",
                b'MAIL FROM:<"a%b"@b.test>',
                b"RCPT TO:<a%b@b.test>",
            ):
                wire.send(template % (mark + token) + b"\r\n")
            wire.send(b"QUIT\r\n")
            self.assertNotRegex(wire.rest(), rb"(?m)^X-Injected")
        for helo, sender in (
            (b'a"b(c)d;e', b'"quo\\"ted \\\\ name"@b.test'),
            (b"x)(y", b'"<>"@b.test'),
            (b"\xc3\xbc.test", b'";for <z@y.test>"@b.test'),
            (b"h" * 255, b'"a@b"@b.test'),
        ):
            wire = self.connect(25)
            self.assertEqual(wire.say(b"EHLO " + helo)[:3], b"250", helo)
            self.assertEqual(wire.say(b"MAIL FROM:<" + sender + b">")[:4], b"250 ", sender)
            wire.say(b"RCPT TO:<ann@example.test>")
            wire.say(b"DATA")
            self.assertEqual(wire.say(b"Subject: x\r\n\r\nx\r\n.")[:4], b"250 ")
            reader = self.imap()
            reader.obey(b"SELECT INBOX")
            header = reader.obey(b"FETCH * BODY[HEADER]")
            self.assertIn(b"Return-Path: <" + sender + b">\r\n", header)
            head = header.split(b"\r\n", 1)[1].split(b"\r\n\r\n", 1)[0]
            for field in head.replace(b"\r\n\t", b"\t").split(b"\r\n"):
                self.assertRegex(field, rb"\A(?:Return-Path|Delivered-To|Received|Subject): [ -~\t]*\Z")
        self.assertFalse([line for line in self.server.output if line.startswith("X-Injected")])


class LoginTests(HostileTestCase):
    """AUTH on the submission port."""

    def submission(self) -> Wire:
        """After EHLO, in the clear, which the test's settings allow."""
        wire = self.connect(587)
        self.assertIn(b"AUTH", wire.say(b"EHLO s.test"))
        return wire

    def test_garbage_is_refused_and_cancel_is_heard(self) -> None:
        for said, code in (
            ([b"AUTH PLAIN !!!!"], b"501"),
            ([b"AUTH PLAIN ===="], b"501"),
            ([b"AUTH PLAIN", b"*"], b"501"),
            ([b"AUTH PLAIN", b"x" * 100_000], b"500"),
            ([b"AUTH LOGIN", b"*"], b"501"),
            ([b"AUTH LOGIN", b"YW5u", b"*"], b"501"),
            ([b"AUTH NOSUCH"], b"504"),
            ([b"AUTH"], b"501"),
            ([b"AUTH PLAIN " + b"A" * 20_000], b"500"),
            ([b"AUTH PLAIN " + base64.b64encode(b"\0" * 5)], b"5"),
        ):
            wire = self.submission()
            for line in said:
                answer = wire.say(line)
            self.assertTrue(answer.startswith(code), (said[0][:20], answer))
            self.assertEqual(wire.say(b"NOOP")[:4], b"250 ")
            self.assertEqual(wire.say(b"MAIL FROM:<ann@example.test>")[:4], b"530 ")

    def test_wrong_passwords_and_unknown_users_are_answered_alike(self) -> None:
        names = (self.user, "nobody@example.test", "ann@elsewhere.test", "x" * 200)

        def try_it(name: str) -> tuple[bytes, float]:
            wire = self.submission()
            began = time.monotonic()
            answer = wire.say(b"AUTH PLAIN " + base64.b64encode(b"\0%b\0wrong" % name.encode()))
            return answer, time.monotonic() - began

        with ThreadPoolExecutor(len(names)) as pool:
            rounds = [list(pool.map(try_it, names)) for _ in range(4)]
        answers = {answer for one in rounds for answer, _ in one}
        self.assertEqual(len(answers), 1, answers)
        self.assertEqual(answers.pop()[:10], b"535 5.7.8 ")
        # What else the machine does makes some of them slower, but not the quickest.
        quickest = [min(took for _, took in tries) for tries in zip(*rounds, strict=True)]
        self.assertGreater(min(quickest), 0.95)
        self.assertLess(max(quickest) - min(quickest), 0.25, quickest)

    def test_no_mail_leaves_without_login(self) -> None:
        wire = self.smtp()
        wire.say(b"MAIL FROM:<%b>" % SENDER.encode())
        self.assertEqual(wire.say(b"RCPT TO:<x@elsewhere.test>")[:10], b"550 5.7.1 ")
        self.assertEqual(wire.say(b"RCPT TO:<x%elsewhere.test@example.test>")[:4], b"550 ")
        self.assertEqual(wire.say(b"RCPT TO:<@example.test:x@elsewhere.test>")[:4], b"550 ")
        self.assertEqual(wire.say(b'RCPT TO:<"x@elsewhere.test"@example.test>')[:4], b"550 ")
