"""Resolves recipients that are not resolved yet.

SMTP resolves them at RCPT, and passes the result along. Reports, messages of other steps, and mail from the queue come
with addresses alone. Mail that policies redirect is resolved by the other address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.interfaces import IRecipientResolver
from pymailsuite.interfaces.delivery import (
    NOTHING,
    Actions,
    DeliveryAction,
    DeliveryMessage,
    PlannedRecipient,
    Refuse,
    Resolve,
    StepContext,
)
from pymailsuite.interfaces.policy import Decision
from pymailsuite.values import Address, QueueId

log = Logger()


class ResolveStep(DeliveryStep):
    """Asks the directory; a recipient that it refuses is refused."""

    name = "resolve"

    def __init__(self, resolver: IRecipientResolver) -> None:
        self._resolver = resolver

    def decide(
        self, message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        redirected = decision.edits.redirected
        for recipient in recipients:
            if recipient.target is None or redirected:
                return Deferred.fromCoroutine(self._resolve_all(message.queue_id, recipients, redirected))
        return NOTHING

    async def _resolve_all(
        self, queue_id: QueueId, recipients: Sequence[PlannedRecipient], redirected: Mapping[Address, Address]
    ) -> Actions:
        return [
            await self._resolve(queue_id, one, redirected.get(one.given, one.given))
            for one in recipients
            if one.target is None or one.given in redirected
        ]

    async def _resolve(self, queue_id: QueueId, recipient: PlannedRecipient, address: Address) -> DeliveryAction:
        try:
            why = "" if address == recipient.given else f"redirected to {address}"
            return Resolve(recipient, await self._resolver.resolve(address), why)
        except CancelledError:
            raise
        except MailError as error:
            return Refuse(recipient, error)
        except Exception:
            # One address whose look-up fails must not delay the others.
            log.failure(
                "{event} {queue_id} to=<{recipient}>",
                event="delivery.resolve_broken",
                queue_id=queue_id,
                recipient=str(recipient.given),
            )
            return Refuse(recipient, TemporaryFailure("internal error"))


def make_step(context: StepContext) -> ResolveStep:
    return ResolveStep(context.recipients)
