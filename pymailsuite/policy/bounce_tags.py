"""The policy ``bounce_tags``: bounces of mail that has not left from here. Source: the drafts of BATV.

A tag that is not ours, or has expired, is not asked about here: to recipient resolution it is an unknown user.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed

from pymailsuite.config.sections.forwarding import BounceTagSettings
from pymailsuite.directory.bounce_tags import is_tagged
from pymailsuite.directory.srs import is_rewritten
from pymailsuite.dns.names import comparable_domain
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Stage, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy

_REFUSED: Final = PolicyReply(550, "5.7.1", "No mail has been sent from here with this return path")
_FORGED: Final = Verdict(Action.REJECT, "bounce to an address without a tag", reply=_REFUSED)


class BounceTagPolicy(Policy):
    """Objects to mail from the null sender to addresses in the domains that are tagged."""

    name = "bounce_tags"

    def __init__(self, settings: BounceTagSettings) -> None:
        self._domains = frozenset(map(comparable_domain, settings.domains))
        self.silent_at = frozenset() if settings.domains else frozenset((Stage.RCPT,))

    def rcpt(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Postmaster accepts mail from everybody (RFC 5321 §4.5.1)."""
        recipient = transaction.recipient
        if transaction.reverse_path is not None or recipient is None:
            return succeed(NO_OPINION)
        if comparable_domain(recipient.domain) not in self._domains:
            return succeed(NO_OPINION)
        if is_tagged(recipient) or is_rewritten(recipient) or recipient.local_part.lower() == "postmaster":
            return succeed(NO_OPINION)
        return succeed(_FORGED)


def make_policy(context: PolicyContext) -> BounceTagPolicy:
    """The policy as the chain wants it."""
    return BounceTagPolicy(context.section)
