"""What strangers choose: whom a message seems to be from, and what we remember."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.config.sections.sender_callout import SenderCalloutSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces.policy import (
    Action,
    IRecipientProbe,
    MailTransaction,
    MethodResult,
    ProbeAnswer,
    ProbeResult,
    ReceivedMessage,
    Stage,
    Verdict,
)
from pymailsuite.policy.dmarc.policy import DmarcPolicy
from pymailsuite.policy.sender_callout import SenderCalloutPolicy
from pymailsuite.values import Address, Peer, QueueId
from tests.support.policies import at


class AuthorTests(SynchronousTestCase):
    """RFC 5322 §3.6 allows one From field; a signature may cover another than the one a program shows."""

    def verdict(self, header: str, **options: Any) -> Verdict:
        """That on a message for which a stranger's own domain has passed."""
        resolver = FakeResolver(txt={"_dmarc.bank.example": [b"v=DMARC1; p=reject"]})
        policy = DmarcPolicy(DmarcSettings(**options), resolver, Clock(), lambda: 0.5)
        passed = {
            "spf": Verdict(results=(MethodResult("spf", "pass", "", (("smtp.mailfrom", "a@evil.example"),)),)),
            "dkim": Verdict(results=(MethodResult("dkim", "pass", "", (("header.d", "evil.example"),)),)),
        }
        message = ReceivedMessage(QueueId("1"), 1, header.encode() + b"\r\n\r\n")
        transaction = MailTransaction(
            Stage.MESSAGE,
            Peer("192.0.2.1"),
            "mx.test",
            reverse_path=Address("a", "evil.example"),
            message=message,
            verdicts=passed,
        )
        return self.successResultOf(policy.message(transaction))

    def test_several_authors_have_one_verdict_and_it_is_never_the_most_convenient(self) -> None:
        names = ("From", "FROM", "from ", "From\t", "From\r\n ")
        authors = ("a@evil.example", "<b@bank.example>", "Bank <b@bank.example>")
        for first, second in itertools.product(names, names):
            for one, other in itertools.permutations(authors, 2):
                header = f"{first}: {one}\r\nSubject: hi\r\n{second}: {other}"
                found = self.verdict(header)
                self.assertEqual((found.action, found.results[0].result), (Action.REJECT, "permerror"), header)
                marked = self.verdict(header, several_authors="tag")
                self.assertEqual((marked.action, marked.results[0].result), (Action.TAG, "permerror"), header)

    def test_of_several_addresses_each_author_must_agree(self) -> None:
        for one, other in itertools.permutations(("a@evil.example", "b@bank.example")):
            self.assertIs(self.verdict(f"From: {one}, {other}").action, Action.REJECT)
            self.assertIs(self.verdict(f"From: {one}, x@no-record.example, {other}").action, Action.REJECT)
            self.assertIs(self.verdict(f"From: <{one}> <{other}>").action, Action.REJECT)


@implementer(IRecipientProbe)
class _Probe:
    def __init__(self) -> None:
        self.asked: list[Address] = []

    def probe(self, address: Address, hosts: int) -> Deferred[ProbeAnswer]:
        self.asked.append(address)
        return succeed(
            ProbeAnswer(ProbeResult.REFUSED if address.local_part == "no" else ProbeResult.ACCEPTED, "", "mx")
        )


class RememberedTests(SynchronousTestCase):
    def test_made_up_senders_push_nobody_out_of_what_is_remembered(self) -> None:
        probe = _Probe()
        policy = SenderCalloutPolicy(SenderCalloutSettings(cache_entries=600), probe, (), Clock())

        def action(local_part: str, domain: str) -> Action:
            asked = policy.data(at(Stage.DATA, reverse_path=Address(local_part, domain)))
            return self.successResultOf(asked).action

        action("no", "peer.example"), action("sam", "peer.example")
        for number in range(2_000):
            action(f"{number}", "flood.example")
        probe.asked.clear()
        self.assertIs(action("no", "peer.example"), Action.REJECT)
        self.assertIs(action("sam", "peer.example"), Action.PASS)
        self.assertEqual(probe.asked, [])
        # What was found of one address says nothing of its neighbours.
        self.assertIs(action("No", "peer.example"), Action.PASS)
        self.assertIs(action("no", "other.example"), Action.REJECT)
