"""A delivery step that does nothing, to derive from, and its declaration as a Twisted plugin."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from pymailsuite.interfaces.delivery import (
    NOTHING,
    Actions,
    DeliveryMessage,
    IDeliveryStep,
    IDeliveryStepFactory,
    PlannedRecipient,
)
from pymailsuite.interfaces.intake import GivenRecipients
from pymailsuite.interfaces.policy import Decision, IMessageTap
from pymailsuite.plugins import NamedMaker
from pymailsuite.values import Envelope, Peer


@implementer(IDeliveryStep)
class DeliveryStep:
    """Override ``decide``, and ``tap`` if the step needs the octets while the message arrives; otherwise it is not
    called then."""

    name: ClassVar[str]

    def tap(self, envelope: Envelope, recipients: GivenRecipients, peer: Peer) -> IMessageTap | None:
        return None

    def decide(
        self, message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        return NOTHING


@implementer(IPlugin, IDeliveryStepFactory)
@frozen
class DeliveryStepPlugin(NamedMaker):
    """One step, declared in a module of ``twisted/plugins/``:

    ``junk = DeliveryStepPlugin("junk", "pymailsuite.delivery.steps.junk.make_step", position=80)``

    ``maker`` is the full name of a function that takes a StepContext and returns the step. Steps that choose mailboxes
    have a ``position`` between 1 and 79: ``junk`` then processes their copies, and ``forward`` the mail they send on.
    """

    position: int = 50
