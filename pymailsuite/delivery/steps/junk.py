"""Files copies as the policies decided: into the mailbox for junk, or discards them."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred

from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.interfaces.delivery import (
    NOTHING,
    Actions,
    DeliveryAction,
    DeliveryMessage,
    Discard,
    Place,
    PlannedRecipient,
    StepContext,
)
from pymailsuite.interfaces.policy import Decision, Disposal
from pymailsuite.values import SpecialUse


class JunkStep(DeliveryStep):
    """Disposals are keyed by the original recipient address, whatever it resolves to."""

    name = "junk"

    def decide(
        self, message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        if not decision.disposals:
            return NOTHING
        actions: list[DeliveryAction] = []
        for recipient in recipients:
            disposal = decision.disposals.get(recipient.given)
            if disposal is Disposal.DISCARD:
                actions.append(Discard(recipient, "the checks want it discarded"))
            elif disposal is Disposal.JUNK and recipient.placements:
                copies = [evolve(placement, special_use=SpecialUse.JUNK) for placement in recipient.placements]
                actions.append(Place(recipient, tuple(copies), "the checks want it in the mailbox for junk"))
        return actions


def make_step(context: StepContext) -> JunkStep:
    return JunkStep()
