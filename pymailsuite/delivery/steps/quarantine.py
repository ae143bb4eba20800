"""Holds mail in the queue that the policies want an operator to review, in place of its whole delivery.

It runs last. After release, copies are delivered like mail whose domain has become local meanwhile, and other mail
leaves as planned.
"""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred

from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.interfaces.delivery import (
    NOTHING,
    Actions,
    DeliveryAction,
    DeliveryMessage,
    Place,
    PlannedRecipient,
    SendOn,
    StepContext,
    Transmission,
)
from pymailsuite.interfaces.policy import Decision
from pymailsuite.values import Address


class QuarantineStep(DeliveryStep):
    """Keyed by the original recipient address, whatever it resolves to."""

    name = "quarantine"

    def decide(
        self, message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        reasons = decision.edits.quarantined
        if not reasons:
            return NOTHING
        actions: list[DeliveryAction] = []
        for recipient in recipients:
            reason = reasons.get(recipient.given)
            if reason is not None:
                actions += _kept(recipient, reason, message.envelope.reverse_path)
        return actions


def _kept(recipient: PlannedRecipient, reason: str, reverse_path: Address | None) -> list[DeliveryAction]:
    held = f"quarantined: {' '.join(reason.split()) or 'no reason given'}"
    waiting = [evolve(each, held=held) for each in recipient.transmissions]
    if not recipient.placements:
        return [SendOn(recipient, tuple(waiting), held)]
    # The account alone: other targets of the address are recipients of their own.
    address = recipient.given if recipient.target is None else recipient.target.address
    waiting.append(Transmission(address, reverse_path, held=held))
    return [SendOn(recipient, tuple(waiting), held), Place(recipient, (), held)]


def make_step(context: StepContext) -> QuarantineStep:
    return QuarantineStep()
