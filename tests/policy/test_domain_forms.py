"""A domain in capitals, in U-labels and in A-labels is one domain, wherever it is compared, counted or remembered."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.config.sections.forwarding import BounceTagSettings
from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.config.sections.require_signature import RequireSignatureSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.dns.names import comparable_address, comparable_domain, comparable_name
from pymailsuite.interfaces.policy import Action, MailTransaction, MethodResult, ReceivedMessage, Stage, Verdict
from pymailsuite.policy.author import author_of
from pymailsuite.policy.bounce_tags import BounceTagPolicy
from pymailsuite.policy.decision import is_listed
from pymailsuite.policy.dmarc.policy import DmarcPolicy
from pymailsuite.policy.dmarc.reports.collecting import is_about_reports
from pymailsuite.policy.greylist.senders import compared_sender
from pymailsuite.policy.hosts.helo import form_of
from pymailsuite.policy.lists.entries import EntryIndex, Subject, entry_of
from pymailsuite.policy.reputation.identities import identities_in
from pymailsuite.policy.require_signature import RequireSignaturePolicy
from pymailsuite.values import Address, Peer, QueueId

FORMS = ("bücher.example", "BÜCHER.Example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE", "bu\u0308cher.example")


def transaction(author_domain: str, **more: object) -> MailTransaction:
    message = ReceivedMessage(QueueId("1"), 1, f"From: a@{author_domain}\r\n\r\n".encode())
    peer = Peer("192.0.2.1")
    return MailTransaction(Stage.MESSAGE, peer, "mx.test", message=message, **more)  # type: ignore[arg-type]


class DomainFormTests(SynchronousTestCase):
    def test_all_forms_are_compared_as_one(self) -> None:
        self.assertEqual({comparable_domain(form) for form in (*FORMS, "bücher.example.")}, {"xn--bcher-kva.example"})
        self.assertEqual({comparable_address("Sam", form) for form in FORMS}, {"sam@xn--bcher-kva.example"})
        self.assertEqual({comparable_name(f"Sam@{form}") for form in FORMS}, {"sam@xn--bcher-kva.example"})
        for odd in ("[IPv6:2001:DB8::1]", "", "a..b", "\u2028ü", "ü" * 300):
            self.assertEqual(comparable_domain(odd), odd.lower())

    def test_authors_are(self) -> None:
        self.assertEqual(
            {author_of(f"From: a@{form}\r\n\r\n".encode()).domains for form in FORMS}, {("xn--bcher-kva.example",)}
        )

    def test_what_is_aligned_is(self) -> None:
        resolver = FakeResolver(txt={"_dmarc.xn--bcher-kva.example": [b"v=DMARC1; p=reject; aspf=s; adkim=s"]})
        policy = DmarcPolicy(DmarcSettings(), resolver, Clock(), lambda: 0.5)
        for author in FORMS:
            for other in FORMS:
                for method, name, value in (("spf", "smtp.mailfrom", f"x@{other}"), ("dkim", "header.d", other)):
                    verified = {method: Verdict(results=(MethodResult(method, "pass", properties=((name, value),)),))}
                    path = Address("x", other)
                    asked = policy.message(transaction(author, reverse_path=path, verdicts=verified))
                    self.assertEqual(self.successResultOf(asked).evidence["result"], "pass", (author, other, method))

    def test_what_the_operator_says_of_authors_lists_and_sealers_is(self) -> None:
        resolver = FakeResolver(txt={"_dmarc.xn--bcher-kva.example": [b"v=DMARC1; p=reject"]})
        for form in FORMS:
            policy = DmarcPolicy(DmarcSettings(overrides={form: "none"}), resolver, Clock(), lambda: 0.5)
            self.assertIs(self.successResultOf(policy.message(transaction("bücher.example"))).action, Action.PASS)
            signed = RequireSignaturePolicy(RequireSignatureSettings(domains={form: "any"}))
            self.assertIs(self.successResultOf(signed.message(transaction("bücher.example"))).action, Action.REJECT)
            list_results = (MethodResult("dkim", "pass", properties=(("header.d", "bücher.example"),)),)
            lists = DmarcPolicy(
                DmarcSettings(mailing_lists=(form,)),
                FakeResolver(txt={"_dmarc.peer.example": [b"v=DMARC1; p=reject"]}),
                Clock(),
                lambda: 0.5,
            )
            asked = lists.message(transaction("peer.example", verdicts={"dkim": Verdict(results=list_results)}))
            self.assertIs(self.successResultOf(asked).action, Action.PASS)

    def test_listed_clients_and_entries_are(self) -> None:
        for form in FORMS:
            for other in FORMS:
                address = Address("Sam", other)
                for entry in (form, f"sam@{form}"):
                    self.assertTrue(is_listed(address, (entry,)), (entry, other))
                self.assertTrue(is_listed(Address("sam", f"mail.{other}"), (f".{form}",)))
                for entry, subject in (
                    (form, Subject(names=(f"mail.{other}",))),
                    (f"sam@{form}", Subject(address=f"Sam@{other}")),
                    (f"helo:{form}", Subject(helo=other)),
                ):
                    index = EntryIndex([entry_of(entry, "deny")])
                    self.assertEqual(1, len(index.find(subject, ("",), 0.0)), (entry, other))

    def test_what_is_remembered_of_senders_is(self) -> None:
        self.assertEqual(len({compared_sender(Address("sam", form), ()) for form in FORMS}), 1)
        found = {
            identities_in(
                [MethodResult("spf", "pass", "", (("smtp.mailfrom", f"Sam@{form}"),))], "", ReputationSettings()
            )
            for form in FORMS
        }
        self.assertEqual(len(found), 1)

    def test_our_own_names_are(self) -> None:
        for form in FORMS:
            self.assertEqual(form_of(form, (comparable_domain("bücher.example"),)), "own_name")
            policy = BounceTagPolicy(BounceTagSettings(domains=("xn--bcher-kva.example",)))
            bounce = MailTransaction(
                Stage.RCPT, Peer("192.0.2.1"), "mx.test", reverse_path=None, recipient=Address("ann", form)
            )
            self.assertIs(self.successResultOf(policy.rcpt(bounce)).action, Action.REJECT)
            about = transaction("peer.example", recipients=(Address("Reports", form),))
            self.assertTrue(is_about_reports(about, "reports@bücher.example"))
