"""The policy ``greylist``: asks the store about a triplet, says what follows, remembers what is new.

A message of somebody known costs one read. Who is new, and who comes back, costs a write before the answer; if that
fails the chain goes on as if nothing had been said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from pymailsuite.config.sections.greylist import GreylistSettings
from pymailsuite.interfaces.greylist import ICorrespondents, IGreylistStore, Triplet
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.greylist.clients import client_names
from pymailsuite.policy.greylist.evaluation import GreylistResult, State, evaluate
from pymailsuite.policy.greylist.senders import compared_sender, plain_address, without_tag
from pymailsuite.policy.greylist.suspicion import is_refused_anyway, is_vouched_for, suspicions_about
from pymailsuite.values import Address

log = Logger()

_CODE: Final = 451
_ENHANCED_CODE: Final = "4.7.1"


class GreylistPolicy(Policy):
    """Lets in, or asks to come back."""

    name = "greylist"
    # What lets in goes first; so does what is looked up for this recipient.
    after = ("lists", "dnsbl")

    def __init__(
        self,
        settings: GreylistSettings,
        greylist: IGreylistStore,
        correspondents: ICorrespondents,
    ) -> None:
        self._settings = settings
        self._greylist = greylist
        self._correspondents = correspondents

    def rcpt(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """About this recipient, unless DATA is to be the place."""
        recipient = transaction.recipient
        if recipient is None or self._settings.at == "data" or transaction.reverse_path is None:
            return succeed(NO_OPINION)
        return Deferred.fromCoroutine(self._about(transaction, (recipient,)))

    def data(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """About all recipients: all must be known for the message to come in."""
        if self._settings.at == "rcpt" and transaction.reverse_path is not None:
            return succeed(NO_OPINION)
        return Deferred.fromCoroutine(self._about(transaction, transaction.recipients))

    def speaks_after_recipients(self, transaction: MailTransaction) -> bool:
        return self._settings.at == "data" or transaction.reverse_path is None

    async def _about(self, transaction: MailTransaction, recipients: Sequence[Address]) -> Verdict:
        settings = self._settings
        names = client_names(transaction, settings)
        if not names or is_vouched_for(transaction) or is_refused_anyway(transaction):
            return NO_OPINION
        why: tuple[str, ...] = ("always",)
        if settings.when == "suspicious":
            why = suspicions_about(transaction, settings)
            if not why:
                return NO_OPINION
        sender = compared_sender(transaction.reverse_path, settings.sender_forms)
        asked = {
            recipient: tuple(Triplet(name, sender, plain_address(recipient)) for name in names)
            for recipient in recipients
        }
        known = await self._greylist.look_up([triplet for triplets in asked.values() for triplet in triplets])
        evaluated = {recipient: evaluate(triplets, known, settings) for recipient, triplets in asked.items()}
        await self._let_in_correspondents(transaction.reverse_path, evaluated)
        return await self._answer(list(evaluated.values()), why)

    async def _let_in_correspondents(self, sender: Address | None, evaluated: dict[Address, GreylistResult]) -> None:
        """Removes the recipients that have written to the sender."""
        waiting = {recipient for recipient, outcome in evaluated.items() if not outcome.admits}
        if not (waiting and sender is not None and self._settings.known_correspondents):
            return
        other = without_tag(sender)
        pairs = {recipient: (without_tag(recipient), other) for recipient in waiting}
        known = await self._correspondents.knows(list(dict.fromkeys(pairs.values())))
        for recipient, pair in pairs.items():
            if pair in known:
                del evaluated[recipient]

    async def _answer(self, outcomes: Sequence[GreylistResult], why: Sequence[str]) -> Verdict:
        settings, greylist = self._settings, self._greylist
        new = [one.triplet for one in outcomes if one.state is State.NEW]
        returned = [one.triplet for one in outcomes if one.state is State.RETURNED]
        remembered = True
        if new:
            remembered = await greylist.begin(new, settings.retry_window, settings.waiting_per_client)
        if returned:
            await greylist.passed(returned, settings.keep, settings.auto_allow_keep)
        self._refresh([one for one in outcomes if one.stale])
        waiting = [one for one in outcomes if not one.admits]
        if not waiting:
            return _admitted(outcomes)
        last = max(waiting, key=lambda one: one.wait_s)
        return _asked_to_wait(last, why, remembered)

    def _refresh(self, stale: Sequence[GreylistResult]) -> None:
        """Mail does not wait for it: a lost refresh costs an entry a day of its time."""
        if stale:
            settings = self._settings
            triplets = [one.triplet for one in stale if one.state is State.KNOWN]
            clients = [one.triplet.client for one in stale if one.state is State.ALLOWED]
            written = self._greylist.refresh(triplets, settings.keep, clients, settings.auto_allow_keep)
            written.addErrback(lambda failure: log.failure("{event}", failure, event="greylist.not_refreshed"))


def _evidence(outcome: GreylistResult) -> dict[str, object]:
    triplet = outcome.triplet
    return {
        "state": outcome.state.value,
        "client": triplet.client,
        "sender": triplet.sender,
        "recipient": triplet.recipient,
    }


def _admitted(outcomes: Sequence[GreylistResult]) -> Verdict:
    if not outcomes:
        return NO_OPINION
    first = outcomes[0]
    return Verdict(reason=f"{first.state.value}: {first.triplet.client}", evidence=_evidence(first))


def _asked_to_wait(outcome: GreylistResult, why: Sequence[str], remembered: bool) -> Verdict:
    evidence = {**_evidence(outcome), "seconds": outcome.wait_s, "why": list(why), "remembered": remembered}
    triplet = outcome.triplet
    return Verdict(
        Action.TEMPFAIL,
        f"{outcome.state.value}: {triplet.client} for {triplet.recipient} ({', '.join(why)})",
        reply=PolicyReply(_CODE, _ENHANCED_CODE, f"Greylisted, try again in {outcome.wait_s} s"),
        evidence=evidence,
    )


def make_policy(context: PolicyContext) -> GreylistPolicy:
    """For the plugin."""
    greylist, correspondents = context.needs(IGreylistStore), context.needs(ICorrespondents)
    return GreylistPolicy(context.section, greylist, correspondents)
