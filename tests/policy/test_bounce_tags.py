"""Bounces of mail that we have not sent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.forwarding import BounceTagSettings
from pymailsuite.interfaces.policy import Action, IPolicy, Stage
from pymailsuite.policy.bounce_tags import BounceTagPolicy
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.support.policies import at


class BounceTagPolicyTests(SynchronousTestCase):
    policy = BounceTagPolicy(BounceTagSettings(domains=("example.org",)))

    def action(self, recipient: str, **more: Address | None) -> Action:
        address = Address(*recipient.rsplit("@", 1))
        transaction = at(Stage.RCPT, **{"reverse_path": None, "recipient": address, **more})
        return self.successResultOf(self.policy.rcpt(transaction)).action

    @acceptance("S081")
    def test_a_bounce_to_an_address_without_a_tag_is_objected_to(self) -> None:
        verifyObject(IPolicy, self.policy)
        self.assertEqual(self.action("ann@example.org"), Action.REJECT)

    def test_others_are_not(self) -> None:
        for recipient in (
            "prvs=0123abc=ann@example.org",
            "SRS0=a=b=c=d@example.org",
            "Postmaster@example.org",
            "ann@other.example",
        ):
            self.assertEqual(self.action(recipient), Action.PASS)
        self.assertEqual(self.action("ann@example.org", reverse_path=Address("sam", "peer.example")), Action.PASS)
