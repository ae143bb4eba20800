"""The intake of all messages, whichever way they arrive.

:mod:`pymailsuite.delivery.incoming` takes a message's octets. When all have come, :mod:`pymailsuite.delivery.plan`
plans the delivery, and the store carries it out in one transaction: local copies go to their mailboxes, remote
recipients to the queue, and only then is the reply sent.

This is the hot path of the server: no coroutine, one callback, and only the header is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.delivery.dsn import DsnWriter
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.incoming import IncomingMessage, ReceivingRules
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.delivery.quota import STEP, RecipientQuotas
from pymailsuite.delivery.report_requests import NO_REQUEST, requests_of
from pymailsuite.errors import NoSuchAccount, OverQuota
from pymailsuite.interfaces import (
    Acceptance,
    IContentWriter,
    IIncomingMessage,
    IMailStore,
    IMessageIntake,
    Notify,
    RemoteRecipient,
    StagedContent,
)
from pymailsuite.interfaces.delivery import AddMessage, DeliveryMessage, DeliveryPlan, PlannedRecipient
from pymailsuite.interfaces.edits import Edits
from pymailsuite.interfaces.intake import GivenRecipients
from pymailsuite.interfaces.policy import AppliedVerdict, Decision, Disposal, IMessageTap
from pymailsuite.interfaces.queue import IQueueStore, SuccessKind
from pymailsuite.interfaces.store import needed
from pymailsuite.message.dsn import Action, Dsn, DsnRecipient
from pymailsuite.values import Address, Envelope, Peer, QueueId

log = Logger()


class AccountGone(NoSuchAccount):
    """An account was deleted between RCPT and the end of the message. Nothing was stored: at the next attempt RCPT
    refuses that recipient only."""

    smtp_code = 451
    enhanced_code = "4.2.1"
    text = "A recipient's account has just gone, try again"


@implementer(IMessageIntake)
class MessageIntake:
    """Opens messages whose recipients have been accepted; ``host_name`` is the server's name in Received.

    ``planner`` plans their delivery. ``authserv_id`` is the server's name in Authentication-Results, where incoming
    fields with that name are removed; empty: ``host_name``. ``history`` records accepted messages, if given.
    ``reports`` writes the reports on recipients that steps refuse, and on successes; None: without signatures.
    ``quotas`` None: a message that does not fit for one of its recipients is refused.
    """

    def __init__(
        self,
        store: IMailStore,
        settings: DeliverySettings,
        planner: DeliveryPlanner,
        host_name: str,
        clock: IReactorTime,
        authserv_id: str = "",
        history: HistoryRecorder | None = None,
        reports: DsnWriter | None = None,
        quotas: RecipientQuotas | None = None,
    ) -> None:
        self.rules = ReceivingRules(settings, host_name, authserv_id or host_name, clock)
        self._accept: Callable[[Acceptance], Deferred[QueueId]] = needed(store, IQueueStore).accept
        self.new_content: Callable[[], IContentWriter] = store.new_content
        self._planner = planner
        self._reports = reports or DsnWriter(OwnMessages(store, planner), clock, 0)
        self._history = history
        self._quotas = quotas

    def open(
        self, envelope: Envelope, recipients: GivenRecipients, peer: Peer, taps: Sequence[IMessageTap] = ()
    ) -> IIncomingMessage:
        """Begin a message. Source of the trace fields: RFC 5321 §4.4."""
        step_taps = self._planner.taps(envelope, recipients, peer)
        return IncomingMessage(self.rules, self, self.new_content(), envelope, recipients, peer, taps, step_taps)

    def step_taps(self, message: IncomingMessage, edits: Edits) -> Mapping[str, IMessageTap]:
        """The taps of delivery steps for the message as it is after ``edits``."""
        recipients = message.recipients
        if edits.redirected:
            # Whether the address is local is looked up later: steps that handle outgoing mail get the octets in any
            # case.
            recipients = [
                (given, (RemoteRecipient(edits.redirected[given]),) if given in edits.redirected else resolved)
                for given, resolved in recipients
            ]
        return self._planner.taps(message.envelope, recipients, message.peer)

    def accept_received(
        self,
        message: IncomingMessage,
        prefix: bytes,
        applied_verdicts: Sequence[AppliedVerdict],
        disposals: Mapping[Address, Disposal],
        edits: Edits,
    ) -> Deferred[QueueId]:
        """One transaction for the whole delivery plan."""
        told = _told_to_steps(message)
        decision = Decision(None, tuple(applied_verdicts), prefix=prefix, disposals=disposals, edits=edits)
        try:
            plan = self._planner.plan(told, message.recipients, decision)
            if isinstance(plan, DeliveryPlan):
                accepted = self._finish(plan, message, decision)
            else:
                accepted = plan.addCallback(self._finish, message, decision)
        except Exception:
            accepted = fail()
        return accepted.addErrback(_not_accepted, message)

    def _finish(self, plan: DeliveryPlan, message: IncomingMessage, decision: Decision) -> Deferred[QueueId]:
        if plan.refused or plan.added or plan.successes:
            return Deferred.fromCoroutine(self._finish_with_others(plan, message, decision))
        finished: Deferred[StagedContent] = message.writer.finish()
        if finished.called and isinstance(finished.result, StagedContent):
            # This holds for all but long messages: the test costs less than a callback.
            return self._commit(finished.result, plan, message, decision)
        return finished.addCallback(self._commit, plan, message, decision)

    def _commit(
        self,
        content: StagedContent,
        plan: DeliveryPlan,
        message: IncomingMessage,
        decision: Decision,
        along: tuple[Acceptance, ...] = (),
    ) -> Deferred[QueueId]:
        history = None
        if self._history is not None:
            history = self._history.accepted(
                content.content_id,
                message.peer,
                message.envelope,
                plan,
                message.size,
                message.message_id,
                decision.applied_verdicts,
            )
        accepted = self._accept(plan.acceptance(content, history, message.peer.grant, along))
        return accepted.addErrback(self._not_for_all, content, plan, message, decision)

    def _not_for_all(
        self,
        failure: Failure,
        content: StagedContent,
        plan: DeliveryPlan,
        message: IncomingMessage,
        decision: Decision,
    ) -> Deferred[QueueId]:
        """If the message does not fit for some of its recipients, accept it for the others."""
        over, quotas = failure.value, self._quotas
        if not isinstance(over, OverQuota) or quotas is None:
            return fail(failure)
        actions = quotas.actions(plan.recipients, over, message.envelope.reverse_path)
        if actions is None:
            return fail(quotas.error_of(over))
        changed = self._planner.changed(plan, _told_to_steps(message), decision, STEP, actions)
        if changed.copies == plan.copies:
            return fail(failure)
        log.info(
            "{event} {queue_id} {state} for {count} accounts: {reason}",
            event="delivery.over_quota",
            queue_id=message.queue_id,
            state="refused" if changed.refused else "queued",
            count=len(over.account_ids),
            reason=over.cause,
        )
        if changed.refused or changed.added or changed.successes:
            return Deferred.fromCoroutine(self._finish_with_others(changed, message, decision, content))
        return self._commit(content, changed, message, decision)

    # --- accepting other messages along with it

    async def _finish_with_others(
        self,
        plan: DeliveryPlan,
        message: IncomingMessage,
        decision: Decision,
        content: StagedContent | None = None,
    ) -> QueueId:
        """Accept the message together with those that steps have added, and with reports on refused recipients, and on
        those whose mail ends here if the sender asked for that.

        There is one reply for all recipients: if all are refused, their refusal; and if one of them is refused
        temporarily, the message is, so that no recipient gets it twice.
        """
        errors = [one.refusal for one in plan.refused if one.refusal is not None]
        for error in errors:
            if error.smtp_code < 500:
                raise error
        if errors and len(errors) == len(plan.recipients):
            raise errors[0]
        along = [await self._added(one, message) for one in plan.added]
        if errors:
            along.append(await self._failures_reported(plan, message, decision))
        for kind in SuccessKind:
            given = [address for address, one in plan.successes.items() if one is kind]
            if given:
                now, requests = self.rules.clock.seconds(), requests_of(message.envelope)
                succeeded = [_success_report(address, kind, requests[address][1], now) for address in given]
                along.append(await self._reported(succeeded, message, decision))
        if content is None:
            content = await message.writer.finish()
        assert content is not None
        queue_id: QueueId = await self._commit(
            content, plan, message, decision, tuple([one for one in along if one is not None])
        )
        return queue_id

    async def _added(self, added: AddMessage, message: IncomingMessage) -> Acceptance | None:
        """A message that a step has added; None if it has no possible recipient."""
        origin = f"added to {message.queue_id}"
        _, acceptance = await self._reports.own_messages.prepare(added.octets, added.envelope, origin)
        return self._told(message, " ".join(map(str, added.envelope.recipients)), acceptance)

    async def _failures_reported(
        self, plan: DeliveryPlan, message: IncomingMessage, decision: Decision
    ) -> Acceptance | None:
        """The report to the sender on recipients that are refused while others are not."""
        now, requests = self.rules.clock.seconds(), requests_of(message.envelope)
        told = []
        for one in plan.refused:
            notify, original = requests.get(one.given, NO_REQUEST)
            if notify.wants(Notify.FAILURE):
                told.append(_failure_report(one, original, now))
        return await self._reported(told, message, decision)

    async def _reported(
        self, recipients: Sequence[DsnRecipient], message: IncomingMessage, decision: Decision
    ) -> Acceptance | None:
        """A report to the sender on these recipients; None if there are none, or no sender to report to."""
        sender = message.envelope.reverse_path
        if sender is None or not recipients:
            return None
        header = decision.prefix + message.header
        report = Dsn(
            reporting_mta=self.rules.host_name,
            queue_id=message.queue_id,
            arrival_date=self.rules.clock.seconds(),
            reverse_path=sender,
            recipients=tuple(recipients),
            original=header,
            header_size=len(header),
            original_size=len(decision.prefix) + message.size,
            full=False,
            envelope_id=message.envelope.parameters.get("ENVID", ""),
        )
        return self._told(message, str(sender), await self._reports.write(report))

    def _told(self, message: IncomingMessage, to: str, acceptance: Acceptance | None) -> Acceptance | None:
        """The acceptance, recorded in the history as about the message."""
        if acceptance is None or self._history is None:
            return acceptance
        return evolve(acceptance, history=self._history.added(message.queue_id, to, acceptance))


def _told_to_steps(message: IncomingMessage) -> DeliveryMessage:
    return DeliveryMessage(
        message.queue_id, message.envelope, message.peer, message.size, message.header, message.step_taps, message
    )


def _success_report(given: Address, kind: SuccessKind, original: str, now: float) -> DsnRecipient:
    return DsnRecipient(given, Action(kind.value), "2.0.0", original_recipient=original, last_attempt=now)


def _failure_report(refused: PlannedRecipient, original: str, now: float) -> DsnRecipient:
    error = refused.refusal
    assert error is not None, "refused for no reason"
    said = f"{error.smtp_code} {error.enhanced_code} {error.public}"
    return DsnRecipient(
        refused.given, Action.FAILED, error.enhanced_code, said, original_recipient=original, last_attempt=now
    )


def _not_accepted(failure: Failure, message: IncomingMessage) -> Failure:
    """Drop the staged octets."""
    message.abort()
    error = failure.value
    # A refusal would be permanent, and for all recipients, so it is made temporary.
    return Failure(AccountGone(cause=error.cause)) if isinstance(error, NoSuchAccount) else failure
