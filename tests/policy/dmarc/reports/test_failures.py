"""Failure reports: about what, to whom, how often, and what they show."""

from __future__ import annotations

import email
import email.policy
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.dmarc import IFailureStore
from pymailsuite.interfaces.policy import MailTransaction, MethodResult, PolicyContext, ReceivedMessage, Stage, Verdict
from pymailsuite.policy.dmarc.policy import make_policy
from pymailsuite.policy.dmarc.reports.failures import FailureReportSender
from pymailsuite.policy.dmarc.reports.feedback import is_feedback, read_feedback
from pymailsuite.policy.dmarc.reports.posting import Outgoing
from pymailsuite.policy.dmarc.reports.reading import BadReportError
from pymailsuite.values import Address, Peer, QueueId
from tests.support.intake import RecordedMessage, RecordingIntake
from tests.support.stores import make_store

NOW = 1_790_000_000.0
SETTINGS = DmarcSettings(failure_reports=True, report_from="dmarc@mx.test", failure_report_interval=60)
HEADER = (
    b'Received: from secret.internal by x\r\nFrom: "The Boss" <boss@example.com>\r\nTo: ann@mx.test\r\n'
    b"Subject: pay\r\n this\r\nMessage-ID: <1@example.com>\r\nX-Private: yes\r\n"
)
SOMEONE = Address("someone", "example.com")
SPF_PASS = MethodResult("spf", "pass", properties=(("smtp.mailfrom", "x@example.com"),))
SPF_FAIL = MethodResult("spf", "fail", "because", (("smtp.mailfrom", "someone@example.com"),))
SPF_ELSEWHERE = MethodResult("spf", "pass", properties=(("smtp.mailfrom", "someone@other.test"),))
DKIM_PASS = MethodResult("dkim", "pass", properties=(("header.d", "example.com"),))
DKIM_FAIL = MethodResult(
    "dkim", "fail", properties=(("header.d", "example.com"), ("header.i", "boss@example.com"), ("header.s", "s1"))
)


class FailureCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.intake = RecordingIntake()
        self.txt: dict[str, Any] = {"example.com": [b"v=spf1 -all"]}

    def receive(
        self,
        *results: MethodResult,
        record: bytes = b"v=DMARC1; p=reject; ruf=mailto:owner@example.com",
        header: bytes = HEADER,
        sender: Address | None = SOMEONE,
        recipient: str = "ann@mx.test",
        ip: str = "192.0.2.1",
        settings: DmarcSettings = SETTINGS,
    ) -> None:
        self.txt["_dmarc.example.com"] = [record]
        resolver = FakeResolver(txt=self.txt)
        policy = make_policy(PolicyContext(settings, None, "mx.test", "mx.test", resolver, self.store, self.clock))
        verdicts = {
            name: Verdict(results=tuple(one for one in results if one.method == name)) for name in ("spf", "dkim")
        }
        message = ReceivedMessage(QueueId("1"), 1, header + b"\r\n")
        transaction = MailTransaction(
            Stage.MESSAGE,
            Peer(ip),
            "mx.test",
            reverse_path=sender,
            recipients=(Address(*recipient.split("@")),),
            message=message,
            verdicts=verdicts,
        )
        self.successResultOf(policy.message(transaction))

    def send(self, seconds: float = 60, **options: Any) -> list[RecordedMessage]:
        """What has left after the next round."""
        settings = SETTINGS.model_copy(update=options)
        sender = FailureReportSender(
            settings,
            "mx.test",
            self.store.dmarc_failures,
            self.store.state,
            FakeResolver(txt=self.txt),
            Outgoing(self.intake),
            self.clock,
        )
        sender.startService()
        self.clock.advance(seconds)
        self.successResultOf(maybeDeferred(sender.stopService))
        return [message for message in self.intake.messages if message.committed]


