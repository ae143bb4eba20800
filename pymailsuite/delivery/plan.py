"""Plans the delivery of every accepted message, whichever way it came in.

Delivery steps are asked one after another, each about the result of those before it. The result of all is a
:class:`~pymailsuite.interfaces.delivery.DeliveryPlan`, which the store carries out in one transaction. A step that
raises, returns invalid actions or has no result in time is named in the log and skipped: the mail goes where the steps
before it have sent it, an account's to the inbox.

This is part of the hot path: as long as no step returns a Deferred, there is none, and a step that has nothing to do is
one call.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.delivery.report_requests import (
    NO_REQUEST,
    NO_REQUESTS,
    requests_of,
    requests_to_go_along,
    successes,
)
from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.interfaces import Delivery, LocalRecipient, QueuedRecipient, RemoteRecipient
from pymailsuite.interfaces.delivery import (
    NO_SUCCESSES,
    NO_TAPS,
    AddMessage,
    DeliveryAction,
    DeliveryMessage,
    DeliveryPlan,
    Discard,
    IDeliveryStep,
    Place,
    Placement,
    PlannedRecipient,
    Refuse,
    Resolve,
    SendOn,
    Transmission,
)
from pymailsuite.interfaces.history import StepNote
from pymailsuite.interfaces.intake import GivenRecipients
from pymailsuite.interfaces.policy import Decision, IMessageTap
from pymailsuite.interfaces.queue import OutgoingEnvelope
from pymailsuite.message.a_labels import a_labels
from pymailsuite.message.trace import delivered_to_field, return_path_field
from pymailsuite.values import INBOX, Address, Envelope, Flags, Peer, SpecialUse

log = Logger()

_IN_INBOX: Final = (Placement(),)
_MAILBOX: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+").fullmatch
_KEYWORD: Final = re.compile(r"[!-~]+").fullmatch


def route_of(domain: str) -> str:
    """The key by which recipients are grouped for sending: the domain in lower case, in A-labels (RFC 5891).

    A domain that has no A-label form is its own route; relaying it will fail with a reason.
    """
    return a_labels(domain).lower()


def _usual(given: Address, target: LocalRecipient | RemoteRecipient, reverse_path: Address | None) -> PlannedRecipient:
    """The default plan of a recipient, which steps may change."""
    if isinstance(target, LocalRecipient):
        return PlannedRecipient(given, target, _IN_INBOX if target.mailbox == INBOX else (Placement(target.mailbox),))
    return PlannedRecipient(given, target, (), (Transmission(target.address, reverse_path),))


class DeliveryPlanner:
    """Asks ``steps``, in this order, each for ``timeout_s`` seconds at most."""

    def __init__(self, steps: Sequence[IDeliveryStep], clock: IReactorTime, timeout_s: float) -> None:
        self._steps = tuple([(step.name, step.decide) for step in steps])
        self._clock = clock
        self._timeout_s = timeout_s
        self._taps = tuple([(step.name, step.tap) for step in steps if _wants_taps(step)])

    def taps(self, envelope: Envelope, recipients: GivenRecipients, peer: Peer) -> Mapping[str, IMessageTap]:
        """A message begins to arrive: the taps for its octets, by the step's name."""
        found: Mapping[str, IMessageTap] = NO_TAPS
        for name, tap_of in self._taps:
            try:
                tap = tap_of(envelope, recipients, peer)
            except Exception:
                log.failure("{event} {step}", event="delivery.step_tap_failed", step=name)
                continue
            if tap is not None:
                found = {**found, name: tap}
        return found

    def plan(
        self, message: DeliveryMessage, recipients: GivenRecipients, decision: Decision
    ) -> DeliveryPlan | Deferred[DeliveryPlan]:
        """The plan of the message. A Deferred only if a step has to wait; it fails only if it is cancelled."""
        reverse_path = message.envelope.reverse_path
        planned = []
        for given, resolved in recipients:
            if resolved is None:
                planned.append(PlannedRecipient(given, None))
            else:
                for target in resolved:
                    planned.append(_usual(given, target, reverse_path))
        everybody = tuple(planned)
        return self._ask_from(0, _Draft(message, decision, everybody, everybody))

    def changed(
        self,
        plan: DeliveryPlan,
        message: DeliveryMessage,
        decision: Decision,
        step: str,
        actions: Sequence[DeliveryAction],
    ) -> DeliveryPlan:
        """A finished plan after these actions, which are noted as those of ``step``."""
        concerned = tuple([one for one in plan.recipients if one.refusal is None and not one.discarded])
        draft = _Draft(message, decision, plan.recipients, concerned, list(plan.added), list(plan.notes))
        draft.apply(step, actions)
        return draft.planned(self._clock.seconds())

    def _ask_from(self, first: int, draft: _Draft) -> DeliveryPlan | Deferred[DeliveryPlan]:
        """Ask the steps from this one on."""
        for number in range(first, len(self._steps)):
            name, decide = self._steps[number]
            try:
                actions: Any = decide(draft.message, draft.concerned, draft.decision)
            except Exception:
                draft.failed(name, Failure())
                continue
            if not actions:
                continue
            if isinstance(actions, Coroutine):
                actions = Deferred.fromCoroutine(actions)
            if isinstance(actions, Deferred):
                waiting = self._within_time(name, actions, draft)
                return waiting.addCallback(lambda _, following: self._ask_from(following, draft), number + 1)
            draft.apply(name, actions)
        return draft.planned(self._clock.seconds())

    def _within_time(self, name: str, actions: Deferred[Any], draft: _Draft) -> Deferred[None]:
        """Fires when the step's actions are in the draft, or when its time is over."""
        over = False

        def call_off(_: Deferred[None]) -> None:
            nonlocal over
            over = True
            timer.cancel()
            actions.cancel()

        def too_late() -> None:
            nonlocal over
            over = True
            actions.cancel()
            draft.failed(name, Failure(TimeoutError(f"no answer within {self._timeout_s:g} s")))
            done.callback(None)

        def answered(result: Any) -> None:
            nonlocal over
            if over:
                return
            over = True
            timer.cancel()
            if isinstance(result, Failure):
                draft.failed(name, result)
            elif result:
                draft.apply(name, result)
            done.callback(None)

        done: Deferred[None] = Deferred(call_off)
        timer = self._clock.callLater(self._timeout_s, too_late)
        actions.addBoth(answered)
        return done


