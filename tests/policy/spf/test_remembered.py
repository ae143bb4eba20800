"""What SPF remembers, and what it must not."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces import Answer
from pymailsuite.interfaces.policy import MailTransaction, Stage, Verdict
from pymailsuite.policy.spf.policy import SpfPolicy
from pymailsuite.values import Address, Peer


class _LastingResolver(FakeResolver):
    """Answers have a TTL; ``asked`` counts them."""

    def __init__(self, ttl_s: int, **records: object) -> None:
        super().__init__(**records)  # type: ignore[arg-type]
        self.ttl_s = ttl_s
        self.count = 0

    def txt(self, name: str):  # type: ignore[no-untyped-def]
        self.count += 1
        return (
            super()
            .txt(name)
            .addCallback(lambda answer: Answer(answer.records, answer.exists, answer.secure, self.ttl_s))
        )

    def a(self, name: str):  # type: ignore[no-untyped-def]
        return (
            super().a(name).addCallback(lambda answer: Answer(answer.records, answer.exists, answer.secure, self.ttl_s))
        )


class SpfMemoryTests(SynchronousTestCase):
    """One client, several senders of a domain."""

    def setUp(self) -> None:
        self.clock = Clock()

    def policy(self, record: str, **records: object) -> SpfPolicy:
        txt = {"example.org": [record.encode()], "mx.example.org": [b"v=spf1 ip4:192.0.2.1 -all"]}
        self.resolver = _LastingResolver(60, txt=txt, **records)
        return SpfPolicy(SpfSettings(), self.resolver, self.clock, "mail.example.test")

    def ask(self, policy: SpfPolicy, local_part: str, ip: str = "192.0.2.1") -> Verdict:
        peer = Peer(ip, 25, helo="mx.example.org")
        transaction = MailTransaction(Stage.MAIL, peer, "x", reverse_path=Address(local_part, "example.org"))
        return self.successResultOf(policy.mail(transaction))

    def test_another_sender_of_the_domain_costs_no_look_up_and_is_named(self) -> None:
        policy = self.policy("v=spf1 ip4:192.0.2.1 -all")
        self.ask(policy, "ann")
        asked = self.resolver.count
        verdict = self.ask(policy, "bob")
        self.assertEqual(self.resolver.count, asked)
        self.assertEqual(verdict.results[1].properties, (("smtp.mailfrom", "bob@example.org"),))
        self.assertIn(b'envelope-from="bob@example.org"', verdict.fields[0])

    def test_it_is_looked_up_again_when_the_first_answer_is_too_old(self) -> None:
        policy = self.policy("v=spf1 ip4:192.0.2.1 -all")
        self.ask(policy, "ann")
        asked = self.resolver.count
        self.clock.advance(61)
        self.ask(policy, "ann")
        self.assertGreater(self.resolver.count, asked)

    def test_another_client_is_another_question(self) -> None:
        policy = self.policy("v=spf1 ip4:192.0.2.1 ?all")
        self.assertEqual(self.ask(policy, "ann").results[1].result, "pass")
        self.assertEqual(self.ask(policy, "ann", "192.0.2.2").results[1].result, "neutral")

    def test_what_depends_on_the_local_part_is_not_remembered(self) -> None:
        policy = self.policy("v=spf1 exists:%{l}.ok.example.org ?all", a={"ann.ok.example.org": ["127.0.0.2"]})
        self.assertEqual(self.ask(policy, "ann").results[1].result, "pass")
        self.assertEqual(self.ask(policy, "bob").results[1].result, "neutral")
