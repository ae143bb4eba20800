"""The reports that senders get about their messages in the queue: failures, once that a message is delayed, and
successes, if they asked for that.

Source: RFC 3461 §5.2 for the requests, RFC 3464 for the reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.config.sections.queue import QueueSettings
from pymailsuite.errors import MailError
from pymailsuite.interfaces import Acceptance, Outcome, QueuedRecipient, QueueEntry, RecipientState, Ret
from pymailsuite.interfaces.queue import SuccessKind
from pymailsuite.message.dsn import Action, Dsn, DsnRecipient, typed_address
from pymailsuite.queue.schedule import expires_at, is_delay_to_report, is_failure_to_report, is_success_to_report
from pymailsuite.values import MAX_CHUNK, ContentId

log = Logger()


_ACTIONS: Final = {RecipientState.FAILED: Action.FAILED, RecipientState.DELAYED: Action.DELAYED}

CALLED_OFF = "called off"


def reason_of(error: BaseException | None) -> str:
    """The reason for the log; a cancellation has no text of its own."""
    return str(error) or CALLED_OFF


class DsnMaker(Protocol):
    """Turns reports into messages: :class:`pymailsuite.delivery.dsn.DsnWriter`."""

    async def write(self, report: Dsn) -> Acceptance | None:
        """The message, staged for acceptance; None if there is no sender to report to."""


@frozen
class Reporting:
    """Makes reports from outcomes. ``host_name`` is their Reporting-MTA."""

    settings: QueueSettings
    host_name: str
    read_content: Callable[[ContentId, int, int], Deferred[bytes]]
    writer: DsnMaker
    clock: IReactorTime

    async def report(self, entry: QueueEntry, outcomes: list[Outcome]) -> tuple[list[Outcome], Acceptance | None]:
        """The report for the sender, if there is one; if it cannot be written now, its recipients are delayed."""
        if entry.reverse_path is None or all(one.state is RecipientState.DELIVERED for one in outcomes):
            return outcomes, None
        now = self.clock.seconds()
        by_position = {recipient.position: recipient for recipient in entry.recipients}
        given_up = [one for one in outcomes if is_failure_to_report(by_position[one.position], one)]
        delayed = []
        if not given_up:
            for one in outcomes:
                if is_delay_to_report(self.settings, entry, by_position[one.position], one, now):
                    delayed.append(one)
        told = given_up or delayed
        if not told:
            return outcomes, None
        try:
            acceptance = await self.writer.write(await self._describe(entry, told, now))
        except Exception as error:
            if isinstance(error, (MailError, CancelledError)):
                log.warn(
                    "{event} {queue_id} {reason}",
                    event="queue.report_failed",
                    queue_id=entry.queue_id,
                    reason=reason_of(error),
                )
            else:
                log.failure("{event} {queue_id}", event="queue.report_failed", queue_id=entry.queue_id)
            again = now + self.settings.retry_first
            return [
                evolve(one, state=RecipientState.DELAYED, next_attempt=again) if one in given_up else one
                for one in outcomes
            ], None
        log.info(
            "{event} {queue_id} to=<{sender}> action={action} recipients={count}",
            event="queue.reported" if acceptance is not None else "queue.not_reported",
            queue_id=entry.queue_id,
            sender=str(entry.reverse_path),
            action="failed" if given_up else "delayed",
            count=len(told),
        )
        return [evolve(one, delay_reported=True) if one in delayed else one for one in outcomes], acceptance

    async def report_successes(self, entry: QueueEntry, outcomes: Sequence[Outcome]) -> list[Acceptance]:
        """A report for each kind of success that the sender asked to be told of.

        One that cannot be written is lost, as the log says: the mail has gone, and must not go twice.
        """
        by_position = {recipient.position: recipient for recipient in entry.recipients}
        by_kind: dict[SuccessKind, list[Outcome]] = {}
        for one in outcomes:
            if one.success is not None and is_success_to_report(entry, by_position[one.position], one):
                by_kind.setdefault(one.success, []).append(one)
        reports = []
        for kind, told in by_kind.items():
            try:
                report = await self.writer.write(await self._describe(entry, told, self.clock.seconds()))
            except (MailError, CancelledError) as error:
                log.warn(
                    "{event} {queue_id} {reason}",
                    event="queue.report_failed",
                    queue_id=entry.queue_id,
                    reason=reason_of(error),
                )
                continue
            except Exception:
                log.failure("{event} {queue_id}", event="queue.report_failed", queue_id=entry.queue_id)
                continue
            log.info(
                "{event} {queue_id} to=<{sender}> action={action} recipients={count}",
                event="queue.reported" if report is not None else "queue.not_reported",
                queue_id=entry.queue_id,
                sender=str(entry.reverse_path),
                action=kind.value,
                count=len(told),
            )
            if report is not None:
                reports.append(report)
        return reports

    async def _describe(self, entry: QueueEntry, told: Sequence[Outcome], now: float) -> Dsn:
        assert entry.reverse_path is not None
        # RFC 3461 §4.3: who has not lost a message needs no copy of it.
        full = entry.ret is not Ret.HDRS and told[0].success is None
        size = min(entry.size, max(entry.header_size, self.settings.return_size if full else 0), MAX_CHUNK)
        original = await entry.source(self.read_content).read(0, size)
        by_position = {recipient.position: recipient for recipient in entry.recipients}
        return Dsn(
            reporting_mta=self.host_name,
            queue_id=entry.queue_id,
            arrival_date=entry.created_at,
            reverse_path=entry.reverse_path,
            recipients=tuple(
                self._describe_recipient(entry, by_position[outcome.position], outcome, now) for outcome in told
            ),
            original=original,
            header_size=min(entry.header_size, len(original)),
            original_size=entry.size if len(original) < entry.size else 0,
            full=full,
            envelope_id=entry.envid,
        )

    def _describe_recipient(
        self, entry: QueueEntry, recipient: QueuedRecipient, outcome: Outcome, now: float
    ) -> DsnRecipient:
        action = _ACTIONS[outcome.state] if outcome.success is None else Action(outcome.success.value)
        return DsnRecipient(
            recipient=recipient.address,
            action=action,
            status=outcome.status,
            diagnostic=outcome.reply,
            remote_mta=outcome.host,
            original_recipient=_original(recipient),
            last_attempt=now,
            will_retry_until=expires_at(self.settings, entry) if action is Action.DELAYED else None,
        )


def _original(recipient: QueuedRecipient) -> str:
    """The address that the sender gave: that of the ORCPT parameter, or else that of RCPT, if it is another."""
    if recipient.orcpt or recipient.original is None:
        return recipient.orcpt
    return typed_address(recipient.original)
