"""How often an address may connect and err, whichever node it comes to."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.hosts import ClientRatesSettings
from pymailsuite.interfaces.policy import Action, IConnectionRecord, IPolicy, Stage, Verdict
from pymailsuite.policy.hosts.client_rates import ClientRatesPolicy
from pymailsuite.values import Peer
from tests.acceptance import acceptance
from tests.smtp.conversations import Server
from tests.support.policies import at, chain_of
from tests.support.stores import make_store

NOW = 1_770_000_000.0


class ClientRatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.addCleanup(self.store.close)

    def policy(self, **options: Any) -> ClientRatesPolicy:
        settings = ClientRatesSettings(**{"action": "reject", **options})
        policy = ClientRatesPolicy(settings, self.store.state, self.clock, 10.0)
        verifyObject(IPolicy, policy)
        verifyObject(IConnectionRecord, policy)
        return policy

    def connect(self, policy: ClientRatesPolicy, ip: str = "192.0.2.7") -> Verdict:
        return self.successResultOf(policy.connect(at(Stage.CONNECT, peer=Peer(ip))))

    @acceptance("S172")
    def test_connections_are_counted_on_all_nodes_together(self) -> None:
        nodes = [self.policy(connections=3) for _ in range(2)]
        actions = [self.connect(nodes[number % 2]).action for number in range(4)]
        self.assertEqual(actions, [Action.PASS] * 3 + [Action.TEMPFAIL])
        self.assertEqual(self.connect(nodes[0], "192.0.2.8").action, Action.PASS)
        self.clock.advance(600)
        self.assertEqual(self.connect(nodes[0]).action, Action.PASS)

    @acceptance("S172")
    def test_too_many_errors_end_in_a_refusal_of_connections(self) -> None:
        policy = self.policy(errors=5)
        policy.ended(Peer("2001:db8::1"), 4)
        self.assertEqual(self.connect(policy, "2001:db8::2").action, Action.PASS)
        policy.ended(Peer("2001:db8::2"), 1)
        verdict = self.connect(policy, "2001:db8::3")
        assert verdict.reply is not None
        self.assertEqual((verdict.reply.code, verdict.evidence["what"]), (421, "errors"))
        self.assertEqual(self.connect(policy, "2001:db8:0:1::1").action, Action.PASS)

    @acceptance("S172")
    def test_the_refusal_may_be_held_back(self) -> None:
        policy = self.policy(connections=1, tarpit=60)
        self.connect(policy)
        refused = policy.connect(at(Stage.CONNECT, peer=Peer("192.0.2.7")))
        self.assertNoResult(refused)
        self.clock.advance(9)
        self.assertEqual(self.successResultOf(refused).action, Action.TEMPFAIL)

    def test_own_addresses_and_peers_without_one_are_not_counted(self) -> None:
        policy = self.policy(connections=1)
        for _ in range(3):
            for ip in ("127.0.0.1", "::1", ""):
                self.assertEqual(self.connect(policy, ip), Verdict())

    @acceptance("S172")
    def test_refusals_for_good_of_a_conversation_are_counted_when_it_ends(self) -> None:
        server = Server(None, policies=chain_of(self.policy(errors=3), clock=self.clock))
        talk = server.connect("192.0.2.7")
        talk.say("EHLO client.example", "FOO", "MAIL FROM:<a@client.example>")
        replies = talk.say("RCPT TO:<nobody@mail.example>", "RCPT TO:<x@elsewhere.example>")
        self.assertEqual([line[:3] for line in replies.splitlines()], ["550", "550"])
        self.assertEqual(server.connect("192.0.2.7").output()[:3], b"220")
        talk.protocol.connectionLost()
        self.assertEqual(server.connect("192.0.2.7").output()[:9], b"421 4.7.0")
