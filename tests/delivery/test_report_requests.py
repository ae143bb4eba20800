"""What a sender asks of reports goes along with the mail, and is told here where the mail comes to its end."""

from __future__ import annotations

import email
from email.message import Message
from typing import Any

from attrs import evolve

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.errors import MailError, Refusal
from pymailsuite.interfaces import LocalRecipient, Notify, QueueEntry, RemoteRecipient, Ret
from pymailsuite.interfaces.delivery import Discard, Refuse
from pymailsuite.interfaces.intake import GivenRecipients
from pymailsuite.interfaces.queue import SuccessKind
from pymailsuite.values import AccountId, Address, Envelope
from tests.acceptance import acceptance
from tests.delivery.test_intake import HELLO, PEER, SENDER, IntakeTestCase
from tests.delivery.test_plan import ANN, AT_ANN, AT_BEA, BOB, CARL, SAM, TEAM, TO_BOB, TO_CARL, PlanTestCase
from tests.support.delivery import planner_for, step

S, F, D, NEVER = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY, Notify.NEVER
ORIGINAL = "rfc822;first@client.example"


def envelope_asking(given: GivenRecipients, notify: Notify = S | F, **fields: Any) -> Envelope:
    asked = {address: {"NOTIFY": notify, "ORCPT": ORIGINAL} for address, _ in given}
    envelope = Envelope(SAM, tuple(asked), parameters={"RET": Ret.HDRS, "ENVID": "E 1"}, recipient_parameters=asked)
    return evolve(envelope, **fields)


class PlanTests(PlanTestCase):
    def carried(self, given: GivenRecipients, notify: Notify = S | F, *steps: Any) -> tuple[Any, Any]:
        """What goes along with the mail, by address, and the successes that are told here."""
        plan = self.plan(given, *steps, envelope=envelope_asking(given, notify))
        rows = {}
        for envelope in plan.outgoing:
            self.assertEqual((envelope.envid, envelope.ret), ("E 1", Ret.HDRS))
            rows |= {one.address: (one.notify, one.orcpt) for one in envelope.recipients}
        return rows, dict(plan.successes)

    def test_with_one_address_all_goes_along_alias_or_not(self) -> None:
        for notify in (S, S | F | D, F, NEVER, Notify.UNSAID):
            for given in (BOB, TEAM):
                self.assertEqual(self.carried([(given, (TO_BOB,))], notify), ({BOB: (notify, ORIGINAL)}, {}))

    def test_of_a_copy_here_the_sender_is_told_if_he_asked_for_it(self) -> None:
        for notify, told in ((S, True), (S | F, True), (F | D, False), (NEVER, False), (Notify.UNSAID, False)):
            expected = {TEAM: SuccessKind.DELIVERED} if told else {}
            self.assertEqual(self.carried([(TEAM, (AT_ANN,))], notify), ({}, expected))

    def test_an_address_that_leads_to_several_is_expanded_once_and_the_rest_goes_along(self) -> None:
        for targets in ((TO_BOB, TO_CARL), (AT_ANN, TO_BOB), (AT_ANN, AT_BEA)):
            remote = [one.address for one in targets if isinstance(one, RemoteRecipient)]
            for notify, rest in ((S | F, F), (S, NEVER), (S | F | D, F | D)):
                rows, told = self.carried([(TEAM, targets)], notify)
                self.assertEqual(rows, dict.fromkeys(remote, (rest, ORIGINAL)))
                self.assertEqual(told, {TEAM: SuccessKind.EXPANDED})
            for notify in (F, NEVER, Notify.UNSAID):
                rows, told = self.carried([(TEAM, targets)], notify)
                self.assertEqual((rows, told), (dict.fromkeys(remote, (notify, ORIGINAL)), {}))

    def test_an_address_that_is_given_twice_is_no_alias(self) -> None:
        self.assertEqual(self.carried([(BOB, (TO_BOB,)), (BOB, (TO_BOB,))]), ({BOB: (S | F, ORIGINAL)}, {}))
        self.assertEqual(self.carried([(ANN, (AT_ANN,))] * 2), ({}, {ANN: SuccessKind.DELIVERED}))

    def test_what_is_refused_or_discarded_is_no_success(self) -> None:
        for action in (lambda one: Refuse(one, Refusal()), Discard):
            ends = step("ends", lambda message, recipients, _, act=action: [act(recipients[0])])
            self.assertEqual(self.carried([(ANN, (AT_ANN,))], S, ends), ({}, {}))

    @acceptance("S031")
    def test_nobody_is_told_of_mail_from_the_null_return_path(self) -> None:
        given = [(ANN, (AT_ANN,)), (BOB, (TO_BOB,))]
        plan = self.plan(given, envelope=envelope_asking(given, reverse_path=None))
        self.assertEqual(dict(plan.successes), {})

    def test_who_asks_for_nothing_gets_the_usual(self) -> None:
        given = [(ANN, (AT_ANN,)), (TEAM, (TO_BOB, TO_CARL))]
        plan = self.plan(given)
        (envelope,) = plan.outgoing
        asked = [(one.address, one.notify, one.orcpt) for one in envelope.recipients]
        self.assertEqual(asked, [(BOB, Notify.UNSAID, ""), (CARL, Notify.UNSAID, "")])
        self.assertEqual((envelope.envid, envelope.ret, dict(plan.successes)), ("", None, {}))


