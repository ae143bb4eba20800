"""What hostile peers send: the answer is known, memory is bounded, and the conversation stays in step."""

import itertools

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from pymailsuite.wire.dot_stuffing import has_bare_line_end
from tests.acceptance import acceptance
from tests.smtp.conversations import Server
from tests.smtp.test_protocol import ENVELOPE, codes

MEGABYTE = 1_000_000


class HostileTests(SynchronousTestCase):
    """Peers that mean no good."""

    def start(self, settings=None, ip="192.0.2.7"):
        self.server = Server(settings)
        conversation = self.server.connect(ip)
        conversation.say("EHLO client.example")
        return conversation

    def unread(self, conversation):
        return len(conversation.protocol._receiver)

    @acceptance("S208")
    def test_a_command_of_a_megabyte_is_answered_once_and_skipped(self):
        conversation = self.start()
        for _ in range(MEGABYTE // 10000):
            conversation.receive(b"x" * 10000)
            self.assertLess(self.unread(conversation), 20000)
        self.assertEqual(conversation.say("", "NOOP"), "500 5.5.2 Line too long\r\n250 2.0.0 Ok\r\n")

    def test_commands_have_the_length_of_the_standard(self):
        conversation = self.start()
        self.assertEqual(codes(conversation.say("NOOP " + "x" * 505)), ["250"])
        self.assertEqual(codes(conversation.say("NOOP " + "x" * 506)), ["500"])
        mail = "MAIL FROM:<a@client.example> AUTH="
        self.assertEqual(codes(conversation.say(mail + "x" * (2046 - len(mail)))), ["250"])
        self.assertEqual(codes(conversation.say("RSET", mail + "x" * (2047 - len(mail)))), ["250", "500"])

    @acceptance("S208")
    def test_a_text_line_of_a_megabyte_passes_and_a_longer_one_is_refused(self):
        conversation = self.start()
        for size, code in ((MEGABYTE, "250"), (MEGABYTE + 1, "550")):
            conversation.say(*ENVELOPE)
            for _ in range(size // 50000):
                conversation.receive(b"x" * 50000)
                self.assertLess(self.unread(conversation), 10)
            conversation.receive(b"x" * (size % 50000))
            self.assertEqual(codes(conversation.say("", ".", "NOOP")), [code, "250"])
        self.assertEqual([len(message.octets) for message in self.server.intake.committed], [MEGABYTE + 2])
        self.assertTrue(self.server.intake.messages[1].aborted)

    @acceptance("S208")
    def test_a_message_that_is_too_big_is_read_to_its_end_and_not_kept(self):
        conversation = self.start(SmtpMxSettings(message_size=100_000))
        conversation.say(*ENVELOPE)
        for _ in range(200):
            conversation.receive(b"0123456\r\n" * 1000)
        message = self.server.intake.messages[0]
        self.assertTrue(message.aborted)
        self.assertLess(len(message.octets), 110_000)
        output = conversation.say(".", "NOOP")
        self.assertEqual(output, "552 5.3.4 Message size exceeds fixed limit\r\n250 2.0.0 Ok\r\n")

    def test_a_message_of_just_the_size_passes(self):
        conversation = self.start(SmtpMxSettings(message_size=65536))
        for size, code in ((65536, "250"), (65537, "552")):
            conversation.say(*ENVELOPE)
            conversation.receive(b"x" * (size - 2))
            self.assertEqual(codes(conversation.say("", ".")), [code])

    def test_nuls_pass_in_text_where_a_setting_says_so_and_never_in_commands(self):
        for allowed in (False, True):
            conversation = self.start(SmtpMxSettings(allow_nul=allowed))
            self.assertEqual(codes(conversation.say("MAIL FROM:<a\0@client.example>", "\0")), ["501", "501"])
            conversation.say(*ENVELOPE)
            output = conversation.say("\0" * 100, ".", "NOOP")
            if allowed:
                self.assertEqual(self.server.intake.committed[0].octets, b"\0" * 100 + b"\r\n")
            else:
                self.assertEqual(output, "550 5.6.0 NUL in message not allowed\r\n250 2.0.0 Ok\r\n")
                self.assertEqual(self.server.intake.committed, [])

    @acceptance("S047")
    def test_no_message_is_smuggled_in_whatever_the_line_ends_and_the_cut(self):
        ends = (b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"\r\n\0")
        smuggled = b"MAIL FROM:<admin@client.example>\r\nRCPT TO:<bob@mail.example>\r\nDATA\r\nsmuggled"
        for before, after in itertools.product(ends, ends):
            if b"\r\n.\r\n" in before + b"." + after:
                continue  # the true end
            text = b"Subject: x\r\n\r\ntext" + before + b"." + after + smuggled + b"\r\n.\r\n"
            conversation = self.start()
            for cut in (*range(18, 30), len(text)):
                self.server.intake.messages.clear()
                self.assertEqual(codes(conversation.say(*ENVELOPE)), ["250", "250", "354"])
                conversation.receive(text[:cut])
                conversation.receive(text[cut:])
                self.assertEqual(len(self.server.intake.messages), 1, (before, after, cut))
                code = "550" if has_bare_line_end(text) or b"\0" in text else "250"
                self.assertEqual(codes(conversation.output().decode()), [code], (before, after, cut))
                self.assertEqual(self.server.resolver.asked.count("bob@mail.example"), 0)
                self.assertEqual(codes(conversation.say("RSET")), ["250"])

    @acceptance("S047")
    def test_a_bare_line_end_anywhere_refuses_the_message(self):
        text = b"a\r\nbc\r\n\r\nd\r\n"
        for at, octet in itertools.product(range(len(text) + 1), (b"\r", b"\n")):
            broken = text[:at] + octet + text[at:]
            if broken.count(b"\r") == broken.count(b"\n") == broken.count(b"\r\n"):
                continue
            for cut in range(len(broken)):
                conversation = self.start()
                conversation.say(*ENVELOPE)
                conversation.receive(broken[:cut])
                conversation.receive(broken[cut:])
                ended = (broken + b".\r\n").find(b"\r\n.\r\n") >= 0
                output = conversation.say(".")
                if ended:
                    self.assertEqual(output, "550 5.5.2 bare CR/LF not allowed\r\n", (broken, cut))
                self.assertEqual(self.server.intake.committed, [])

    def test_thousands_of_recipients_are_answered_452_and_then_the_connection_ends(self):
        conversation = self.start()
        output = conversation.say(ENVELOPE[0], *["RCPT TO:<alice@mail.example>"] * 5000)
        answers = codes(output)
        self.assertEqual([answers.count(code) for code in ("250", "452", "421")], [101, 101, 1])
        self.assertTrue(conversation.ended())

    def test_commands_that_come_at_once_share_the_turn_with_others(self):
        conversation = self.start()
        conversation.say("EHLO client.example")
        conversation.protocol.dataReceived(b"MAIL FROM:<a@b.example>\r\nRSET\r\n" * 300)
        answered = conversation.output().count(b"\r\n")
        self.assertLessEqual(answered, 101)
        conversation.server.clock.advance(0)
        self.assertEqual(answered + conversation.output().count(b"\r\n"), 600)

    def test_addresses_cannot_be_tried_out_for_ever(self):
        conversation = self.start(SmtpMxSettings(max_refused_recipients=5))
        output = conversation.say(ENVELOPE[0], *[f"RCPT TO:<user{n}@mail.example>" for n in range(100)])
        self.assertEqual(codes(output), ["250", *["550"] * 6, "421"])

    def test_an_endless_ehlo_ends(self):
        for command in ("EHLO x", "NOOP", "RSET", "HELP", "VRFY alice"):
            conversation = self.start()
            answers = codes(conversation.say(*[command] * 500))
            self.assertEqual(answers[-1], "421", command)
            self.assertLessEqual(len(answers), 101)
            self.assertTrue(conversation.ended())

    def test_a_transaction_in_between_makes_idle_commands_count_anew(self):
        conversation = self.start()
        for _ in range(20):
            conversation.say(*["NOOP"] * 50)
            answers = codes(conversation.say(*ENVELOPE, "text", "."))
            self.assertEqual(answers, ["250", "250", "354", "250"])

    def test_quit_behind_the_text_waits_for_the_answer(self):
        conversation = self.start()
        output = conversation.say(*ENVELOPE, "text", ".", "QUIT", "NOOP")
        self.assertEqual(codes(output), ["250", "250", "354", "250", "221"])

    def test_a_login_line_of_a_megabyte_ends_the_exchange(self):
        self.server = Server(SubmissionSettings())
        conversation = self.server.connect(secure=True)
        conversation.say("EHLO client.example", "AUTH PLAIN")
        conversation.receive(b"A" * MEGABYTE)
        output = conversation.say("", "NOOP")
        self.assertEqual(output, "500 5.5.6 Authentication exchange line is too long\r\n250 2.0.0 Ok\r\n")

    def test_text_from_outside_cannot_break_a_reply(self):
        conversation = self.start()
        output = conversation.say("MAIL FROM:<a@client.example>", 'RCPT TO:<"\u00a0\u2028x"@mail.example>')
        self.assertEqual(codes(output), ["250", "553"])
        output = conversation.say("RSET", "MAIL FROM:<> SMTPUTF8", 'RCPT TO:<"\u00a0\u2028x"@mail.example>')
        self.assertTrue(output.isascii())
        self.assertEqual(codes(output)[-1], "550")

    def test_random_octets_never_raise(self):
        conversation = self.start(SmtpMxSettings(max_bad_commands=10**6, max_idle_commands=10**6))
        seed = 12345
        for _ in range(300):
            line = bytearray(b"MAIL FROM:<a@b.example> SIZE=1 BODY=8BITMIME SMTPUTF8\r\n")
            for _ in range(3):
                seed = seed * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
                line[(seed >> 33) % (len(line) - 2)] = seed >> 55 & 0xFF
            conversation.receive(bytes(line))
            conversation.receive(b"\r\nRSET\r\n")
            self.assertEqual(codes(conversation.output().decode())[-1], "250", bytes(line))
