"""Reports of success from the queue, and what a sender asks of reports from SMTP in to SMTP out."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.config.sections.smtp import SmtpMxSettings
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.directory.return_paths import ReturnPathResolver, ReturnPaths
from pymailsuite.errors import StorageFull
from pymailsuite.interfaces import Notify, Ret
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.queue.test_runner import BOB, CARL, QueueTestCase
from tests.smtp.conversations import Server
from tests.support.delivery import planner_for
from tests.support.stores import make_account

TEAM = Address("team", "example.org")
DSN = ("PIPELINING", "DSN")


class SuccessTests(QueueTestCase):
    def submit_asking(self, *recipients: str, mail: str = "", sender: str = "ann@example.org") -> None:
        """A message by SMTP from a trusted host; ``recipients`` are with their parameters."""
        server = Server(SmtpMxSettings(), resolver=self.recipients, intake=self.intake, clock=self.internet)
        conversation = server.connect("127.0.0.1")
        replies = conversation.say(
            "EHLO client.example",
            f"MAIL FROM:<{sender}> {mail}",
            *[f"RCPT TO:{recipient}" for recipient in recipients],
            "DATA",
        )
        self.assertIn("\r\n354 ", replies)
        replies = conversation.say("From: ann@example.org", "Message-ID: <1@example.org>", "", "World", ".")
        self.assertIn("250 2.0.0", replies)

    def told(self) -> list[tuple[str, str, str]]:
        """What the reports in Ann's inbox say: action, recipient, original recipient."""
        found = []
        for report in self.inbox():
            for one in report.get_payload(1).get_payload()[1:]:
                found.append((one["Action"], one["Final-Recipient"], one["Original-Recipient"]))
        return found

    @acceptance("S080")
    def test_a_host_that_offers_dsn_is_asked_what_we_were_asked_and_tells_the_sender_itself(self) -> None:
        sink = self.host(extensions=DSN)
        self.submit_asking(
            "<bob@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@client.example",
            "<bert@b.example> NOTIFY=NEVER",
            mail="RET=HDRS ENVID=QQ+20314159",
        )
        (entry,) = self.queue()
        self.assertEqual((entry.envid, entry.ret), ("QQ 314159", Ret.HDRS))
        asked = [(one.notify, one.orcpt) for one in entry.recipients]
        self.assertEqual(asked, [(Notify.SUCCESS | Notify.DELAY, "rfc822;x+y@client.example"), (Notify.NEVER, "")])
        self.runner.start()
        self.run_for()
        self.assertTrue(sink.commands[1].endswith(" RET=HDRS ENVID=QQ+20314159"), sink.commands[1])
        self.assertEqual(
            sink.commands[2:4],
            [
                "RCPT TO:<bob@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@client.example",
                "RCPT TO:<bert@b.example> NOTIFY=NEVER",
            ],
        )
        self.assertEqual((len(sink.messages), self.queue(), self.inbox()), (1, [], []))

    @acceptance("S080")
    def test_where_a_host_does_not_offer_dsn_we_say_that_it_was_relayed(self) -> None:
        sink = self.host()
        self.submit_asking("<bob@b.example> NOTIFY=SUCCESS ORCPT=rfc822;b@client.example", "<bert@b.example>")
        self.runner.start()
        self.run_for()
        self.assertEqual(sink.messages[0].recipients, ["bob@b.example", "bert@b.example"])
        self.assertNotIn("NOTIFY", " ".join(sink.commands))
        self.assertEqual(self.told(), [("relayed", "rfc822; bob@b.example", "rfc822;b@client.example")])
        (report,) = self.inbox()
        self.assertEqual(report.get_payload(1).get_payload()[1]["Remote-MTA"], "dns; mx.b.example")
        self.assertEqual(report.get_payload(2).get_content_type(), "text/rfc822-headers")
        self.assertEqual(self.queue(), [])

    def test_failures_and_successes_of_one_attempt_have_a_report_each(self) -> None:
        self.host(script={"RCPT bert@b.example": "550 5.1.1 no such user"})
        self.submit_asking("<bob@b.example> NOTIFY=SUCCESS,FAILURE", "<bert@b.example> NOTIFY=SUCCESS,FAILURE")
        self.runner.start()
        self.run_for()
        actions = sorted((action, recipient) for action, recipient, _ in self.told())
        self.assertEqual(actions, [("failed", "rfc822; bert@b.example"), ("relayed", "rfc822; bob@b.example")])

    def test_an_alias_to_several_is_reported_once_and_its_hosts_are_asked_for_the_rest(self) -> None:
        self.successResultOf(self.store.directory.set_alias(TEAM, [BOB, CARL]))
        with_dsn, without = self.host(extensions=DSN), self.host("192.0.2.2")
        self.submit_asking("<team@example.org> NOTIFY=SUCCESS,FAILURE")
        self.runner.start()
        self.run_for()
        self.assertIn("RCPT TO:<bob@b.example> NOTIFY=FAILURE", with_dsn.commands)
        self.assertEqual(len(without.messages), 1)
        self.assertEqual([one[:2] for one in self.told()], [("expanded", "rfc822; team@example.org")])

    def test_of_mail_whose_domain_has_become_ours_the_sender_is_told_that_it_was_delivered(self) -> None:
        self.submit_asking("<bob@b.example> NOTIFY=SUCCESS ORCPT=rfc822;b@client.example")
        bob = make_account(self.store, "bob@b.example").account_id
        self.internet.advance(60)  # until it is forgotten that the domain was not ours
        self.runner.start()
        self.run_for()
        self.assertEqual((len(self.inbox(bob)), self.queue()), (1, []))
        self.assertEqual(self.told(), [("delivered", "rfc822; bob@b.example", "rfc822;b@client.example")])

    @acceptance("S076")
    def test_a_report_on_what_an_alias_sent_on_finds_the_sender_behind_the_rewritten_return_path(self) -> None:
        settings, tags = ForwardingSettings(), BounceTagSettings()
        paths = ReturnPaths(settings, tags, self.store.secrets, self.internet, self.store.kept_paths)
        self.recipients = ReturnPathResolver(self.recipients, paths)
        self.planner = planner_for(self.store, self.internet, recipients=self.recipients, paths=paths)
        self.intake = MessageIntake(self.store, DeliverySettings(), self.planner, "mx.example.org", self.internet)
        self.successResultOf(self.store.directory.set_alias(TEAM, [BOB]))
        sink, back = self.host(), self.host("192.0.2.2")
        self.submit_asking("<team@example.org> NOTIFY=SUCCESS", sender="carl@c.example")
        self.make_runner().start()
        self.run_for()
        self.assertTrue(sink.messages[0].reverse_path.startswith("SRS0="), sink.messages[0].reverse_path)
        (report,) = back.messages
        self.assertEqual((report.reverse_path, report.recipients), ("", ["carl@c.example"]))
        self.assertIn(b"Action: relayed", report.content)
        self.assertIn(b"Original-Recipient: rfc822; team@example.org", report.content)

    @acceptance("S031")
    def test_nobody_is_told_of_mail_from_the_null_return_path(self) -> None:
        sink = self.host()
        self.submit_asking("<bob@b.example> NOTIFY=SUCCESS", sender="")
        self.runner.start()
        self.run_for()
        self.assertEqual((len(sink.messages), self.inbox(), self.queue()), (1, [], []))

    def test_a_report_that_cannot_be_written_does_not_send_the_message_twice(self) -> None:
        class Unwritten(Exception):
            """Whatever may go wrong."""

        for error in (StorageFull(), Unwritten()):
            sink = self.host()
            runner = self.make_runner()
            self.submit_asking("<bob@b.example> NOTIFY=SUCCESS")
            self.patch(runner._reporting.writer, "write", lambda report, error=error: _failing(error))
            runner.start()
            self.run_for(400, step=10)
            self.stop(runner)
            self.assertEqual((len(sink.messages), self.inbox(), self.queue()), (1, [], []))
        self.assertEqual(len(self.flushLoggedErrors(Unwritten)), 1)

    def test_a_sender_who_is_gone_costs_the_report_only(self) -> None:
        sink = self.host()
        self.submit_asking("<bob@b.example> NOTIFY=SUCCESS")
        self.successResultOf(self.store.directory.remove_account("ann@example.org"))
        self.runner.start()
        self.run_for()
        self.assertEqual((len(sink.messages), self.queue()), (1, []))


def _failing(error: Exception) -> Deferred[Any]:
    return fail(error)