@define
class _Draft:
    """The plan so far; steps are still asked about the recipients ``concerned``."""

    message: DeliveryMessage
    decision: Decision
    recipients: tuple[PlannedRecipient, ...]
    concerned: tuple[PlannedRecipient, ...]
    added: list[AddMessage] = field(factory=list)
    notes: list[StepNote] = field(factory=list)

    def failed(self, step: str, failure: Failure) -> None:
        """A step has failed. The draft stays as it is."""
        reason = failure.getErrorMessage() or type(failure.value).__name__
        queue_id = self.message.queue_id
        told: dict[str, Any] = {"event": "delivery.step_failed", "queue_id": queue_id, "step": step, "reason": reason}
        text = "{event} {queue_id} {step}: {reason}; the mail goes where the steps before it have sent it"
        if failure.check(MailError, CancelledError, TimeoutError):
            log.warn(text, **told)
        else:
            log.failure(text, failure, **told)
        self.notes.append(StepNote(step, None, "failed", reason))

    def apply(self, step: str, actions: Any) -> None:
        """Apply the actions of a step; none of them, if any is invalid."""
        try:
            self._apply(step, actions)
        except Exception:
            self.failed(step, Failure())

    def _apply(self, step: str, actions: Iterable[DeliveryAction]) -> None:
        changed = {id(one): [one] for one in self.concerned}
        added: list[AddMessage] = []
        notes: list[StepNote] = []
        for action in actions:
            if isinstance(action, AddMessage):
                if not _is_message(action):
                    raise TypeError(f"not a message: {action!r}")
                notes.append(StepNote(step, None, "added", action.why))
                if not self.message.automatic:
                    added.append(action)
                continue
            known = changed.get(id(action.recipient))
            if known is None:
                raise TypeError(f"not one of the recipients: {action.recipient!r}")
            did, after = _done(action, known, self.message.envelope.reverse_path)
            changed[id(action.recipient)] = after
            notes.append(StepNote(step, action.recipient.given, did, action.why))
        self.recipients = tuple([after for one in self.recipients for after in changed.get(id(one), (one,))])
        self.concerned = tuple([one for one in self.recipients if one.refusal is None and not one.discarded])
        self.added += added
        # A look-up is not worth a note, if the address leads to itself.
        self.notes += [note for note in notes if note.did != "resolved" or note.why]

    def planned(self, now: float) -> DeliveryPlan:
        """The finished plan, ``now`` being POSIX seconds."""
        message, prefix = self.message, self.decision.prefix
        envelope = message.envelope
        copies: dict[tuple[int, str], Delivery] = {}
        addresses: set[Address] = set()
        queued: dict[tuple[Address | None, bytes, bool], list[QueuedRecipient]] = {}
        return_path = b""
        asked = requests_of(envelope) if envelope.recipient_parameters else NO_REQUESTS
        going_along = requests_to_go_along(asked, self.recipients) if asked else NO_REQUESTS
        for concerned in self.concerned:
            # Mail is dropped only by an explicit action.
            one = concerned if concerned.placements or concerned.transmissions else self._kept(concerned)
            target = one.target
            for placement in one.placements:
                assert isinstance(target, LocalRecipient), "only accounts have mailboxes"
                key = (target.account_id, placement.mailbox)
                if key not in copies:
                    return_path = return_path or return_path_field(envelope.reverse_path)
                    copies[key] = Delivery(
                        target.account_id,
                        return_path + delivered_to_field(one.given) + placement.prefix,
                        placement.mailbox,
                        placement.flags,
                        placement.special_use,
                        placement.internal_date,
                        # Nobody else would keep it, and it is about the recipient's own mail.
                        message.automatic,
                    )
            for each in one.transmissions:
                address = each.address
                if address in addresses:
                    continue
                addresses.add(address)
                rows = queued.setdefault((each.reverse_path, each.prefix + prefix, bool(each.held)), [])
                original = None if one.given == address else one.given
                route = route_of(address.domain)
                notify, orcpt = going_along.get(one.given, NO_REQUEST)
                rows.append(
                    QueuedRecipient(
                        len(rows),
                        address,
                        route,
                        original,
                        next_attempt=now,
                        last_reply=each.held,
                        notify=notify,
                        orcpt=orcpt,
                    )
                )
        outgoing = []
        said = envelope.parameters
        for (reverse_path, front, held), rows in queued.items():
            outgoing.append(
                OutgoingEnvelope(
                    reverse_path,
                    tuple(rows),
                    front,
                    said.get("ENVID", ""),
                    said.get("RET"),
                    origin=message.origin or message.peer.login or message.peer.ip,
                    body=envelope.body.value,
                    smtputf8=envelope.smtputf8,
                    held=held,
                )
            )
        return DeliveryPlan(
            self.recipients,
            tuple(copies.values()),
            tuple(outgoing),
            prefix if copies else b"",
            () if self.concerned is self.recipients else tuple([one for one in self.recipients if one.refusal]),
            tuple(self.added),
            tuple(self.notes),
            successes(asked, self.recipients) if asked and envelope.reverse_path is not None else NO_SUCCESSES,
        )

    def _kept(self, recipient: PlannedRecipient) -> PlannedRecipient:
        """A recipient without any deliveries left, with its default plan; refused temporarily if that is not known."""
        target = recipient.target
        if target is None:
            kept = evolve(recipient, refusal=TemporaryFailure(cause="the address was not looked up"))
        else:
            log.error(
                "{event} {queue_id} to=<{recipient}>: no step has left it anything, nor discarded it",
                event="delivery.nothing_left",
                queue_id=self.message.queue_id,
                recipient=str(recipient.given),
            )
            kept = _usual(recipient.given, target, self.message.envelope.reverse_path)
        self.recipients = tuple([kept if one is recipient else one for one in self.recipients])
        return kept


