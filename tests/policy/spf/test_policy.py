"""What follows from a result, in replies, scores and fields."""

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces.policy import Action, IPolicy, MailTransaction, PolicyReply, Stage, Verdict
from pymailsuite.policy.spf.policy import SpfPolicy
from pymailsuite.values import Address, Peer
from tests.acceptance import acceptance

ZONE: dict[str, Any] = {
    "txt": {
        "strict.example": [b"v=spf1 ip4:192.0.2.1 -all"],
        "talking.example": [b"v=spf1 -all exp=why.talking.example"],
        "why.talking.example": [b'See https://talking.example/why?s=%{S}&ip=%{C} "%{l}"'],
        "soft.example": [b"v=spf1 ~all"],
        "neutral.example": [b"v=spf1 ?all"],
        "broken.example": [b"v=spf1 moo"],
        "forged.example": [b"v=spf1 -all"],
    },
    "failing": ["failing.example"],
}


class SpfPolicyTests(SynchronousTestCase):
    def verdict(self, sender: str | None, greeting: str = "mx.strict.example", **settings: Any) -> Verdict:
        policy = SpfPolicy(SpfSettings(**settings), FakeResolver(**ZONE), Clock(), "mail.example.test")
        verifyObject(IPolicy, policy)
        path = Address(*sender.rsplit("@", 1)) if sender is not None else None
        peer = Peer("192.0.2.1", helo=greeting)
        transaction = MailTransaction(Stage.MAIL, peer, "mail.example.test", reverse_path=path)
        return self.successResultOf(policy.mail(transaction))

    def test_pass_says_nothing_but_is_told(self) -> None:
        verdict = self.verdict("joe@strict.example", "strict.example")
        self.assertEqual(verdict.action, Action.PASS)
        results = [(result.result, result.properties) for result in verdict.results]
        self.assertEqual(
            results,
            [
                ("pass", (("smtp.helo", "strict.example"),)),
                ("pass", (("smtp.mailfrom", "joe@strict.example"),)),
            ],
        )
        self.assertEqual(verdict.evidence["result"], "pass")
        self.assertEqual(
            verdict.fields,
            (
                b"Received-SPF: pass (mail.example.test: strict.example permits 192.0.2.1: ip4:192.0.2.1)\r\n"
                b"\treceiver=mail.example.test;\r\n\tidentity=mailfrom;\r\n\tclient-ip=192.0.2.1;\r\n"
                b'\tenvelope-from="joe@strict.example";\r\n\thelo=strict.example;\r\n'
                b'\tmechanism="ip4:192.0.2.1"\r\n',
            ),
        )

    @acceptance("S158")
    def test_each_result_leads_to_what_the_settings_say(self) -> None:
        own = "SPF MAIL FROM check failed for forged.example: This host is not permitted to send mail for the domain"
        expected = [
            ("x@forged.example", {}, Action.REJECT, PolicyReply(550, "5.7.23", own)),
            ("x@forged.example", {"fail": "mark"}, Action.SCORE, None),
            ("x@soft.example", {}, Action.SCORE, None),
            ("x@soft.example", {"softfail_score": 0}, Action.PASS, None),
            ("x@neutral.example", {"neutral_score": 0.5}, Action.SCORE, None),
            ("x@none.example", {"none_score": 0.5}, Action.SCORE, None),
            (
                "x@failing.example",
                {},
                Action.TEMPFAIL,
                PolicyReply(451, "4.7.24", "SPF of failing.example cannot be looked up now, try again later"),
            ),
            ("x@failing.example", {"temperror": "mark"}, Action.PASS, None),
            ("x@broken.example", {}, Action.SCORE, None),
            (
                "x@broken.example",
                {"permerror": "reject"},
                Action.REJECT,
                PolicyReply(
                    550, "5.7.24", "SPF record of broken.example is broken: broken.example: moo: no such mechanism"
                ),
            ),
        ]
        for sender, settings, action, reply in expected:
            verdict = self.verdict(sender, **settings)
            self.assertEqual((verdict.action, verdict.reply), (action, reply), (sender, settings))
            self.assertEqual(len(verdict.results), 2)

    @acceptance("S263")
    def test_the_domains_explanation_is_told_and_cannot_break_the_reply(self) -> None:
        reply = self.verdict("joe@talking.example").reply
        assert reply is not None
        self.assertEqual(
            reply.text,
            "SPF MAIL FROM check failed: talking.example explains: "
            'See https://talking.example/why?s=joe%40talking.example&ip=192.0.2.1 "joe"',
        )
        for local_part in ("a\r\n250 fine", "\x07bell", "x" * 1000):
            reply = self.verdict(f"{local_part}@talking.example").reply
            assert reply is not None
            self.assertTrue(reply.text.isprintable() and reply.text.isascii(), reply.text)
            self.assertLessEqual(len(reply.text), SpfSettings().explanation_max)

    def test_a_forged_helo_name_is_refused_or_marked(self) -> None:
        verdict = self.verdict("joe@strict.example", "forged.example")
        self.assertEqual(verdict.action, Action.REJECT)
        assert verdict.reply is not None
        self.assertTrue(verdict.reply.text.startswith("SPF HELO check failed for forged.example"))
        self.assertEqual(self.verdict("joe@strict.example", "forged.example", helo="mark").action, Action.PASS)
        self.assertEqual(len(self.verdict("joe@strict.example", "forged.example", helo="off").results), 1)

    def test_broken_and_failing_helo_names_are_only_told(self) -> None:
        for helo in ("broken.example", "failing.example"):
            verdict = self.verdict("joe@strict.example", helo)
            self.assertEqual(verdict.action, Action.PASS)

    def test_with_the_null_path_the_helo_name_stands_for_the_sender(self) -> None:
        verdict = self.verdict(None, "forged.example", helo="off")
        self.assertEqual(verdict.action, Action.REJECT)
        self.assertEqual([result.properties[0][0] for result in verdict.results], ["smtp.helo"])
        self.assertEqual(verdict.evidence["identity"], "helo")

    def test_a_peer_without_an_address_is_not_asked_about(self) -> None:
        policy = SpfPolicy(SpfSettings(), FakeResolver(), Clock(), "mail.example.test")
        transaction = MailTransaction(Stage.MAIL, Peer(""), "mail.example.test")
        self.assertEqual(self.successResultOf(policy.mail(transaction)), Verdict())

    def test_values_of_the_client_cannot_break_the_field(self) -> None:
        verdict = self.verdict('"a;b"\\\r\nX: y@strict.example', "a b\r\nc(")
        lines = verdict.fields[0].split(b"\r\n")
        self.assertEqual(lines[-1], b"")
        self.assertTrue(all(line.startswith(b"\t") for line in lines[1:-1]), lines)
        self.assertIn(b'envelope-from="\\"a;b\\"\\\\??X: y@strict.example"', verdict.fields[0])
        self.assertIn(b'helo="a b??c("', verdict.fields[0])

    def test_an_evaluation_of_ipv6_is_quoted(self) -> None:
        policy = SpfPolicy(SpfSettings(), FakeResolver(**ZONE), Clock(), "mail.example.test")
        transaction = MailTransaction(Stage.MAIL, Peer("192.0.2.1", helo="x.example"), "m", reverse_path=None)
        transaction = evolve(transaction, peer=evolve(transaction.peer, ip="2001:db8::1"))
        self.assertIn(b'client-ip="2001:db8::1"', self.successResultOf(policy.mail(transaction)).fields[0])
