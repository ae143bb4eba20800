"""Mail in the queue for a domain that has become local meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.delivery.readable import ReadableMessage
from pymailsuite.interfaces import (
    DeliveredHere,
    IRecipientResolver,
    Outcome,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
)
from pymailsuite.interfaces.delivery import DeliveryMessage, DeliveryPlan
from pymailsuite.interfaces.policy import Decision
from pymailsuite.message.scan import StructureScanner
from pymailsuite.values import MAX_CHUNK, BodyType, ContentId, Envelope, Peer

log = Logger()

_REMEMBERED_S = 5.0
"""Seconds for which a domain is remembered as not local."""

_REMEMBERED_MOST = 10_000


class LateDelivery:
    """Checks whether a route of the queue has become local, and delivers there.

    ``read_content`` is :meth:`IMailStore.read_content`."""

    def __init__(
        self,
        recipients: IRecipientResolver,
        planner: DeliveryPlanner,
        own_messages: OwnMessages,
        read_content: Callable[[ContentId, int, int], Deferred[bytes]],
        clock: IReactorTime,
    ) -> None:
        self._recipients = recipients
        self._planner = planner
        self._own_messages = own_messages
        self._read_content = read_content
        self._clock = clock
        self._elsewhere: dict[str, float] = {}

    async def leads_here(self, route: str) -> bool:
        """True if the domain is local. Errors of the store are raised."""
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
        """True if :meth:`leads_here` would return False without a look-up."""
        return self._elsewhere.get(route, 0.0) > self._clock.seconds()

    async def deliver(self, entry: QueueEntry, recipients: Sequence[QueuedRecipient]) -> DeliveredHere:
        """Deliver to local recipients. Errors of the store are raised."""
        header, content = await self._read(entry)
        delivered = [await self._deliver(entry, header, content, recipient) for recipient in recipients]
        return DeliveredHere(
            tuple([outcome for one in delivered for outcome in one.outcomes]),
            tuple([copy for one in delivered for copy in one.deliveries]),
            tuple([envelope for one in delivered for envelope in one.outgoing]),
            tuple([acceptance for one in delivered for acceptance in one.along]),
            tuple([note for one in delivered for note in one.notes]),
        )

    async def _deliver(
        self, entry: QueueEntry, header: bytes, content: ReadableMessage, recipient: QueuedRecipient
    ) -> DeliveredHere:
        try:
            plan = await self._plan(entry, header, content, recipient)
            outcome = _outcome(recipient, plan)
            if outcome.state is RecipientState.DELAYED:
                # The whole plan is made again, so that no recipient has a part of it twice.
                done = DeliveredHere((outcome,), notes=plan.notes)
            else:
                origin = f"added to {entry.queue_id}"
                prepared = [await self._own_messages.prepare(one.octets, one.envelope, origin) for one in plan.added]
                done = DeliveredHere(
                    (outcome,),
                    tuple([evolve(copy, prefix=copy.prefix + entry.prefix) for copy in plan.copies]),
                    tuple([evolve(envelope, priority=entry.priority) for envelope in plan.outgoing]),
                    tuple([acceptance for _, acceptance in prepared if acceptance is not None]),
                    plan.notes,
                )
        except CancelledError:
            outcome = Outcome(recipient.position, RecipientState.DELAYED, "4.3.0", "called off")
            done = DeliveredHere((outcome,))
        log.info(
            "{event} {queue_id} to=<{recipient}> {state} status={status} reply={reply}",
            event="delivery.was_queued",
            queue_id=entry.queue_id,
            recipient=str(recipient.address),
            state=outcome.state.value,
            status=outcome.status,
            reply=outcome.reply,
        )
        return done

    async def _read(self, entry: QueueEntry) -> tuple[bytes, ReadableMessage]:
        """The header as it was received, without the server's own fields in front, and the message for steps to
        read."""
        scanner = StructureScanner()
        header_size, size = entry.header_size - len(entry.prefix), entry.size - len(entry.prefix)
        header = b""
        for start in range(0, size, MAX_CHUNK):
            octets = await self._read_content(entry.content_id, start, min(start + MAX_CHUNK, size))
            header += octets[: header_size - start] if start < header_size else b""
            scanner.feed(octets)
        structure = scanner.finish()
        return header, ReadableMessage(partial(self._read_content, entry.content_id), lambda: structure)

    async def _plan(
        self, entry: QueueEntry, header: bytes, content: ReadableMessage, recipient: QueuedRecipient
    ) -> DeliveryPlan:
        # What the sender asked for is asked of the plan, which has it go along (RFC 3461 §5.2.7).
        envelope = Envelope(
            entry.reverse_path,
            (recipient.address,),
            BodyType(entry.body),
            entry.smtputf8,
            parameters={"ENVID": entry.envid, "RET": entry.ret},
            recipient_parameters={recipient.address: {"NOTIFY": recipient.notify, "ORCPT": recipient.orcpt}},
        )
        size = entry.size - len(entry.prefix)
        message = DeliveryMessage(
            entry.queue_id, envelope, Peer(""), size, header, content=content, origin=entry.origin, from_queue=True
        )
        planned = self._planner.plan(message, [(recipient.address, None)], Decision(prefix=entry.prefix))
        plan: DeliveryPlan = await planned if isinstance(planned, Deferred) else planned
        return plan


def _outcome(recipient: QueuedRecipient, plan: DeliveryPlan) -> Outcome:
    """The outcome of the plan for a recipient."""
    position = recipient.position
    for refused in plan.refused:
        error = refused.refusal
        assert error is not None, "refused for no reason"
        state = RecipientState.DELAYED if error.smtp_code < 500 else RecipientState.FAILED
        return Outcome(position, state, error.enhanced_code, error.public)
    passed_on = [str(one.address) for envelope in plan.outgoing for one in envelope.recipients]
    reply = "delivered here" if plan.copies or not passed_on else ""
    if passed_on:
        reply = f"{reply}{' and ' if reply else ''}sent on to {', '.join(passed_on)}"
    elif not plan.copies:
        reply = "discarded here"
    success = plan.successes.get(recipient.address)
    return Outcome(position, RecipientState.DELIVERED, "2.0.0", reply, success=success)