def _done(
    action: DeliveryAction, recipients: Sequence[PlannedRecipient], reverse_path: Address | None
) -> tuple[str, list[PlannedRecipient]]:
    """The plan of a recipient after an action, and the action's word. TypeError if the action is invalid."""
    if isinstance(action, Resolve):
        given = action.recipient.given
        if not all(isinstance(target, (LocalRecipient, RemoteRecipient)) for target in action.targets):
            raise TypeError(f"not where mail can go: {action.targets!r}")
        return "resolved", [_usual(given, target, reverse_path) for target in action.targets]
    if isinstance(action, Place):
        if not all(isinstance(one.target, LocalRecipient) for one in recipients):
            raise TypeError(f"not an account: {action.recipient!r}")
        placements = tuple(action.placements)
        if not all(map(_is_placement, placements)):
            raise TypeError(f"not placements: {placements!r}")
        return "placed", [evolve(one, placements=placements) for one in recipients]
    if isinstance(action, SendOn):
        transmissions = tuple(action.transmissions)
        if not all(map(_is_transmission, transmissions)):
            raise TypeError(f"not transmissions: {transmissions!r}")
        return "sent on", [evolve(one, transmissions=transmissions) for one in recipients]
    if isinstance(action, Refuse):
        if not isinstance(action.error, MailError):
            raise TypeError(f"not an error to be told: {action.error!r}")
        return "refused", [evolve(one, refusal=action.error) for one in recipients]
    if isinstance(action, Discard):
        return "discarded", [evolve(one, discarded=True) for one in recipients]
    raise TypeError(f"not an action: {action!r}")


def _is_placement(each: Any) -> bool:
    """Whether the store can make a copy from it."""
    return (
        isinstance(each, Placement)
        and isinstance(each.mailbox, str)
        and _MAILBOX(each.mailbox) is not None
        and isinstance(each.flags, Flags)
        and all(map(_KEYWORD, each.flags.keywords))
        and (each.special_use is None or isinstance(each.special_use, SpecialUse))
        and (each.internal_date is None or isinstance(each.internal_date, (int, float)))
        and _are_fields(each.prefix)
    )


def _is_transmission(each: Any) -> bool:
    return (
        isinstance(each, Transmission)
        and isinstance(each.address, Address)
        and (each.reverse_path is None or isinstance(each.reverse_path, Address))
        and _are_fields(each.prefix)
        and isinstance(each.held, str)
    )


def _is_message(action: AddMessage) -> bool:
    return (
        isinstance(action.octets, bytes)
        and isinstance(action.envelope, Envelope)
        and bool(action.envelope.recipients)
        and all(isinstance(each, Address) for each in action.envelope.recipients)
    )


def _are_fields(octets: Any) -> bool:
    return isinstance(octets, bytes) and (not octets or octets.endswith(b"\r\n"))


def _wants_taps(step: IDeliveryStep) -> bool:
    return getattr(type(step), "tap", None) is not DeliveryStep.tap
