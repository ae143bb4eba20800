"""Refuses mail from the queue for accounts that are full.

Mail that comes in is checked by the transaction that stores it. What has waited in the queue is settled together with
other recipients of it, so that it is asked before, for each recipient.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from pymailsuite.delivery.quota import STEP, RecipientQuotas
from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.interfaces import LocalRecipient
from pymailsuite.interfaces.delivery import (
    NOTHING,
    Actions,
    DeliveryAction,
    DeliveryMessage,
    PlannedRecipient,
    Refuse,
    StepContext,
)
from pymailsuite.interfaces.policy import Decision
from pymailsuite.interfaces.quota import IQuotaStore
from pymailsuite.message.trace import delivered_to_field, return_path_field


class QuotaStep(DeliveryStep):
    """``quotas`` None: the store has none."""

    name = STEP

    def __init__(self, quotas: RecipientQuotas | None) -> None:
        self._quotas = quotas

    def decide(
        self, message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        quotas = self._quotas
        if not message.from_queue or quotas is None:
            return NOTHING
        concerned = [one for one in recipients if one.placements and one.target and quotas.concern((one.target,))]
        if not concerned:
            return NOTHING
        return Deferred.fromCoroutine(self._refused(quotas, message, concerned, decision))

    async def _refused(
        self,
        quotas: RecipientQuotas,
        message: DeliveryMessage,
        recipients: list[PlannedRecipient],
        decision: Decision,
    ) -> Actions:
        actions: list[DeliveryAction] = []
        for one in recipients:
            target = one.target
            assert isinstance(target, LocalRecipient), "only accounts have mailboxes"
            front = return_path_field(message.envelope.reverse_path) + delivered_to_field(one.given) + decision.prefix
            octets = message.size + len(front) + max([len(placement.prefix) for placement in one.placements])
            copies = [(target.account_id, placement.mailbox) for placement in one.placements]
            for over in (await quotas.without_room(copies, octets)).values():
                actions.append(Refuse(one, quotas.error_of(over), over.cause))
        return actions


def make_step(context: StepContext) -> QuotaStep:
    quotas = context.store.ability(IQuotaStore)
    return QuotaStep(None if quotas is None else RecipientQuotas(context.settings.quota, quotas))