class WantedTests(FailureCase):
    def is_told(self, fo: str, *results: MethodResult) -> bool:
        before = len(self.intake.messages)
        self.receive(*results, record=f"v=DMARC1; p=none; ruf=mailto:o@example.com; fo={fo}".encode())
        return len(self.send(failure_reports_per_hour=1000)) > before

    def test_what_is_told_is_as_the_owner_wants_it(self) -> None:
        for fo, results, told in (
            ("0", (SPF_FAIL, DKIM_FAIL), True),
            ("0", (SPF_PASS, DKIM_FAIL), False),
            ("0", (SPF_ELSEWHERE,), True),
            ("1", (SPF_PASS, DKIM_FAIL), True),
            ("1", (SPF_PASS, DKIM_PASS), False),
            ("d", (SPF_PASS, DKIM_FAIL), True),
            ("d", (SPF_FAIL, DKIM_PASS), False),
            ("s", (SPF_FAIL, DKIM_PASS), True),
            ("d:s", (SPF_ELSEWHERE,), False),
            ("nonsense", (SPF_PASS, DKIM_FAIL), False),
        ):
            self.assertEqual(told, self.is_told(fo, *results), (fo, results))

    def test_it_is_off_by_default_and_needs_an_address(self) -> None:
        self.assertFalse(DmarcSettings().failure_reports)
        self.assertRaises(ValueError, DmarcSettings, failure_reports=True)
        self.receive(settings=DmarcSettings(reports=True, report_from="dmarc@mx.test"))
        self.assertEqual([], self.send())

    def test_nobody_is_told_of_bounces_and_reports(self) -> None:
        self.receive(sender=None)
        self.receive(recipient="DMARC@mx.test")
        self.receive(header=b"From: a@example.com\r\nContent-Type: Multipart/Report; report-type=feedback-report\r\n")
        self.receive(header=b"From: a@example.com\r\nSubject: Report Domain: x\r\n")
        self.assertEqual([], self.send())

    def test_nobody_is_told_who_did_not_ask_or_has_not_agreed_or_runs_a_public_suffix(self) -> None:
        for record in (b"v=DMARC1; p=reject", b"v=DMARC1; p=reject; ruf=mailto:a@victim.test"):
            self.receive(record=record)
        self.receive(record=b"v=DMARC1; p=reject; psd=y; ruf=mailto:owner@example.com", ip="192.0.2.2")
        self.assertEqual([], self.send())
        self.receive(record=b"v=DMARC1; p=reject; ruf=mailto:a@agreed.test")
        self.txt["example.com._report._dmarc.agreed.test"] = [b"v=DMARC1; ruf=mailto:b@agreed.test"]
        self.assertEqual(["b@agreed.test"], [str(sent.envelope.recipients[0]) for sent in self.send()])


class LimitTests(FailureCase):
    def test_like_messages_are_one_report(self) -> None:
        for _ in range(5):
            self.receive(SPF_FAIL)
        self.receive(SPF_FAIL, ip="192.0.2.2")
        octets = [sent.octets for sent in self.send()]
        self.assertEqual([False, True], sorted(b"Incidents: 5\r\n" in one for one in octets))

    def test_a_domain_gets_so_many_an_hour_and_all_together_too(self) -> None:
        for options, most in (({"failure_reports_per_hour": 3}, 3), ({"failure_reports_in_all": 2}, 2)):
            before = len(self.intake.messages)
            for number in range(6):
                self.receive(ip=f"192.0.2.{number}")
            self.assertEqual(most, len(self.send(**options)) - before)
            self.assertEqual(most, len(self.send(**options)) - before)
            self.clock.advance(3600)
            self.receive(ip="192.0.2.99")
            self.assertEqual(most + 1, len(self.send(**options)) - before)
            self.clock.advance(3600)

    def test_no_more_of_a_domain_wait_than_may_be_sent(self) -> None:
        for number in range(30):
            self.receive(ip=f"192.0.2.{number}")
        self.assertEqual(SETTINGS.failure_reports_per_hour, self.waiting())

    def test_no_more_wait_in_all_than_may_be_sent(self) -> None:
        for number in range(30):
            self.receive(ip=f"192.0.2.{number}", settings=SETTINGS.model_copy(update={"failure_reports_in_all": 4}))
        self.assertEqual(4, self.waiting())

    def waiting(self) -> int:
        number = 0
        while self.successResultOf(self.store.dmarc_failures.claim(60)) is not None:
            number += 1
        return number

    def test_what_cannot_be_queued_is_tried_again_and_dropped_after_a_day(self) -> None:
        self.receive()
        self.intake.commit_answers.append(StoreUnavailable())
        self.assertEqual([], [sent for sent in self.send() if not sent.aborted])
        self.assertEqual([], [sent for sent in self.send() if not sent.aborted])
        self.clock.advance(1000)
        self.assertEqual(1, len([sent for sent in self.send() if not sent.aborted]))
        self.receive()
        self.clock.advance(2 * 86_400)
        self.assertEqual(1, len([sent for sent in self.send() if not sent.aborted]))
        self.assertIsNone(self.successResultOf(self.store.dmarc_failures.claim(60)))


