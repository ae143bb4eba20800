"""Results are collected, and sent when their day is over, to those who may be written to."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.dmarc import DomainDay, ReportedPolicy, ReportedRow
from pymailsuite.interfaces.policy import MailTransaction, MethodResult, PolicyContext, ReceivedMessage, Stage, Verdict
from pymailsuite.policy.dmarc.policy import make_policy
from pymailsuite.policy.dmarc.record import ReportAddress
from pymailsuite.policy.dmarc.reports.aggregate import Reporter, build_aggregate, report_message
from pymailsuite.policy.dmarc.reports.destinations import verified_destinations
from pymailsuite.policy.dmarc.reports.posting import Outgoing
from pymailsuite.policy.dmarc.reports.reading import read_report
from pymailsuite.policy.dmarc.reports.sending import ReportSender
from pymailsuite.values import Address, Peer, QueueId
from tests.policy.dmarc.reports.samples import DAY, FORGED, NOON_OF_THE_NEXT_S, PASSED, POLICY
from tests.support.intake import RecordingIntake
from tests.support.stores import make_store

SETTINGS = DmarcSettings(reports=True, report_from="dmarc@mx.test", report_interval=600)
TXT = {"example.com._report._dmarc.reports.test": [b"v=DMARC1; rua=mailto:in@reports.test!10k"]}


class DestinationTests(SynchronousTestCase):
    def verified(self, resolver: FakeResolver, *addresses: str, tree_walk: bool = True) -> list[str]:
        wanted = tuple(map(ReportAddress, addresses))
        asked = verified_destinations(resolver, "sub.example.com", wanted, tree_walk=tree_walk)
        found = Deferred.fromCoroutine(asked)
        return [address.address for address in self.successResultOf(found)]

    def test_the_own_organization_needs_no_permission(self) -> None:
        addresses = ["a@example.com", "b@x.example.com", "c@Sub.Example.com"]
        by_list = FakeResolver()
        self.assertEqual(addresses, self.verified(by_list, *addresses, tree_walk=False))
        self.assertEqual([], by_list.questions)
        records = {"_dmarc.sub.example.com": [b"v=DMARC1; p=none"], "_dmarc.example.com": [b"v=DMARC1; p=none"]}
        self.assertEqual(addresses, self.verified(FakeResolver(txt=records), *addresses))
        del records["_dmarc.example.com"]
        self.assertEqual(["c@Sub.Example.com"], self.verified(FakeResolver(txt=records), *addresses))

    def test_others_must_say_that_they_want_them(self) -> None:
        name = "sub.example.com._report._dmarc"
        resolver = FakeResolver(
            txt={
                f"{name}.yes.test": [b"v=DMARC1"],
                f"{name}.spf.test": [b"v=spf1 -all"],
                f"{name}.moved.test": [b"v=DMARC1; rua=mailto:new@moved.test,mailto:x@elsewhere.test"],
                "*._report._dmarc.star.test": [b"v=DMARC1"],
            }
        )
        asked = [f"a@{host}.test" for host in ("yes", "no", "spf", "moved")]
        self.assertEqual(["a@yes.test", "new@moved.test"], self.verified(resolver, *asked, "nobody"))


class CollectingTests(SynchronousTestCase):
    def collected(
        self, header: bytes, recipient: str = "bob@mx.test", rua: bytes = b"rua=mailto:a@example.com"
    ) -> DomainDay | None:
        clock = Clock()
        clock.advance(DAY * 86_400 + 5.0)
        store = make_store(clock)
        resolver = FakeResolver(txt={"_dmarc.example.com": [b"v=DMARC1; p=reject;" + rua]})
        policy = make_policy(PolicyContext(SETTINGS, None, "mx.test", "mx.test", resolver, store, clock))
        spf = MethodResult("spf", "pass", properties=(("smtp.mailfrom", "x@Bounce.test"),))
        dkim = MethodResult("dkim", "pass", properties=(("header.d", "example.com"), ("header.s", "s1")))
        transaction = MailTransaction(
            Stage.MESSAGE,
            Peer("192.0.2.1"),
            "mx.test",
            reverse_path=Address("x", "bounce.test"),
            recipients=(Address(*recipient.split("@")),),
            message=ReceivedMessage(QueueId("1"), 1, header + b"\r\n\r\n"),
            verdicts={"spf": Verdict(results=(spf,)), "dkim": Verdict(results=(dkim,))},
        )
        self.successResultOf(policy.message(transaction))
        return self.successResultOf(store.dmarc.claim(DAY + 1, 60, 100))

    def test_a_message_becomes_a_row_without_anybodys_address(self) -> None:
        found = self.collected(b"From: a@example.com")
        assert found is not None
        self.assertEqual((DAY, "example.com", "reject"), (found.day, found.policy.domain, found.policy.p))
        row = ReportedRow(
            "192.0.2.1",
            "pass",
            "pass",
            "fail",
            "example.com",
            "bounce.test",
            auth_dkim=(("example.com", "s1", "pass"),),
            auth_spf=(("bounce.test", "mfrom", "pass"),),
        )
        self.assertEqual(((row, 1),), found.rows)

    def test_what_passes_without_an_enforced_policy_is_not_acted_on(self) -> None:
        """RFC 9990 appendix A, ActionDispositionType."""
        found = self.collected(b"From: a@sub.example.com", rua=b"sp=none;rua=mailto:a@example.com")
        assert found is not None
        self.assertEqual("none", found.rows[0][0].disposition)

    def test_nothing_is_kept_where_nobody_wants_to_know(self) -> None:
        self.assertIsNone(self.collected(b"From: a@example.com", rua=b""))
        self.assertIsNone(self.collected(b"From: a@other.test"))

    def test_reports_are_not_reported(self) -> None:
        self.assertIsNone(self.collected(b"From: a@example.com\r\nSubject: Report Domain: mx.test Submitter: x"))
        self.assertIsNone(self.collected(b"From: a@example.com", recipient="DMARC@mx.test"))


class SendingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOON_OF_THE_NEXT_S)
        self.store = make_store(self.clock)
        self.intake = RecordingIntake()
        for row in (PASSED, PASSED, FORGED):
            self.successResultOf(self.store.dmarc.note(DAY, POLICY, row))

    def sender(self, resolver: FakeResolver | None = None, **options: Any) -> ReportSender:
        settings = SETTINGS.model_copy(update=options)
        sender = ReportSender(
            settings,
            "mx.test",
            self.store.dmarc,
            resolver or FakeResolver(txt=TXT),
            Outgoing(self.intake),
            self.clock,
            maybeDeferred,
        )
        sender.startService()
        self.addCleanup(lambda: sender.running and sender.stopService())
        return sender

    def sent_to(self) -> list[str]:
        return [str(message.envelope.recipients[0]) for message in self.intake.messages if message.committed]

    def test_a_report_goes_to_all_who_may_have_it_once(self) -> None:
        self.sender()
        self.assertEqual([], self.sent_to())
        self.clock.advance(600)
        self.assertEqual(["agg@example.com", "in@reports.test"], self.sent_to())
        message = self.intake.messages[0]
        self.assertEqual(("dmarc@mx.test", ""), (str(message.envelope.reverse_path), message.peer.ip))
        self.assertEqual(3, read_report(message.octets).messages)
        self.clock.advance(7200)
        self.assertEqual(2, len(self.sent_to()))

    def test_two_nodes_send_one_report(self) -> None:
        self.sender()
        self.sender()
        self.clock.advance(600)
        self.assertEqual(2, len(self.sent_to()))

    def test_a_day_that_is_not_over_waits(self) -> None:
        self.successResultOf(self.store.dmarc.finish(DAY, "example.com"))
        self.successResultOf(self.store.dmarc.note(DAY + 1, POLICY, PASSED))
        self.sender()
        self.clock.advance(600)
        self.assertEqual([], self.sent_to())
        self.clock.pump([600] * 80)
        self.assertEqual(2, len(self.sent_to()))

    def test_what_is_too_big_is_not_sent(self) -> None:
        self.sender(report_size_max=100)
        self.clock.advance(600)
        self.assertEqual([], self.sent_to())

    def test_a_receivers_limit_is_about_the_encoded_report(self) -> None:
        """RFC 9990 §3.5."""
        reporter = Reporter("mx.test", "dmarc@mx.test", "", "mx.test")
        report = build_aggregate(DomainDay(DAY, ReportedPolicy("big.test", "none"), ((PASSED, 1),)), reporter)
        mail = report_message(report, reporter, "b@mx.test", 0.0)
        self.assertEqual(report.encoded_size, len(mail.rpartition(b"\r\n\r\n")[2].rpartition(b"--=_")[0]))
        rua = (("fits@big.test", report.encoded_size), ("small@big.test", report.encoded_size - 1))
        self.successResultOf(self.store.dmarc.finish(DAY, "example.com"))
        self.successResultOf(self.store.dmarc.note(DAY, ReportedPolicy("big.test", "none", rua=rua), PASSED))
        self.sender()
        self.clock.advance(600)
        self.assertEqual(["fits@big.test"], self.sent_to())

    def test_dns_that_fails_delays_a_report_and_no_other(self) -> None:
        other = POLICY.__class__("zebra.test", "none", rua=(("a@zebra.test", None),))
        self.successResultOf(self.store.dmarc.note(DAY, other, PASSED))
        failing = self.sender(FakeResolver(failing=list(TXT)))
        self.clock.advance(600)
        self.assertEqual(["a@zebra.test"], self.sent_to())
        self.successResultOf(failing.stopService())
        self.sender()
        self.clock.pump([600] * 8)
        self.assertEqual(["a@zebra.test", "agg@example.com", "in@reports.test"], self.sent_to())

    def test_what_could_not_be_sent_for_days_is_dropped(self) -> None:
        self.sender(FakeResolver(failing=list(TXT)))
        self.clock.pump([3600] * 24 * 4)
        self.assertEqual([], self.sent_to())
        self.assertIsNone(self.successResultOf(self.store.dmarc.claim(DAY + 10, 60, 1)))

    def test_a_store_that_fails_is_asked_again_later(self) -> None:
        self.intake.commit_answers.append(StoreUnavailable())
        self.sender()
        self.clock.advance(600)
        self.assertEqual(["agg@example.com"], self.sent_to())
        self.clock.pump([600] * 8)
        self.assertEqual(["agg@example.com", "in@reports.test"], self.sent_to()[1:])
