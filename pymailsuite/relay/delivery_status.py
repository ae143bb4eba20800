"""The meaning of a server's reply for a recipient."""

from __future__ import annotations

from attrs import frozen

from pymailsuite.interfaces import RecipientState
from pymailsuite.smtp.client import Reply

NO_REPLY = "no reply after the message"
"""The beginning of the reply in a verdict where it is unknown whether the host has accepted the message."""


@frozen
class DeliveryStatus:
    """The state of a recipient after a host's reply: DELIVERED, FAILED, or DELAYED until a later attempt."""

    state: RecipientState
    status: str
    reply: str


def status_of(reply: Reply) -> str:
    """The RFC 3463 status; derived from the code where the server gave none."""
    return reply.enhanced or f"{reply.code // 100}.0.0"


def delivery_status_of(reply: Reply) -> DeliveryStatus:
    """The meaning of a final reply. An unexpected code (such as a second 354) is no reason to give up."""
    if reply.positive:
        return DeliveryStatus(RecipientState.DELIVERED, status_of(reply), str(reply))
    if reply.permanent:
        return DeliveryStatus(RecipientState.FAILED, status_of(reply), str(reply))
    return DeliveryStatus(RecipientState.DELAYED, status_of(reply) if reply.transient else "4.5.0", str(reply))


def refusal_of(reply: Reply) -> DeliveryStatus:
    """The verdict of a reply that is not the positive one a command needs; an unexpected positive code is no
    success."""
    verdict = delivery_status_of(reply)
    return DeliveryStatus(RecipientState.DELAYED, "4.5.0", verdict.reply) if reply.code < 400 else verdict