class ReportTests(FailureCase):
    def report(self, *results: MethodResult, **options: Any) -> Any:
        self.receive(*results, **options)
        (sent,) = self.send()
        self.sent = sent
        return email.message_from_bytes(sent.octets, policy=email.policy.default)

    def feedback(self) -> dict[str, str]:
        return dict(read_feedback(self.sent.octets).fields)

    def test_it_shows_what_was_found_and_some_fields_and_nobodys_address(self) -> None:
        verifyObject(IFailureStore, self.store.dmarc_failures)
        report = self.report(SPF_FAIL, DKIM_FAIL)
        self.assertIsNone(self.sent.envelope.reverse_path)
        self.assertEqual(("owner@example.com",), tuple(map(str, self.sent.envelope.recipients)))
        self.assertEqual("feedback-report", report["content-type"].params["report-type"])
        kinds = [part.get_content_type() for part in report.iter_parts()]
        self.assertEqual(["text/plain", "message/feedback-report", "text/rfc822-headers"], kinds)
        fields = self.feedback()
        self.assertEqual(
            ("auth-failure", "1", "dmarc", "dkim, spf", "example.com", "192.0.2.1"),
            tuple(
                fields[name]
                for name in (
                    *("feedback-type", "version", "auth-failure", "identity-alignment", "reported-domain"),
                    "source-ip",
                )
            ),
        )
        self.assertEqual(
            ("example.com", "boss@example.com", "s1"),
            tuple(fields[f"dkim-{name}"] for name in ("domain", "identity", "selector")),
        )
        self.assertEqual('txt : example.com : "v=spf1 -all"', fields["spf-dns"])
        self.assertEqual("<someone@example.com>", fields["original-mail-from"])
        self.assertIn("dmarc=fail", fields["authentication-results"])
        shown = self.sent.octets.split(b"text/rfc822-headers")[1]
        self.assertIn(b"Subject: pay\r\n this\r\n", shown)
        for secret in (b"ann@mx.test", b"secret.internal", b"X-Private", b"because"):
            self.assertNotIn(secret, self.sent.octets)

    def test_whose_mail_it_was_elsewhere_is_nothing_to_the_owner(self) -> None:
        self.report(SPF_ELSEWHERE, sender=Address("someone", "other.test"))
        self.assertNotIn(b"someone", self.sent.octets)
        fields = self.feedback()
        self.assertIn("smtp.mailfrom=other.test", fields["authentication-results"])
        self.assertNotIn("original-mail-from", fields)
        self.assertNotIn("spf-dns", fields)

    def test_a_header_that_breaks_the_rules_is_encoded_and_a_large_one_cut(self) -> None:
        header = b"From: a@example.com\r\nSubject: \xe4\xff " + b"x" * 2000 + b"\r\n"
        report = self.report(header=header + b"List-Id: <y>\r\n" * 5000)
        part = list(report.iter_parts())[2]
        self.assertEqual("quoted-printable", part["content-transfer-encoding"])
        self.assertTrue(part.get_payload(decode=True).startswith(header))
        self.assertLess(len(self.sent.octets), 40_000)
        self.assertTrue(all(len(line) <= 998 for line in self.sent.octets.split(b"\r\n")))
        self.assertNotRegex(self.sent.octets, rb"(?<!\r)\n")


class ReadingTests(FailureCase):
    def test_what_we_send_is_read(self) -> None:
        self.receive(SPF_FAIL)
        (sent,) = self.send()
        self.assertTrue(is_feedback(sent.octets))
        report = read_feedback(sent.octets)
        self.assertEqual("<dmarc@mx.test>", report.reporter)
        self.assertEqual(("from", '"The Boss" <boss@example.com>'), report.original[0])
        self.assertIn(("subject", "pay this"), report.original)

    def test_it_is_known_by_what_it_is_whatever_its_label_says(self) -> None:
        self.receive(SPF_FAIL)
        (sent,) = self.send()
        label = b"Content-Type: message/feedback-report"
        self.assertEqual(1, sent.octets.count(label))
        for other in (b"Content-Type: text/plain", b"ContentType: x", label + b"\r\nContent-Transfer-Encoding: x-what"):
            octets = sent.octets.replace(label, other)
            self.assertTrue(is_feedback(octets), other)
            self.assertIn(("auth-failure", "dmarc"), read_feedback(octets).fields)

    def test_others_that_are_no_reports_are_refused(self) -> None:
        start = b"Content-Type: message/feedback-report\r\n\r\n"
        self.assertFalse(is_feedback(b"From: a@b.test\r\n\r\nhello"))
        self.assertRaises(BadReportError, read_feedback, start)
        self.assertRaises(BadReportError, read_feedback, start + b"Version: 1\r\n")
        base64 = b"Content-Type: message/feedback-report\r\nContent-Transfer-Encoding: x-what\r\n\r\nabc"
        self.assertRaises(BadReportError, read_feedback, base64)
