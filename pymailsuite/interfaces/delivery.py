"""What becomes of a message that has been accepted: decided step by step, and then done in one transaction.

A delivery step is told of a message and of its recipients so far, and answers actions: what is to become of a
recipient's mail instead. All steps together make a :class:`DeliveryPlan`, whichever way the message came in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import Attribute, Interface

from pymailsuite.errors import MailError
from pymailsuite.interfaces.content import IReadableMessage, StagedContent
from pymailsuite.interfaces.history import HistoryEntry, StepNote
from pymailsuite.interfaces.intake import (
    GivenRecipients,
    IRecipientResolver,
    LocalRecipient,
    Recipients,
    RemoteRecipient,
)
from pymailsuite.interfaces.policy import Decision, IMessageTap
from pymailsuite.interfaces.queue import Acceptance, Delivery, OutgoingEnvelope, SuccessKind
from pymailsuite.interfaces.signing import ISealer
from pymailsuite.interfaces.state import IExpiringState
from pymailsuite.interfaces.store import IMailStore, plugin_state
from pymailsuite.interfaces.transient import transient
from pymailsuite.values import INBOX, Address, Envelope, Flags, LoginGrant, Peer, QueueId, SpecialUse

NO_FLAGS: Final = Flags()
NO_SUCCESSES: Final[Mapping[Address, SuccessKind]] = {}
NO_TAPS: Final[Mapping[str, IMessageTap]] = {}


@transient
class DeliveryMessage:
    """An accepted message, as delivery steps are told of it.

    ``header`` is as it was received, up to and with its empty line. ``size`` counts octets. ``peer`` is who handed it
    over; of our own messages it has no address. ``taps`` are those the steps asked for, by the step's name.
    ``automatic``: it is a report, or a step has added it; whatever would answer it is not to. ``origin`` is who it
    comes from, for operators; empty: the peer.
    """

    queue_id: QueueId
    envelope: Envelope
    peer: Peer
    size: int
    header: bytes = field(repr=False)
    taps: Mapping[str, IMessageTap] = NO_TAPS
    content: IReadableMessage | None = field(default=None, eq=False, repr=False)
    """All of it, to be read; None of a message that was made up."""
    automatic: bool = False
    origin: str = ""
    from_queue: bool = False
    """It has waited in the queue: its reverse-path is the one it was to leave with."""


# --- what a recipient gets ------------------------------------------------------------------------------------------


@transient
class Placement:
    """A copy in a mailbox of the recipient's account.

    ``special_use``: in the mailbox of this use instead, if the account has one. ``internal_date`` is POSIX seconds,
    None: now. ``prefix`` are header fields of this copy alone, each ended by CRLF.
    """

    mailbox: str = INBOX
    flags: Flags = NO_FLAGS
    special_use: SpecialUse | None = None
    internal_date: float | None = None
    prefix: bytes = field(default=b"", repr=False)


@transient
class Transmission:
    """The message on its way to another host: for ``address``, from ``reverse_path``, with the header fields ``prefix``
    (each ended by CRLF) in front of those that all copies have.

    ``held``: why it does not leave until an operator releases it; empty: it leaves at once."""

    address: Address
    reverse_path: Address | None
    prefix: bytes = field(default=b"", repr=False)
    held: str = ""


@transient
class PlannedRecipient:
    """One final recipient, and what becomes of its mail as things stand.

    ``given`` is the address that was asked for, ``target`` what it resolved to: one of several, where an alias leads to
    several; None as long as nobody has looked it up. ``refusal`` says why it gets nothing; ``discarded`` that it gets
    nothing and nobody is told.
    """

    given: Address
    target: LocalRecipient | RemoteRecipient | None
    placements: tuple[Placement, ...] = ()
    transmissions: tuple[Transmission, ...] = ()
    refusal: MailError | None = None
    discarded: bool = False


# --- what a step answers --------------------------------------------------------------------------------------------


@transient
class Resolve:
    """The recipient is these: each gets its mail as usual, a copy in its mailbox or at its host."""

    recipient: PlannedRecipient
    targets: Recipients
    why: str = ""


@transient
class Place:
    """An account's copies of the message are these, in place of those there were to be."""

    recipient: PlannedRecipient
    placements: tuple[Placement, ...]
    why: str = ""


@transient
class SendOn:
    """The message goes to these on behalf of the recipient, in place of those it was to go to."""

    recipient: PlannedRecipient
    transmissions: tuple[Transmission, ...]
    why: str = ""


@transient
class Refuse:
    """The recipient gets nothing, and the sender is told: in the reply where there is one for each recipient, or where
    there are no others, else by a report. A temporary error refuses the message for all of them, for now."""

    recipient: PlannedRecipient
    error: MailError
    why: str = ""


