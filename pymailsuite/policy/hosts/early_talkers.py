"""The policy ``early_talkers``: makes clients wait for the greeting, and finds those that do not. Source: RFC 5321
§4.3.1."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from pymailsuite.config.sections.hosts import EarlyTalkersSettings
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy

_REFUSED = PolicyReply(554, "5.5.0", "You spoke before you were greeted")


class EarlyTalkersPolicy(Policy):
    """The wait is at CONNECT, the objection at HELO, when there is a command to reply to."""

    name = "early_talkers"

    def __init__(self, settings: EarlyTalkersSettings, clock: IReactorTime) -> None:
        self._greet_delay_s = settings.greet_delay
        self._clock = clock

    def connect(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Keeps the client waiting."""
        if not self._greet_delay_s:
            return succeed(NO_OPINION)
        return deferLater(self._clock, self._greet_delay_s, lambda: NO_OPINION)

    def helo(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Objects to a client that did not wait."""
        if not (self._greet_delay_s and transaction.early_talker):
            return succeed(NO_OPINION)
        return succeed(Verdict(Action.REJECT, "spoke before the greeting", reply=_REFUSED))


def make_policy(context: PolicyContext) -> EarlyTalkersPolicy:
    """For the plugin."""
    return EarlyTalkersPolicy(context.section, context.clock)