class ReportTests(IntakeTestCase):
    """The reports that are accepted along with the message."""

    def given(self) -> GivenRecipients:
        def at(account: AccountId, address: Address) -> LocalRecipient:
            return LocalRecipient(account, address)

        bea = Address("bea", "example.org")
        return [
            (ANN, (at(self.ann, ANN),)),
            (TEAM, (at(self.ann, ANN), at(self.bea, bea))),
            (bea, (at(self.bea, bea),)),
        ]

    def submit(self, **asked: Any) -> Any:
        given = self.given()
        envelope = envelope_asking(given, reverse_path=SENDER, **asked)
        message = self.intake.open(envelope, given, PEER)
        message.write(HELLO)
        return message.commit()

    def reports(self) -> list[tuple[QueueEntry, Message]]:
        found = []
        for entry in self.successResultOf(self.store.queue.entries()):
            octets = self.successResultOf(entry.source(self.store.read_content).read(0, entry.size))
            found.append((entry, email.message_from_bytes(octets)))
        return found

    def refuse(self, error: MailError) -> None:
        refusing = step("quota", lambda message, *told: [] if message.automatic else [Refuse(told[0][-1], error)])
        planner = planner_for(self.store, self.clock, refusing)
        self.intake = MessageIntake(self.store, DeliverySettings(), planner, "mx.example.org", self.clock)

    @acceptance("S080")
    def test_a_report_of_each_kind_is_accepted_with_the_message(self) -> None:
        self.successResultOf(self.submit())
        kinds = {}
        for entry, report in self.reports():
            self.assertEqual((entry.reverse_path, entry.recipients[0].address), (None, SENDER))
            message, *recipients = report.get_payload(1).get_payload()
            self.assertEqual(message["Original-Envelope-Id"], "E 1")
            for one in recipients:
                self.assertEqual((one["Original-Recipient"], one["Status"]), (ORIGINAL, "2.0.0"))
                kinds.setdefault(one["Action"], []).append(one["Final-Recipient"])
            self.assertEqual(report.get_payload(2).get_content_type(), "text/rfc822-headers")
        delivered = ["rfc822; ann@example.org", "rfc822; bea@example.org"]
        self.assertEqual(kinds, {"delivered": delivered, "expanded": ["rfc822; team@example.org"]})
        self.assertEqual((len(self.mail(self.ann)), len(self.mail(self.bea))), (1, 1))

    def test_of_a_refusal_only_those_are_told_who_want_to_know(self) -> None:
        self.refuse(Refusal())
        for notify, told in ((NEVER, 0), (D, 0), (F, 1), (Notify.UNSAID, 1)):
            before = len(self.reports())
            given = self.given()
            asked = {address: {"NOTIFY": notify, "ORCPT": ORIGINAL} for address, _ in given}
            self.successResultOf(self.submit(recipient_parameters=asked))
            found = self.reports()[before:]
            self.assertEqual(len(found), told, notify)
            for _, report in found:
                self.assertEqual(report.get_payload(1).get_payload()[1]["Original-Recipient"], ORIGINAL)
