"""The policy ``reputation``: scores a message by its sender's past, slows first-time senders, and notes what becomes of
each message as the chain decides."""

from __future__ import annotations

import math
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.interfaces.policy import (
    Action,
    Decision,
    IVerdictRecord,
    MailTransaction,
    PolicyContext,
    PolicyReply,
    Stage,
    Verdict,
)
from pymailsuite.interfaces.reputation import Event, Identity, IJunkFeedback, IReputation, IReputationStore
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.greylist.suspicion import is_refused_anyway, is_vouched_for
from pymailsuite.policy.reputation.event_buffer import EventBuffer, EventFlush
from pymailsuite.policy.reputation.identities import identities_in, results_in
from pymailsuite.policy.reputation.junk_feedback import JunkFeedbackListener
from pymailsuite.policy.reputation.scoring import most_telling

_BUDGET_SHARE: Final = 0.9
_NOT_OTHERS: Final = frozenset({"reputation", "greylist", "score"})
"""Whose refusals say nothing new of a sender: reputation has its part in them, or may have."""


@implementer(IVerdictRecord)
class ReputationPolicy(Policy):
    """``budget_s`` is how long a stage may take."""

    name = "reputation"
    after = ("spf", "dkim", "dmarc", "lists", "dnsbl", "greylist")

    def __init__(
        self,
        settings: ReputationSettings,
        store: IReputationStore,
        events: IReputation,
        clock: IReactorTime,
        budget_s: float,
    ) -> None:
        self._settings = settings
        self._store = store
        self._events = events
        self._clock = clock
        self._longest_wait_s = budget_s * _BUDGET_SHARE

    # --- first-time senders

    def rcpt(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Delays unknown senders, but not bounces, nor senders that are vouched for or refused anyway."""
        if (
            self._settings.first_time == "pass"
            or transaction.reverse_path is None
            or is_vouched_for(transaction)
            or is_refused_anyway(transaction)
        ):
            return succeed(NO_OPINION)
        return Deferred.fromCoroutine(self._slow_first_time(transaction))

    async def _slow_first_time(self, transaction: MailTransaction) -> Verdict:
        settings = self._settings
        asked = next((one for one in self._identities(transaction) if one.kind != "address"), None)
        if asked is None or (settings.first_time == "tarpit" and transaction.recipients):
            return NO_OPINION
        store = self._store
        reputation = (await store.look_up([asked], settings.half_life)).get(asked)
        remaining_s = settings.first_time_delay
        if reputation is not None:
            remaining_s -= reputation.noted_at - reputation.first_seen  # it is told as of now
        if remaining_s <= 0:
            return NO_OPINION
        if reputation is None:
            await store.meet([asked])
        if settings.first_time == "tarpit":
            if reputation is None and settings.action != "log":
                await deferLater(self._clock, min(remaining_s, self._longest_wait_s))
            return NO_OPINION
        wait_s = math.ceil(remaining_s)
        return Verdict(
            Action.TEMPFAIL,
            f"first mail of {asked.kind} {asked.name}",
            reply=PolicyReply(451, "4.7.1", f"No mail of yours was seen here before, try again in {wait_s} s"),
            evidence={"kind": asked.kind, "name": asked.name, "seconds": wait_s},
        )

    # --- the past

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Adds to the score, or takes from it."""
        return Deferred.fromCoroutine(self._message(transaction))

    async def _message(self, transaction: MailTransaction) -> Verdict:
        settings = self._settings
        identities = self._identities(transaction)
        known = await self._store.look_up(identities, settings.half_life)
        standing = most_telling(identities, known, settings)
        if standing is None:
            return NO_OPINION
        reputation = standing.reputation
        one = reputation.identity
        evidence: dict[str, object] = {
            "kind": one.kind,
            "name": one.name,
            "balance": round(standing.balance, 3),
            **{event.value: round(getattr(reputation, event.value), 1) for event in Event},
        }
        action = Action.SCORE if standing.score else Action.PASS
        return Verdict(
            action, f"{one.kind} {one.name} stands at {standing.balance:+.2f}", standing.score, evidence=evidence
        )

    def _identities(self, transaction: MailTransaction, decision: Decision | None = None) -> tuple[Identity, ...]:
        """What was verified in earlier stages and, as far as it is there, in this one."""
        said = [applied.verdict for applied in transaction.applied_verdicts]
        said += (
            transaction.verdicts.values() if decision is None else [one.verdict for one in decision.applied_verdicts]
        )
        return identities_in(results_in(said), transaction.peer.ip, self._settings)

    # --- what became of it

    def note(self, transaction: MailTransaction, decision: Decision) -> None:
        """Counts messages that were taken, and refusals for good that others are the reason of."""
        peer, refusal = transaction.peer, decision.refusal
        if transaction.submission or peer.login or peer.trusted:
            return
        if refusal is None:
            if transaction.stage is Stage.MESSAGE:
                self._events.note(self._identities(transaction, decision), Event.ACCEPTED)
        elif refusal.code >= 500 and decision.decided_by not in _NOT_OTHERS:
            self._events.note(self._identities(transaction, decision), Event.REFUSED)


def make_policy(context: PolicyContext) -> ReputationPolicy:
    """For the plugin."""
    settings: ReputationSettings = context.section
    reputations = context.needs(IReputationStore)
    events = EventBuffer(settings, reputations, context.clock)
    junk_feedback = context.store.ability(IJunkFeedback)
    if junk_feedback is not None:
        junk_feedback.subscribe(JunkFeedbackListener(settings, events, context.authserv_id).heard)
    policy = ReputationPolicy(settings, reputations, events, context.clock, context.settings.policy.budget)
    policy.services = (EventFlush(events),)
    return policy
