"""Where a message goes that is taken, and not into the INBOX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces.policy import Action, Disposal, Stage, Verdict
from pymailsuite.policy.base import Policy
from pymailsuite.values import Address
from tests.support.policies import at, chain_of, says

ANN, BOB = Address("ann", "example.test"), Address("bob", "example.test")
JUNK = Verdict(Action.TAG, disposal=Disposal.JUNK)
DISCARD = Verdict(Action.TAG, disposal=Disposal.DISCARD)


class DisposalTests(SynchronousTestCase):
    def disposals(self, *policies: Policy, **options: Any) -> Mapping[Address, Disposal]:
        chain = chain_of(*policies, **options)
        applied_verdicts: tuple[Any, ...] = ()
        for recipient in (ANN, BOB):
            asked = at(Stage.RCPT, recipient=recipient, applied_verdicts=applied_verdicts)
            applied_verdicts += self.successResultOf(chain.check(asked)).applied_verdicts
        found = self.successResultOf(
            chain.check(at(Stage.MESSAGE, recipients=(ANN, BOB), applied_verdicts=applied_verdicts))
        )
        return dict(found.disposals)

    def test_one_about_the_message_is_for_all_and_the_graver_counts(self) -> None:
        self.assertEqual(self.disposals(says("dmarc", message=JUNK)), {ANN: Disposal.JUNK, BOB: Disposal.JUNK})
        for policies in ((says("a", message=JUNK), says("b", message=DISCARD)),):
            self.assertEqual(self.disposals(*policies), {ANN: Disposal.DISCARD, BOB: Disposal.DISCARD})

    def test_one_about_a_recipient_is_for_nobody_else(self) -> None:
        lists = says("lists", rcpt=lambda transaction: DISCARD if transaction.recipient == BOB else Verdict())
        self.assertEqual(self.disposals(lists), {BOB: Disposal.DISCARD})

    def test_whoever_vouches_sets_it_aside(self) -> None:
        allow = says("lists", rcpt=lambda asked: Verdict(Action.ACCEPT) if asked.recipient == ANN else Verdict())
        self.assertEqual(self.disposals(allow, says("dmarc", message=JUNK)), {BOB: Disposal.JUNK})
        excepted = self.disposals(allow, says("dmarc", message=JUNK), accept_except=("dmarc",))
        self.assertEqual(excepted, {ANN: Disposal.JUNK, BOB: Disposal.JUNK})

    def test_a_recipient_may_want_it_otherwise(self) -> None:
        recipients = {"ann@example.test": {"actions": {"dmarc": "log"}}}
        found = self.disposals(says("dmarc", message=JUNK), recipients=recipients)
        self.assertEqual(found, {BOB: Disposal.JUNK})
