"""Messages built to hurt whoever looks into them: each is taken, described in bounded space, and found."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance import acceptance
from tests.imap.conversation import Server
from tests.imap.test_protocol import logged_in
from tests.message.test_envelope import assert_nested
from tests.support.stores import append

END = b"\r\n\r\nthe needle\r\n"
MULTIPART = b"Content-Type: multipart/mixed; boundary=x\r\n"

# What each is, and a section of it that is to be found.
MESSAGES: dict[str, tuple[bytes, str]] = {
    "ten thousand parts": (MULTIPART + b"\r\n--x" + END + b"--x\r\n\r\npart\r\n" * 10_000, "300"),
    "a multipart within itself": (
        b"Subject: needle\r\n" + (MULTIPART + b"\r\n--x\r\n") * 3_000 + b"Content-Type: text/plain" + END,
        "1",
    ),
    "messages in messages": (
        b"Subject: needle\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 3_000 + b"Subject: s" + END,
        "1",
    ),
    "boundaries that begin alike": (
        b"".join(
            b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (b"a" * n, b"a" * n) for n in range(1, 70)
        )
        + b"Content-Type: text/plain"
        + END,
        "1",
    ),
    "comments by the hundred thousand": (b"From: " + b"(" * 120_000 + b"x" + b")" * 120_000 + b" a@b" + END, "TEXT"),
    "comments beside each other": (b"From: a@b " + b"(c)" * 80_000 + END, "TEXT"),
    "parameters by the hundred thousand": (b"Content-Type: text/plain" + b"; a=b" * 60_000 + END, "1"),
    "parameters in many pieces": (
        b"Content-Type: text/plain" + b"".join(b'; name*%d="x"' % n for n in range(20_000)) + END,
        "1",
    ),
    "header fields by the ten thousand": (b"X-Field: y\r\n" * 30_000 + b"Subject: s" + END, "TEXT"),
    "ten megabytes like a header": (b"X-Field: y\r\n\ty\r\n" * 600_000 + b"Subject: s" + END, "TEXT"),
    "an address list of a hundred thousand": (b"To: " + b"a@b.example, " * 100_000 + b"a@b.example" + END, "TEXT"),
    "groups without members": (b"To: " + b"g:;, " * 60_000 + END, "TEXT"),
    "a long encoded word": (b"Subject: =?utf-8?b?" + b"QUJD" * 60_000 + b"?=" + END, "TEXT"),
    "many encoded words": (b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + END, "TEXT"),
    "strings that do not end": (b"To: " + b'"\\' * 60_000 + END, "TEXT"),
    "hyphens": (MULTIPART + b"\r\n--x\r\n" + MULTIPART.replace(b"x", b"y") + b"\r\n" + b"--\r\n" * 100_000 + END, "1"),
}


class MimeTests(SynchronousTestCase):
    @acceptance("S112")
    def test_each_is_described_in_bounded_space_and_found(self) -> None:
        for name, (octets, section) in MESSAGES.items():
            with self.subTest(name):
                server = Server()
                append(server.store, server.account, "INBOX", octets)
                client = logged_in(server)
                described = client.send(b"x FETCH 1 (ENVELOPE BODY BODYSTRUCTURE)\r\n")
                head, _, rest = described.partition(b"ENVELOPE ")
                self.assertEqual(b"* 1 FETCH (", head)
                wire, _, last = rest.rpartition(b")\r\nx OK")
                self.assertTrue(last, described[-200:])
                self.assertLess(len(wire), 65_536 + 8 * len(octets))
                assert_nested(wire.replace(b" BODYSTRUCTURE ", b" ", 1).replace(b" BODY ", b" ", 1))
                found = client.send(b"x FETCH 1 BODY.PEEK[%b]\r\n" % section.encode())
                self.assertIn(b"x OK", found[-40:])
                self.assertNotIn(b"] NIL)", found[-60:])
                self.assertIn(b"* SEARCH 1\r\n", client.send(b'x SEARCH TEXT "needle"\r\n'), name)
                self.assertIn(b"x OK", client.send(b'x SEARCH FROM "nobody" TO "nobody" SUBJECT "nothing"\r\n')[-40:])
                client.close()
