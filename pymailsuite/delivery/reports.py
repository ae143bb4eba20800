"""Reports of our own on their way to whoever sent the message they are about."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.delivery.intake import local_deliveries, remote_recipients
from pymailsuite.errors import Refusal
from pymailsuite.interfaces import Acceptance, IContentWriter, IMailStore, IRecipientResolver
from pymailsuite.interfaces.queue import OutgoingEnvelope
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.message.report import Report, build_report, is_automatic_answer

log = Logger()


class ReportWriter:
    """Makes acceptances of reports, for the caller to put into the transaction that the report speaks of.

    ``return_octets`` is how much of the message a report returns; ``signer`` signs the reports, if given.
    """

    def __init__(
        self,
        store: IMailStore,
        recipients: IRecipientResolver,
        clock: IReactorTime,
        return_octets: int,
        signer: ISigner | None = None,
    ) -> None:
        self._store = store
        self._recipients = recipients
        self._clock = clock
        self._return_octets = return_octets
        self._signer = signer

    async def write(self, report: Report) -> Acceptance | None:
        """The report as a message from the null reverse-path, its octets staged.

        None if its addressee is one of ours and not there (any more), or if it is about a report: nobody is to be told
        then. Temporary errors of the store come through.
        """
        reverse_path = report.reverse_path
        if is_automatic_answer(report.original[: report.header_size]):
            log.warn(
                "{event} {queue_id} to=<{recipient}>",
                event="delivery.report_not_on_report",
                queue_id=report.queue_id,
                recipient=str(reverse_path),
            )
            return None
        try:
            resolved = await self._recipients.resolve(reverse_path)
        except Refusal as refusal:
            log.warn(
                "{event} {queue_id} to=<{recipient}> {reason}",
                event="delivery.report_unaddressable",
                queue_id=report.queue_id,
                recipient=str(reverse_path),
                reason=str(refusal),
            )
            return None
        now = self._clock.seconds()
        built = build_report(report, now, return_octets=self._return_octets)
        signature: bytes = b"" if self._signer is None else await self._signer.sign(built.octets)
        writer: IContentWriter = self._store.new_content()
        try:
            full = writer.write(built.octets)
            if full is not None:
                await full
            content = await writer.finish()
        except BaseException:
            writer.abort()
            raise
        recipients = [(reverse_path, resolved)]
        relays = remote_recipients(recipients, now)
        envelope = OutgoingEnvelope(
            None,
            relays,
            signature,
            origin=f"report on {report.queue_id}",
            body=built.envelope.body.value,
            smtputf8=built.envelope.smtputf8,
        )
        return Acceptance(content, local_deliveries(None, recipients, signature), (envelope,) if relays else ())
