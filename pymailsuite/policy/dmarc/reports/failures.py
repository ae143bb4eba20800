"""Failure reports, from the message that failed to the mail that tells of it.

They are about single messages to our users, so that few should leave: messages that failed in the same way are one
report, a domain gets so many an hour, and nobody is told who has not agreed.
"""

from __future__ import annotations

import hashlib
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.errors import DnsFailure, Refusal
from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.interfaces.dmarc import ClaimedFailure, FailedMessage, IFailureStore
from pymailsuite.interfaces.policy import MailTransaction
from pymailsuite.interfaces.state import IStateStore, StateKey
from pymailsuite.message.headers import first_field
from pymailsuite.policy.dmarc.evaluation import DmarcResult
from pymailsuite.policy.dmarc.record import ReportAddress
from pymailsuite.policy.dmarc.reports.claiming import ClaimingSender
from pymailsuite.policy.dmarc.reports.collecting import is_about_reports
from pymailsuite.policy.dmarc.reports.destinations import verified_destinations
from pymailsuite.policy.dmarc.reports.failure import failed_message, failure_report
from pymailsuite.policy.dmarc.reports.posting import Outgoing, address_of

log = Logger()

_HOUR_S: Final = 3600.0
_LEASE_S: Final = 900.0
_KEEP_S: Final = 86_400.0
"""A report that could not be sent for so long is dropped: it was to be news."""
_SENT: Final = "dmarc.failure_reports"


class FailureCollector:
    """Hands messages that failed to the store. Nothing waits for that, and mail is accepted whether it works or not."""

    def __init__(self, settings: DmarcSettings, store: IFailureStore, clock: IReactorTime) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    def note(self, transaction: MailTransaction, result: DmarcResult) -> None:
        """Keep what is to be told of a message. Never of a report or a bounce, so that no report leads to another."""
        settings = self._settings
        if transaction.reverse_path is None or is_about_reports(transaction, settings.report_from):
            return
        kind = first_field(transaction.message.header, b"content-type") if transaction.message is not None else None
        if kind is not None and kind.lower().startswith(b"multipart/report"):
            return
        failed = failed_message(transaction, result, settings.failure_report_fields, self._clock.seconds())
        if failed is not None:
            most = settings.failure_reports_per_hour, settings.failure_reports_in_all
            self._store.note(failed, like_digest(failed), *most).addErrback(_log_failure)


def like_digest(failed: FailedMessage) -> bytes:
    """The digest that is equal for messages that came the same way and failed in the same way."""
    way = repr((failed.header_from, failed.source_ip, failed.failed, failed.authentication_results))
    return hashlib.blake2b(way.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class FailureReportSender(ClaimingSender[ClaimedFailure]):
    """Sends what waits, every ``failure_report_interval``, as far as the limits allow."""

    log = log
    failed_event = "dmarc.failure_reports_failed"
    delayed_event = "dmarc.failure_report_delayed"

    def __init__(
        self,
        settings: DmarcSettings,
        hostname: str,
        store: IFailureStore,
        counts: IStateStore,
        resolver: IResolver,
        outgoing: Outgoing,
        clock: IReactorTime,
    ) -> None:
        interval_s = settings.failure_report_interval
        super().__init__("dmarc failure reports", interval_s, settings, hostname, resolver, outgoing, clock)
        self._store = store
        self._counts = counts

    async def _claim(self) -> ClaimedFailure | None:
        claimed: ClaimedFailure | None = await self._store.claim(_LEASE_S)
        return claimed

    def _domain_of(self, claimed: ClaimedFailure) -> str:
        return claimed.message.domain

    async def _report(self, claimed: ClaimedFailure) -> None:
        failed = claimed.message
        if failed.arrived_at < self._clock.seconds() - _KEEP_S:
            log.info("{event} {domain}", event="dmarc.failure_report_dropped", domain=failed.domain)
        else:
            wanted = tuple(ReportAddress(address, size_max) for address, size_max in failed.ruf)
            destinations = await verified_destinations(
                self._resolver, failed.domain, wanted, "ruf", tree_walk=self._settings.organizational == "tree_walk"
            )
            if destinations and await self._is_within_limits(failed.domain):
                await self._send(claimed, destinations)
        await self._store.finish(failed.domain, claimed.digest)

    async def _is_within_limits(self, domain: str) -> bool:
        for name, limit in (
            (domain, self._settings.failure_reports_per_hour),
            ("", self._settings.failure_reports_in_all),
        ):
            key = StateKey(_SENT, name)
            counted = await self._counts.add([key], _HOUR_S)
            if counted[key].total > limit:
                return False
        return True

    async def _send(self, claimed: ClaimedFailure, destinations: tuple[ReportAddress, ...]) -> None:
        failed = claimed.message
        spf_record = await self._spf_record(failed.spf_domain) if failed.spf_domain else ""
        now = self._clock.seconds()
        report_id = f"{int(now)}.{claimed.digest.hex()}"
        for destination in destinations:
            octets = failure_report(
                failed, claimed.incidents, self._reporter, destination.address, report_id, now, spf_record
            )
            if destination.size_max is not None and len(octets) > destination.size_max:
                continue
            try:
                # The null path: whatever becomes of a report, nobody is to be told.
                queue_id = await self._outgoing.post(None, address_of(destination.address), octets)
            except Refusal as refusal:
                log.warn(
                    "{event} {domain} {reason}",
                    event="dmarc.failure_report_refused",
                    domain=failed.domain,
                    reason=str(refusal),
                )
            else:
                log.info(
                    "{event} {domain} {queue_id} to=<{recipient}> incidents={incidents}",
                    event="dmarc.failure_report_sent",
                    domain=failed.domain,
                    queue_id=queue_id,
                    recipient=destination.address,
                    incidents=claimed.incidents,
                )

    async def _spf_record(self, domain: str) -> str:
        try:
            answer: Answer = await self._resolver.txt(domain)
        except DnsFailure:
            return ""
        texts = [text.decode("ascii", "replace") for text in answer.records if text[:7].lower() == b"v=spf1 "]
        return texts[0] if len(texts) == 1 else ""


def _log_failure(failure: Failure) -> None:
    log.failure("{event}", failure=failure, event="dmarc.failure_not_noted")
