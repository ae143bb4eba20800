"""DNS lists: what is asked, which answers count, and what follows."""

from ipaddress import IPv4Address
from typing import Any

from attrs import evolve
from pydantic import ValidationError
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.lists import DnsblSettings, DnsList, DnsListAnswer
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Effect,
    IMessageTap,
    IPolicy,
    MailTransaction,
    PolicyContext,
    PolicyReply,
    ReceivedMessage,
    Stage,
    Verdict,
)
from pymailsuite.policy.lists.codes import CodeFilter
from pymailsuite.policy.lists.dns_lists import reversed_address
from pymailsuite.policy.lists.dns_policy import DnsListPolicy, make_policy
from pymailsuite.policy.lists.urls import MessageStart, hosts_in_message
from pymailsuite.values import Address, Peer, QueueId
from tests.acceptance import acceptance

CLIENT = "192.0.2.99"
REVERSED = "99.2.0.192"


class CodeFilterTests(SynchronousTestCase):
    def test_sets_ranges_networks_and_bits(self) -> None:
        right = {
            "127.0.0.2": ["127.0.0.2"],
            "127.0.0.2, 127.0.0.9": ["127.0.0.2", "127.0.0.9"],
            "127.0.0.4-127.0.0.7": ["127.0.0.4", "127.0.0.5", "127.0.0.7"],
            "127.0.0.4-7": ["127.0.0.4", "127.0.0.7"],
            "127.0.1.0/24": ["127.0.1.0", "127.0.1.255"],
            "&0.0.0.6": ["127.0.0.2", "127.0.0.4", "127.0.0.14"],
            "": ["127.0.0.2", "127.0.0.254"],
        }
        wrong = {
            "127.0.0.2": ["127.0.0.3", "192.0.2.2"],
            "127.0.0.4-7": ["127.0.0.3", "127.0.0.8"],
            "127.0.1.0/24": ["127.0.0.2"],
            "&0.0.0.6": ["127.0.0.1", "127.0.0.8"],
            "&127.0.0.0": ["127.0.0.8"],
            "0.0.0.0/0": ["192.0.2.1", "127.255.255.254", "127.255.255.255", "127.255.255.252"],
            "": ["127.0.0.1", "127.0.0.255", "127.0.1.255", "127.255.255.254", "10.0.0.2", "192.0.2.2"],
        }
        for text, answers in right.items():
            for answer in answers:
                self.assertIn(IPv4Address(answer), CodeFilter(text), text)
        for text, answers in wrong.items():
            for answer in answers:
                self.assertNotIn(IPv4Address(answer), CodeFilter(text), text)

    def test_anything_else_is_refused(self) -> None:
        for text in ("x", "127.0.0.2-", "127.0.0.7-4", "127.0.0.2;127.0.0.3", "127.0.0.0/33", "&2", "::1"):
            with self.assertRaises(ValueError, msg=text):
                CodeFilter(text)


class DnsListPolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.zone: dict[str, Any] = {"a": {}, "txt": {}, "failing": []}

    def policy(self, *lists: dict[str, Any], **settings: Any) -> DnsListPolicy:
        section = DnsblSettings(lists=tuple(DnsList(**one) for one in lists), **settings)
        policy = DnsListPolicy(
            section, FakeResolver(**self.zone), self.clock, lambda function, *given: succeed(function(*given))
        )
        verifyObject(IPolicy, policy)
        return policy

    def connect(self, policy: DnsListPolicy, ip: str = CLIENT) -> Verdict:
        transaction = MailTransaction(Stage.CONNECT, Peer(ip), "mail.example.test")
        return self.successResultOf(policy.connect(transaction))

    @acceptance("S164")
    def test_addresses_are_asked_reversed_ipv6_by_nibbles(self) -> None:
        self.assertEqual(reversed_address("192.0.2.99"), REVERSED)
        nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
        self.assertEqual(reversed_address("2001:db8::1"), nibbles)
        self.zone["a"] = {f"{REVERSED}.bl.example": ["127.0.0.2"], f"{nibbles}.bl.example": ["127.0.0.3"]}
        policy = self.policy({"zone": "bl.example", "score": 4.0})
        for ip in (CLIENT, "2001:db8::1"):
            verdict = self.connect(policy, ip)
            self.assertEqual((verdict.action, verdict.score), (Action.SCORE, 4.0))
            self.assertIn(f"{ip} is listed at bl.example", verdict.reason)
        self.assertEqual(self.connect(policy, "192.0.2.1"), Verdict())

    @acceptance("S164")
    def test_weights_add_up_and_failures_list_nothing(self) -> None:
        self.zone["a"] = {f"{REVERSED}.one.example": ["127.0.0.2"], f"{REVERSED}.two.example": ["127.0.0.2"]}
        self.zone["failing"] = [f"{REVERSED}.down.example"]
        zones = ("one.example", "two.example", "down.example")
        verdict = self.connect(self.policy(*({"zone": zone, "score": 1.5} for zone in zones)))
        self.assertEqual((verdict.action, verdict.score), (Action.SCORE, 3.0))
        self.zone["a"] = {}
        self.assertEqual(self.connect(self.policy({"zone": "down.example"})), Verdict())

    @acceptance("S164")
    def test_a_list_that_is_late_lists_nothing_and_the_others_count(self) -> None:
        class Slow(FakeResolver):
            def a(self, name: str) -> Deferred[Any]:
                return Deferred() if name.endswith("slow.example") else super().a(name)

        section = DnsblSettings(lists=(DnsList(zone="slow.example"), DnsList(zone="bl.example", action="reject")))
        policy = DnsListPolicy(section, Slow(a={f"{REVERSED}.bl.example": ["127.0.0.2"]}), self.clock)
        asked = policy.connect(MailTransaction(Stage.CONNECT, Peer(CLIENT), "m"))
        self.clock.advance(1.9)
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(asked).action, Action.REJECT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @acceptance("S166")
    def test_each_answer_has_its_own_text(self) -> None:
        one = {
            "zone": "bl.example",
            "action": "reject",
            "text": "{ip} is listed: {txt}",
            "answers": (
                {"codes": "127.0.0.5", "text": "{ip} is an open relay ({zone}, {code})"},
                {"codes": "127.0.0.9-11", "text": "Mail from dial-up hosts goes through your provider", "score": 1},
                {"codes": "127.0.0.20", "action": "score"},
            ),
        }
        expected = {
            "127.0.0.5": f"{CLIENT} is an open relay (bl.example, 127.0.0.5)",
            "127.0.0.10": "Mail from dial-up hosts goes through your provider",
            "127.0.0.2": f"{CLIENT} is listed: see https://bl.example/?q",
        }
        self.zone["txt"] = {f"{REVERSED}.bl.example": [b"see https://bl.example/?q"]}
        for code, text in expected.items():
            self.zone["a"] = {f"{REVERSED}.bl.example": [code]}
            self.assertEqual(self.connect(self.policy(one)).reply, PolicyReply(550, "5.7.1", text))
        self.zone["a"] = {f"{REVERSED}.bl.example": ["127.0.0.20"]}
        self.assertEqual(self.connect(self.policy(one)).action, Action.SCORE)

    def test_a_client_refused_at_once_gets_554(self) -> None:
        self.zone["a"] = {f"{REVERSED}.bl.example": ["127.0.0.2"]}
        reply = self.connect(self.policy({"zone": "bl.example", "action": "reject"}, at_once=True)).reply
        assert reply is not None
        self.assertEqual(reply.code, 554)

    @acceptance("S167")
    def test_a_list_of_good_ones_sets_the_others_aside(self) -> None:
        self.zone["a"] = {f"{REVERSED}.bl.example": ["127.0.0.2"], f"{REVERSED}.wl.example": ["127.0.9.2"]}
        self.zone["a"]["bad.example.dbl.example"] = ["127.0.1.2"]
        block, good = {"zone": "bl.example", "action": "reject"}, {"zone": "wl.example", "action": "clear"}
        policy = self.policy(block, good, {"zone": "dbl.example", "kind": "domain", "action": "reject"})
        verdict = self.connect(policy)
        self.assertEqual(verdict.action, Action.PASS)
        self.assertEqual(
            [(result.method, result.result, result.properties) for result in verdict.results],
            [("dnswl", "pass", (("dns.zone", "wl.example"), ("policy.ip", "127.0.9.2")))],
        )
        later = MailTransaction(Stage.MAIL, Peer(CLIENT, helo="x"), "m", reverse_path=Address("joe", "www.bad.example"))
        self.assertEqual(self.successResultOf(policy.mail(later)).action, Action.REJECT)
        later = evolve(later, applied_verdicts=(AppliedVerdict("dnsbl", Stage.CONNECT, verdict, Effect.NONE),))
        self.assertEqual(self.successResultOf(policy.mail(later)).action, Action.PASS)
        self.assertEqual(self.connect(self.policy(block, good | {"action": "accept"})).action, Action.ACCEPT)

    @acceptance("S167")
    def test_being_listed_only_adds_to_the_score_unless_told_otherwise(self) -> None:
        self.assertEqual(DnsList(zone="bl.example").action, "score")

    def test_domains_of_sender_helo_and_host_are_asked_once_each(self) -> None:
        policy = self.policy({"zone": "dbl.example", "kind": "domain"})
        peer = Peer(CLIENT, helo="mx1.bad.co.uk", rdns="mx2.bad.co.uk")
        transaction = MailTransaction(Stage.MAIL, peer, "m", reverse_path=Address("joe", "bücher.example"))
        self.successResultOf(policy.mail(transaction))
        resolver: Any = policy._of_domains._resolver
        self.assertEqual(
            resolver.questions, [("a", "bad.co.uk.dbl.example"), ("a", "xn--bcher-kva.example.dbl.example")]
        )

    def test_hosts_in_the_message_are_asked(self) -> None:
        self.zone["a"] = {"bad.example.uri.example": ["127.0.0.4"], "1.2.0.192.uri.example": ["127.0.0.4"]}
        policy = self.policy({"zone": "uri.example", "kind": "uri", "score": 2})
        transaction = MailTransaction(Stage.DATA, Peer(CLIENT), "m")
        tap = policy.tap(transaction)
        assert tap is not None
        verifyObject(IMessageTap, tap)
        tap.write(b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
        tap.write(
            b'<a href=3D"https://user@WWW.bad.=\r\nexample:8080/x">x</a> http://192.0.2.1/ http://fine.example\r\n'
        )
        message = ReceivedMessage(QueueId("1"), 100, b"", {"dnsbl": tap})
        verdict = self.successResultOf(policy.message(evolve(transaction, stage=Stage.MESSAGE, message=message)))
        self.assertEqual((verdict.action, verdict.score), (Action.SCORE, 4.0))

    def test_nothing_is_kept_of_messages_without_a_list_to_ask(self) -> None:
        policy = self.policy({"zone": "bl.example"})
        self.assertIsNone(policy.tap(MailTransaction(Stage.DATA, Peer(CLIENT), "m")))

    def test_settings_with_unknown_placeholders_or_codes_are_refused(self) -> None:
        for wrong in ("{what}", "{", "{ip.x}", "{0}"):
            with self.assertRaises(ValidationError, msg=wrong):
                DnsList(zone="bl.example", text=wrong)
        one = DnsList(zone="bl.example", answers=(DnsListAnswer(codes="127.0.0.300"),))
        section = DnsblSettings(lists=(one,))
        context = PolicyContext(section, None, "h", "h", FakeResolver(), None, self.clock)  # type: ignore[arg-type]
        with self.assertRaises(ConfigError):
            make_policy(context)


class HostTests(SynchronousTestCase):
    def test_each_host_once_in_order_as_many_as_asked_for(self) -> None:
        text = b"\r\nhttp://a.example/x https://A.example www.b.example, http://[2001:db8::1]/ ftp://c.example j@d.test"
        self.assertEqual(hosts_in_message(text, 20), ["a.example", "[2001:db8::1]", "c.example", "www.b.example"])
        self.assertEqual(hosts_in_message(text, 2), ["a.example", "[2001:db8::1]"])
        self.assertEqual(hosts_in_message(text, 0), [])

    def test_the_start_of_a_message_is_bounded(self) -> None:
        start = MessageStart(5)
        for piece in (b"abc", b"def", b"ghi"):
            start.write(piece)
        self.assertEqual(start.octets, b"abcde")