@transient
class Discard:
    """The recipient gets nothing, and nobody is told."""

    recipient: PlannedRecipient
    why: str = ""


@transient
class AddMessage:
    """Another message of ours is accepted along with this one. Steps that would add yet another to it are not heard.

    ``octets`` are the whole message, lines ended by CRLF; in more than 7 bits if the envelope says so."""

    octets: bytes = field(repr=False)
    envelope: Envelope
    why: str = ""


DeliveryAction = Resolve | Place | SendOn | Refuse | Discard | AddMessage
Actions = Iterable[DeliveryAction]

NOTHING: Final[tuple[DeliveryAction, ...]] = ()
"""All is to stay as it is."""


class IDeliveryStep(Interface):
    """One step of a delivery plan. :class:`pymailsuite.delivery.step.DeliveryStep` does nothing: derive and override.

    Whatever a step does wrong costs its recipients nothing but the step: if it raises, answers nonsense or has no
    answer when ``[delivery] step_timeout`` is over, all stays as the steps before it have said.
    """

    name = Attribute("Its name in the configuration, the log and DeliveryMessage.taps; lower case.")

    def tap(envelope: Envelope, recipients: GivenRecipients, peer: Peer) -> IMessageTap | None:
        """A message begins to come in: what is to hear its octets, if anything."""

    def decide(
        message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        """What is to change. ``recipients`` are as the steps before have left them, those that are refused or discarded
        left out; ``decision`` is what the policies said.

        A Deferred, or a coroutine, only where there is something to wait for: most mail is delivered without any. It is
        cancelled when the time is over."""


class IReturnPaths(Interface):
    """Makes return paths of ours that lead back to others."""

    def rewritten(sender: Address, domain: str) -> Awaitable[Address]:
        """The path at ``domain`` that stands for ``sender``, or the sender if that would be too long. Temporary errors
        of the store come through."""

    def tagged(sender: Address) -> Awaitable[Address]:
        """The sender's address with a tag by which bounces to it are known to be of mail that it sent."""


@frozen
class StepContext:
    """What a step is made from.

    ``options`` is its table of the configuration, ``settings`` the whole of it. ``store`` is not open yet. ``sealer``
    None: nothing is sealed.
    """

    options: Mapping[str, Any]
    settings: Any
    hostname: str
    store: IMailStore
    clock: IReactorTime
    recipients: IRecipientResolver
    return_paths: IReturnPaths
    sealer: ISealer | None = None
    name: str = ""
    """The step's."""

    @property
    def state(self) -> IExpiringState:
        """What the step keeps for a time, the same on every node, under names of its own. MissingAbility."""
        return plugin_state(self.store, "step", self.name)


class IDeliveryStepFactory(Interface):
    """Makes one step; a Twisted plugin, in ``twisted/plugins/``, that provides IPlugin too.

    See :class:`pymailsuite.delivery.step.DeliveryStepPlugin`.
    """

    name = Attribute("The step's name.")
    position = Attribute(
        "Steps run in the order of these numbers, and of their names: resolve 0, junk 80, forward 90, quota 95,"
        " quarantine 100."
    )

    def make(context: StepContext) -> IDeliveryStep:
        """The step. Called once for each server, not at all if it is not wanted. ConfigError."""


# --- what comes of it -----------------------------------------------------------------------------------------------


@transient
class DeliveryPlan:
    """What becomes of a message: to be done in one transaction.

    ``recipients`` are all there are in the end, in the order in which they were given, with what each gets. ``copies``
    and ``outgoing`` are the same for the store: a copy for each account and mailbox, a transmission to each address,
    once. ``fields`` stand in front of all copies, behind those of each. ``refused`` are those of the recipients that
    are. ``notes`` tell which step decided what, where that is not as usual. ``successes`` are those that the sender is
    to be told of, by the address that was given.
    """

    recipients: tuple[PlannedRecipient, ...]
    copies: tuple[Delivery, ...] = ()
    outgoing: tuple[OutgoingEnvelope, ...] = ()
    fields: bytes = field(default=b"", repr=False)
    refused: tuple[PlannedRecipient, ...] = ()
    added: tuple[AddMessage, ...] = ()
    notes: tuple[StepNote, ...] = ()
    successes: Mapping[Address, SuccessKind] = NO_SUCCESSES

    def acceptance(
        self,
        content: StagedContent,
        history: HistoryEntry | None = None,
        grant: LoginGrant | None = None,
        along: tuple[Acceptance, ...] = (),
    ) -> Acceptance:
        """What the store is to do, in one transaction with what is to be done ``along`` with it."""
        return Acceptance(content, self.copies, self.outgoing, history, grant, self.fields, along)
