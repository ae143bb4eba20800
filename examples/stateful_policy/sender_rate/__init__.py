"""So many messages an hour from each sender, counted in the store."""

from twisted.internet.defer import Deferred

from pymailsuite.interfaces.policy import Action, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy

HOUR_S = 3600.0
REFUSED = PolicyReply(550, "5.7.1", "Too many messages from this sender, try again in an hour")


class SenderRate(Policy):
    """``state`` is the policy's own part of the store."""

    name = "sender_rate"

    def __init__(self, state, limit):
        self._state = state
        self._limit = limit

    def mail(self, transaction):
        return Deferred.fromCoroutine(self._mail(transaction.reverse_path))

    async def _mail(self, sender):
        # Reports have no sender, and answer to mail of ours.
        if sender is None:
            return NO_OPINION
        sent = await self._state.add(str(sender).lower(), HOUR_S)
        if sent <= self._limit:
            return NO_OPINION
        return Verdict(Action.REJECT, f"{sent} messages within an hour", reply=REFUSED, evidence={"sent": sent})


def make_policy(context):
    return SenderRate(context.state, context.section.model_extra.get("limit", 100))
