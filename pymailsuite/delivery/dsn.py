"""Delivery status notifications to the senders of messages."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.errors import Refusal
from pymailsuite.interfaces import Acceptance
from pymailsuite.message.dsn import Dsn, build_dsn, is_automatic_answer

log = Logger()


class DsnWriter:
    """Makes acceptances of reports, for the caller to put into the transaction that the report is about.

    ``return_octets`` limits the part of the message that a report returns.
    """

    def __init__(self, own_messages: OwnMessages, clock: IReactorTime, return_octets: int) -> None:
        self.own_messages = own_messages
        self._clock = clock
        self._return_octets = return_octets

    async def write(self, report: Dsn) -> Acceptance | None:
        """The report as a message from the null reverse-path, its octets staged.

        None if the recipient of the report is a local address that does not exist (any more), or if it is about a
        report: then there is no report. Temporary errors of the store are raised.
        """
        reverse_path = report.reverse_path
        if is_automatic_answer(report.original[: report.header_size]):
            log.warn(
                "{event} {queue_id} to=<{recipient}>",
                event="delivery.no_report_on_report",
                queue_id=report.queue_id,
                recipient=str(reverse_path),
            )
            return None
        built = build_dsn(report, self._clock.seconds(), return_octets=self._return_octets)
        plan, acceptance = await self.own_messages.prepare(built.octets, built.envelope, f"report on {report.queue_id}")
        for one in plan.refused:
            error = one.refusal
            assert error is not None, "refused for no reason"
            if not isinstance(error, Refusal):
                raise error
            log.warn(
                "{event} {queue_id} to=<{recipient}> {reason}",
                event="delivery.report_unaddressable",
                queue_id=report.queue_id,
                recipient=str(reverse_path),
                reason=str(error),
            )
        return acceptance
