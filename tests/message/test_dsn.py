"""Delivery status notifications. Source: RFC 3464."""

from __future__ import annotations

import email
import email.message
import email.policy
import re

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.dsn import Action, BuiltDsn, Dsn, DsnRecipient, build_dsn, typed_address
from pymailsuite.values import Address, BodyType, Envelope
from tests.acceptance import acceptance

NOW = 1795314010.0
HEADER = b"Received: from y\r\nMessage-ID: <1@y.example>\r\nFrom: bob@y.example\r\nSubject: hello\r\n\r\n"
BODY = b"line one\r\n" * 10
RECIPIENT = DsnRecipient(
    Address("alice", "x.example"),
    Action.FAILED,
    "5.1.1",
    "550 5.1.1 <alice@x.example>: no such user",
    remote_mta="mx.x.example",
    original_recipient="rfc822;al@x.example",
    last_attempt=NOW,
    will_retry_until=NOW + 432000,
)
REPORT = Dsn(
    reporting_mta="mx.y.example",
    queue_id="Q7",
    arrival_date=NOW - 60,
    reverse_path=Address("bob", "y.example"),
    recipients=(RECIPIENT,),
    original=HEADER + BODY,
    header_size=len(HEADER),
    envelope_id="env 1",
)


def built(report: Dsn, return_octets: int = 10_000) -> BuiltDsn:
    result = build_dsn(report, NOW, return_octets=return_octets, identity="<id@mx.y.example>")
    boundary = re.search(rb'boundary="(.*?)"', result.octets)
    assert boundary is not None
    return evolve(result, octets=result.octets.replace(boundary[1], b"BOUNDARY"))


class FailureTests(SynchronousTestCase):
    @acceptance("S079")
    def test_a_failure_octet_for_octet(self) -> None:
        self.assertEqual(
            b"""\
From: Mail Delivery System <MAILER-DAEMON@mx.y.example>
To: <bob@y.example>
Subject: Undelivered Mail Returned to Sender
Date: Sun, 22 Nov 2026 02:20:10 +0000
Message-ID: <id@mx.y.example>
In-Reply-To: <1@y.example>
References: <1@y.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="BOUNDARY"
Content-Transfer-Encoding: 7bit

This is a MIME-encapsulated message.

--BOUNDARY
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit

This is the mail system at mx.y.example.

Your message could not be delivered to the recipients below, and no further attempt will be made.
It is attached, as far as its size allows.

<alice@x.example>: the server mx.x.example said:
    550 5.1.1 <alice@x.example>: no such user

If you ask the postmaster about this, please quote the number Q7.

--BOUNDARY
Content-Description: Delivery report
Content-Type: message/delivery-status
Content-Transfer-Encoding: 7bit

Reporting-MTA: dns; mx.y.example
Original-Envelope-Id: env 1
X-Queue-ID: Q7
Arrival-Date: Sun, 22 Nov 2026 02:19:10 +0000

Original-Recipient: rfc822;al@x.example
Final-Recipient: rfc822; alice@x.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.x.example
Diagnostic-Code: smtp; 550 5.1.1 <alice@x.example>: no such user
Last-Attempt-Date: Sun, 22 Nov 2026 02:20:10 +0000

--BOUNDARY
Content-Description: Undelivered message
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

""".replace(b"\n", b"\r\n")
            + HEADER
            + BODY
            + b"\r\n--BOUNDARY--\r\n",
            built(REPORT).octets,
        )

    @acceptance("S079")
    def test_it_goes_out_from_the_null_reverse_path(self) -> None:
        self.assertEqual(Envelope(None, (Address("bob", "y.example"),), BodyType.SEVENBIT), built(REPORT).envelope)

    def test_the_standard_library_reads_it(self) -> None:
        message = email.message_from_bytes(built(REPORT).octets, policy=email.policy.default)
        self.assertEqual("multipart/report", message.get_content_type())
        self.assertEqual(
            ["text/plain", "message/delivery-status", "message/rfc822"],
            [part.get_content_type() for part in message.iter_parts()],  # type: ignore[attr-defined]
        )
        self.assertEqual([], [defect for part in message.walk() for defect in part.defects])

    def test_a_reply_cannot_add_fields(self) -> None:
        hostile = evolve(
            RECIPIENT, diagnostic="550 no\r\n\r\n--BOUNDARY\r\nBcc: x\x00\x1b[2J é", remote_mta="m\r\nX: y"
        )
        octets = built(evolve(REPORT, recipients=(hostile,))).octets
        self.assertNotIn(b"\nBcc", octets)
        self.assertNotIn(b"\nX:", octets)
        self.assertEqual(4, len(re.findall(rb"\n--BOUNDARY", octets)))
        self.assertTrue(octets.isascii())

    def test_long_replies_are_folded_and_bounded(self) -> None:
        octets = built(evolve(REPORT, recipients=(evolve(RECIPIENT, diagnostic="550 " + "x" * 50_000),))).octets
        self.assertLess(max(map(len, octets.split(b"\r\n"))), 998)

    def test_without_recipients_there_is_nothing_to_report(self) -> None:
        self.assertRaises(ValueError, build_dsn, evolve(REPORT, recipients=()), NOW)


