"""The client's half: replies read within bounds, commands made safe."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.smtp.client import (
    BadReply,
    Reply,
    ReplyReader,
    UnsendableAddress,
    extensions,
    mail_command,
    rcpt_command,
)
from pymailsuite.values import Address


def read(octets, **limits):
    """All replies in the octets, fed whole."""
    reader = ReplyReader(**limits)
    reader.receive(octets)
    replies = []
    while (reply := reader.next_reply()) is not None:
        replies.append(reply)
    return replies


class ReplyReaderTests(SynchronousTestCase):
    """ReplyReader."""

    def test_replies(self):
        for octets, reply in (
            (b"250 Ok\r\n", Reply(250, "", ("Ok",))),
            (b"250\r\n", Reply(250, "", ("",))),
            (b"250 2.1.5 Recipient ok\r\n", Reply(250, "2.1.5", ("Recipient ok",))),
            (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", Reply(550, "5.1.1", ("no such", "user"))),
            (b"550-first\r\n550 5.7.1 second\r\n", Reply(550, "5.7.1", ("first", "second"))),
            (b"550 4.1.1 classes differ\r\n", Reply(550, "", ("4.1.1 classes differ",))),
            (b"220-a\r\n220-\r\n220 b\r\n", Reply(220, "", ("a", "", "b"))),
            (b"250 caf\xe9\r\n", Reply(250, "", ("café",))),
            ("250 café\r\n".encode(), Reply(250, "", ("café",))),
            (b"250 a\x1b[2Jb\r\n", Reply(250, "", ("a [2Jb",))),
            (b"250 2.0.0 Ok\n", Reply(250, "2.0.0", ("Ok",))),
            (b"250-a\n250-b\r\n250 c\n", Reply(250, "", ("a", "b", "c"))),
            (b"250 a\r\r\n", Reply(250, "", ("a",))),
        ):
            self.assertEqual(read(octets), [reply], octets)
            dripped = ReplyReader()
            for at in range(len(octets)):
                self.assertIsNone(dripped.next_reply())
                dripped.receive(octets[at : at + 1])
            self.assertEqual(dripped.next_reply(), reply)

    def test_pipelined_replies_come_one_by_one(self):
        self.assertEqual(
            [reply.code for reply in read(b"250 a\r\n250-b\r\n250 c\r\n354 d\r\n250-e\r\n")], [250, 250, 354]
        )

    def test_what_is_no_reply_is_refused(self):
        for octets in (
            b"hello\r\n",
            b"25\r\n",
            b"150 x\r\n",
            b"650 x\r\n",
            b"250x\r\n",
            b"250-a\r\n251 b\r\n",
            b"250 a\nb\r\n",
        ):
            self.assertRaises(BadReply, read, octets)

    def test_replies_are_bounded(self):
        self.assertRaises(BadReply, read, b"250-x\r\n" * 11, max_lines=10)
        self.assertRaises(BadReply, read, b"250 " + b"x" * 5000)

    def test_replies_know_their_kind(self):
        kinds = [
            (r.positive, r.intermediate, r.transient, r.permanent) for r in read(b"250 \r\n354 \r\n421 \r\n550 \r\n")
        ]
        self.assertEqual([kind.index(True) for kind in kinds], [0, 1, 2, 3])
        self.assertEqual(str(Reply(550, "5.1.1", ("no", "", "way"))), "550 5.1.1 no way")

    def test_what_came_too_early_is_dropped_for_tls(self):
        reader = ReplyReader()
        reader.receive(b"220 go\r\n250-injected\r\n250 more\r\n")
        self.assertEqual(reader.next_reply().code, 220)
        self.assertEqual(len(reader), 24)
        self.assertEqual(reader.drop_unread(), 24)
        reader.receive(b"250 real\r\n")
        self.assertEqual(reader.next_reply().lines, ("real",))

    @given(st.binary(max_size=100))
    def test_any_octets_are_read_or_refused(self, octets):
        try:
            read(octets)
        except BadReply:
            return


class CommandTests(SynchronousTestCase):
    """What EHLO offers, and the commands that carry addresses."""

    def test_extensions(self):
        [reply] = read(b"250-mx.example hi\r\n250-SIZE 1000\r\n250-auth=LOGIN\r\n250-AUTH PLAIN\r\n250 starttls\r\n")
        self.assertEqual(extensions(reply), {"SIZE": "1000", "AUTH": "LOGIN PLAIN", "STARTTLS": ""})

    def test_commands(self):
        self.assertEqual(mail_command(None), b"MAIL FROM:<>\r\n")
        address = Address("zoë b", "exämple.example")
        self.assertEqual(
            mail_command(address, size=5, body="8BITMIME", smtputf8=True),
            'MAIL FROM:<"zoë b"@exämple.example> SIZE=5 BODY=8BITMIME SMTPUTF8\r\n'.encode(),
        )
        self.assertEqual(rcpt_command(Address("a", "b.example")), b"RCPT TO:<a@b.example>\r\n")

    def test_what_is_asked_of_reports_is_encoded(self):
        self.assertEqual(
            mail_command(None, ret="HDRS", envid="QQ 3=14+159"), b"MAIL FROM:<> RET=HDRS ENVID=QQ+203+3D14+2B159\r\n"
        )
        address = Address("a", "b.example")
        for orcpt, utf8, parameter in (
            ("rfc822;x+y@z.example", False, "rfc822;x+2By@z.example"),
            ("RFC822; a b@z.example\r\nDATA", True, "RFC822;a+20b@z.example+0D+0ADATA"),
            ("rfc822;zoë@z.example", False, "rfc822;zo+C3+AB@z.example"),
            ("utf-8; zoë+x y@z.example", True, "utf-8;zoë\\x{2B}x\\x{20}y@z.example"),
            ("utf-8;zoë\\@z.example", False, "utf-8;zo\\x{EB}\\x{5C}@z.example"),
        ):
            command = rcpt_command(address, notify="SUCCESS,DELAY", orcpt=orcpt, smtputf8=utf8)
            self.assertEqual(command, f"RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT={parameter}\r\n".encode())

    def test_no_address_becomes_a_command_of_its_own(self):
        self.assertRaises(UnsendableAddress, rcpt_command, Address("a\r\nDATA", "b.example"))
        self.assertRaises(UnsendableAddress, mail_command, Address("a", "b.example\r\nQUIT"))
