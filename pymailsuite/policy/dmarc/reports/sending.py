"""Sends what was collected of a day that is over: each domain's report by one node, whichever comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.errors import Refusal
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.dmarc import DomainDay, IDmarcStore
from pymailsuite.policy.dmarc.record import ReportAddress
from pymailsuite.policy.dmarc.reports.aggregate import AggregateReport, build_aggregate, report_message
from pymailsuite.policy.dmarc.reports.claiming import ClaimingSender
from pymailsuite.policy.dmarc.reports.collecting import DAY_S
from pymailsuite.policy.dmarc.reports.destinations import verified_destinations
from pymailsuite.policy.dmarc.reports.posting import Outgoing, address_of

log = Logger()

_LEASE_S: Final = 3600.0
"""A node that has not sent a report an hour after it was given it has died, or could not: somebody tries again."""
_KEEP_DAYS: Final = 3
"""Reports that could not be sent for so long are dropped."""


class ReportSender(ClaimingSender[DomainDay]):
    """Looks every ``report_interval`` for days that are over. ``in_thread`` runs a function elsewhere."""

    log = log
    failed_event = "dmarc.reports_failed"
    delayed_event = "dmarc.report_delayed"

    def __init__(
        self,
        settings: DmarcSettings,
        hostname: str,
        store: IDmarcStore,
        resolver: IResolver,
        outgoing: Outgoing,
        clock: IReactorTime,
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        super().__init__("dmarc reports", settings.report_interval, settings, hostname, resolver, outgoing, clock)
        self._store = store
        self._in_thread = in_thread

    def _today(self) -> int:
        return int(self._clock.seconds() // DAY_S)

    async def _claim(self) -> DomainDay | None:
        claimed: DomainDay | None = await self._store.claim(self._today(), _LEASE_S, self._settings.report_rows_max)
        return claimed

    def _domain_of(self, claimed: DomainDay) -> str:
        return claimed.policy.domain

    async def _report(self, claimed: DomainDay) -> None:
        day, domain = claimed, claimed.policy.domain
        if day.day < self._today() - _KEEP_DAYS:
            log.warn("{event} {domain}", event="dmarc.report_dropped", domain=domain)
            await self._store.finish(day.day, domain)
            return
        wanted = tuple(ReportAddress(address, size_max) for address, size_max in day.policy.rua)
        destinations = await verified_destinations(
            self._resolver, domain, wanted, tree_walk=self._settings.organizational == "tree_walk"
        )
        if destinations:
            # Up to twenty thousand rows of text, compressed: not in the reactor's turn.
            report: AggregateReport = await self._in_thread(build_aggregate, day, self._reporter)
            for destination in destinations:
                try:
                    await self._send(report, destination, domain)
                except Refusal as refusal:
                    log.warn(
                        "{event} {domain} {reason}", event="dmarc.report_refused", domain=domain, reason=str(refusal)
                    )
        await self._store.finish(day.day, domain)

    async def _send(self, report: AggregateReport, destination: ReportAddress, domain: str) -> None:
        # RFC 9990 §3.5: a limit of the receiver is about the report as it travels, base64 and its line ends included.
        size = len(report.octets)
        size_max = self._settings.report_size_max
        if destination.size_max is not None and size <= size_max:
            size, size_max = report.encoded_size, destination.size_max
        if size > size_max:
            log.info(
                "{event} {domain} size={size} limit={limit}",
                event="dmarc.report_too_big",
                domain=domain,
                size=size,
                limit=size_max,
            )
            return
        octets: bytes = await self._in_thread(
            report_message, report, self._reporter, destination.address, self._clock.seconds()
        )
        recipient = address_of(destination.address)
        queue_id = await self._outgoing.post(address_of(self._reporter.address), recipient, octets)
        log.info(
            "{event} {domain} {queue_id} to=<{recipient}> size={size}",
            event="dmarc.report_sent",
            domain=domain,
            queue_id=queue_id,
            recipient=destination.address,
            size=size,
        )