class OtherKindTests(SynchronousTestCase):
    @acceptance("S079")
    def test_a_delay_warns_and_says_until_when(self) -> None:
        octets = built(evolve(REPORT, recipients=(evolve(RECIPIENT, action=Action.DELAYED, status="4.4.1"),))).octets
        self.assertIn(b"\r\nSubject: Delayed Mail (still being retried)\r\n", octets)
        self.assertIn(b"\r\nAction: delayed\r\nStatus: 4.4.1\r\n", octets)
        self.assertIn(b"\r\nWill-Retry-Until: Fri, 27 Nov 2026 02:20:10 +0000\r\n", octets)
        self.assertIn(b"This is a warning only", octets)

    def test_success_and_relay(self) -> None:
        for action in (Action.DELIVERED, Action.RELAYED, Action.EXPANDED):
            octets = built(evolve(REPORT, recipients=(evolve(RECIPIENT, action=action, status="2.0.0"),))).octets
            self.assertIn(b"\r\nSubject: Successful Mail Delivery Report\r\n", octets)
            self.assertIn(b"\r\nAction: %b\r\n" % action.value.encode(), octets)

    def test_reasons_of_our_own_are_no_smtp_reply(self) -> None:
        ours = evolve(RECIPIENT, remote_mta="", diagnostic="host not found")
        octets = built(evolve(REPORT, recipients=(ours,))).octets
        self.assertIn(b"\r\nDiagnostic-Code: X-pymailsuite; host not found\r\n", octets)
        self.assertNotIn(b"Remote-MTA", octets)


class ReturnTests(SynchronousTestCase):
    @acceptance("S080")
    def test_a_long_message_is_cut_between_lines(self) -> None:
        octets = built(REPORT, return_octets=len(HEADER) + 25).octets
        self.assertIn(b"Content-Description: Undelivered message, its beginning\r\n", octets)
        self.assertTrue(octets.endswith(HEADER + b"line one\r\nline one\r\n\r\n--BOUNDARY--\r\n"), octets)

    @acceptance("S080")
    def test_the_header_alone_when_asked_or_when_no_more_fits(self) -> None:
        for report, return_octets in ((evolve(REPORT, full=False), 10_000), (REPORT, 10)):
            octets = built(report, return_octets).octets
            self.assertIn(b"Content-Type: text/rfc822-headers\r\n", octets)
            self.assertTrue(octets.endswith(HEADER + b"\r\n--BOUNDARY--\r\n"), octets)

    def test_the_beginning_of_a_message_is_said_to_be_one(self) -> None:
        octets = built(evolve(REPORT, original_size=10**6)).octets
        self.assertIn(b"Undelivered message, its beginning", octets)

    @acceptance("S080")
    def test_a_delay_returns_the_header_only(self) -> None:
        # RFC 3461 §4.3: RET speaks of failures only.
        octets = built(evolve(REPORT, recipients=(evolve(RECIPIENT, action=Action.DELAYED),))).octets
        self.assertIn(b"Content-Type: text/rfc822-headers\r\n", octets)
        self.assertNotIn(b"line one", octets)

    def test_addresses_beyond_ascii_take_the_utf8_forms(self) -> None:
        header = HEADER.replace(b"hello", "grün".encode())
        result = built(
            evolve(
                REPORT,
                reverse_path=Address("jürgen", "y.example"),
                recipients=(evolve(RECIPIENT, recipient=Address("é", "x.example"), original_recipient="utf-8;é@x"),),
                original=header,
                header_size=len(header),
                full=False,
            )
        )
        self.assertTrue(result.envelope.smtputf8)
        self.assertIn(b"Content-Type: message/global-delivery-status\r\n", result.octets)
        self.assertIn(b"Content-Type: message/global-headers\r\n", result.octets)
        self.assertIn("\r\nFinal-Recipient: utf-8; é@x.example\r\n".encode(), result.octets)


