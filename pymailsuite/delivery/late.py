"""Mail that waits in the queue for a domain which has become ours meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.delivery.intake import local_deliveries
from pymailsuite.errors import MailError, Refusal
from pymailsuite.interfaces import (
    Delivery,
    IRecipientResolver,
    LocalRecipient,
    Outcome,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
)

log = Logger()

_REMEMBERED_S = 5.0
"""How long it is remembered that a domain is not ours."""

_REMEMBERED_MOST = 10_000


class LateDelivery:
    """Looks whether a route of the queue leads to ourselves by now, and delivers there."""

    def __init__(self, recipients: IRecipientResolver, clock: IReactorTime) -> None:
        self._recipients = recipients
        self._clock = clock
        self._elsewhere: dict[str, float] = {}

    async def leads_here(self, route: str) -> bool:
        """True if the domain is ours. Errors of the store come through."""
        now = self._clock.seconds()
        if self._elsewhere.get(route, 0.0) > now:
            return False
        if await self._recipients.is_local_domain(route):
            return True
        if len(self._elsewhere) >= _REMEMBERED_MOST:
            self._elsewhere.clear()
        self._elsewhere[route] = now + _REMEMBERED_S
        return False

    def is_known_elsewhere(self, route: str) -> bool:
        """True if :meth:`leads_here` would say no without asking anybody."""
        return self._elsewhere.get(route, 0.0) > self._clock.seconds()

    async def deliver(
        self, entry: QueueEntry, recipients: Sequence[QueuedRecipient]
    ) -> tuple[list[Outcome], list[Delivery]]:
        """What becomes of recipients of ours, and the copies that are to be delivered with that."""
        outcomes: list[Outcome] = []
        deliveries: list[Delivery] = []
        for recipient in recipients:
            try:
                resolved = await self._recipients.resolve(recipient.address)
            except CancelledError:
                outcome = Outcome(recipient.position, RecipientState.DELAYED, "4.3.0", "called off")
            except Refusal as refusal:
                outcome = Outcome(recipient.position, RecipientState.FAILED, refusal.enhanced_code, refusal.public)
            except MailError as error:
                outcome = Outcome(recipient.position, RecipientState.DELAYED, error.enhanced_code, error.public)
            except Exception:
                # One address that nobody can resolve must not keep the others waiting until they expire.
                log.failure(
                    "{event} {queue_id} to=<{recipient}>",
                    event="delivery.resolve_broken",
                    queue_id=entry.queue_id,
                    recipient=str(recipient.address),
                )
                outcome = Outcome(recipient.position, RecipientState.DELAYED, "4.3.0", "internal error")
            else:
                if all(isinstance(target, LocalRecipient) for target in resolved):
                    deliveries += local_deliveries(entry.reverse_path, [(recipient.address, resolved)], entry.prefix)
                    outcome = Outcome(recipient.position, RecipientState.DELIVERED, "2.0.0", "delivered here")
                else:
                    # A settling cannot put new recipients into the queue; the sender's next message takes the new way.
                    text = "the address has become an alias that leads on to another host: send again"
                    outcome = Outcome(recipient.position, RecipientState.FAILED, "5.3.5", text)
            outcomes.append(outcome)
            log.info(
                "{event} {queue_id} to=<{recipient}> {state} status={status} reply={reply}",
                event="delivery.was_queued",
                queue_id=entry.queue_id,
                recipient=str(recipient.address),
                state=outcome.state.value,
                status=outcome.status,
                reply=outcome.reply,
            )
        return outcomes, deliveries