class WeakestHostTests(SynchronousTestCase):
    """A report that is not delivered is lost: every host must be able to take it."""

    def assert_sendable(self, result: BuiltDsn) -> email.message.EmailMessage:
        """It is of 7 bits in lines of a usual length, and what it says comes back out of it."""
        self.assertTrue(result.octets.isascii())
        self.assertNotIn(b"\0", result.octets)
        lines = result.octets.split(b"\r\n")
        self.assertLessEqual(max(map(len, lines)), 998)
        self.assertFalse([line for line in lines if b"\r" in line or b"\n" in line])
        self.assertEqual((BodyType.SEVENBIT, False), (result.envelope.body, result.envelope.smtputf8))
        message = email.message_from_bytes(result.octets, policy=email.policy.default)
        self.assertEqual([], [defect for part in message.walk() for defect in part.defects])
        assert isinstance(message, email.message.EmailMessage)
        return message

    def test_of_a_body_beyond_7_bits_only_the_header_is_returned(self) -> None:
        for body in ("grün\r\n".encode(), b"a\0b\r\n", b"x" * 999 + b"\r\n", b"bare\nend\r\n", b"bare\rend\r\n"):
            result = built(evolve(REPORT, original=HEADER + body))
            self.assert_sendable(result)
            self.assertIn(b"Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n", result.octets)
            self.assertTrue(result.octets.endswith(HEADER + b"\r\n--BOUNDARY--\r\n"), result.octets)
            self.assertIn(b"\r\nIts header is attached.\r\n", result.octets)

    def test_a_header_beyond_7_bits_is_encoded(self) -> None:
        for subject in ("grün".encode(), b"gr\xfcn", b"a\0b", b"a\rb", b"a\nb", b"x" * 1500):
            header = HEADER.replace(b"hello", subject)
            message = self.assert_sendable(built(evolve(REPORT, original=header + BODY, header_size=len(header))))
            returned = list(message.iter_parts())[2]
            self.assertEqual("text/rfc822-headers", returned.get_content_type())
            self.assertEqual("quoted-printable", returned["content-transfer-encoding"])
            self.assertEqual(header, returned.get_payload(decode=True))

    def test_what_a_server_said_beyond_ascii_can_be_read(self) -> None:
        said = evolve(RECIPIENT, diagnostic="550 5.1.1 Empfänger unbekannt", remote_mta="mx.bücher.example")
        result = built(evolve(REPORT, recipients=(said,)))
        message = self.assert_sendable(result)
        human = next(message.iter_parts())
        self.assertIn("550 5.1.1 Empfänger unbekannt", human.get_payload(decode=True).decode())  # type: ignore[union-attr]
        self.assertIn(b"\r\nDiagnostic-Code: smtp; 550 5.1.1 Empf?nger unbekannt\r\n", result.octets)

    def test_domains_are_in_a_labels(self) -> None:
        someone = Address("al", "bücher.example")
        result = built(
            evolve(
                REPORT,
                reporting_mta="mx.bücher.example",
                reverse_path=Address("bob", "bücher.example"),
                recipients=(
                    evolve(RECIPIENT, recipient=someone, original_recipient=typed_address(someone)),
                    evolve(RECIPIENT, recipient=Address("é+=", "bücher.example")),
                ),
            )
        )
        self.assert_sendable(result)
        for line in (
            b"From: Mail Delivery System <MAILER-DAEMON@mx.xn--bcher-kva.example>",
            b"To: <bob@xn--bcher-kva.example>",
            b"Reporting-MTA: dns; mx.xn--bcher-kva.example",
            b"Original-Recipient: rfc822; al@xn--bcher-kva.example",
            b"Final-Recipient: rfc822; al@xn--bcher-kva.example",
            # RFC 6533 §3: utf-8-addr-xtext
            b"Final-Recipient: utf-8; \\x{E9}\\x{2B}\\x{3D}@b\\x{FC}cher.example",
        ):
            self.assertIn(b"\r\n%b\r\n" % line, b"\r\n" + result.octets)

    def test_only_what_a_server_said_has_the_type_of_smtp(self) -> None:
        # RFC 3464 §2.3.6 and §2.3.5: a reply code in front, and whose it is.
        for diagnostic in (
            "server does not offer 8BITMIME",
            "5500 is no code",
            "no reply after the message: 250 x",
            "",
        ):
            octets = built(evolve(REPORT, recipients=(evolve(RECIPIENT, diagnostic=diagnostic),))).octets
            self.assertNotIn(b"smtp;", octets)
            self.assertNotIn(b"Remote-MTA", octets)
            self.assertNotIn(b" said:", octets)
            self.assertIn(b"\r\n<alice@x.example>, at the server mx.x.example:\r\n", octets)
