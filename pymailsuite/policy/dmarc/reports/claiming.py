"""The common part of both senders of reports: they claim what waits in the store, one after the other, each on one node
only."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.errors import MailError
from pymailsuite.interfaces import IResolver
from pymailsuite.periodic import PeriodicService
from pymailsuite.policy.dmarc.reports.aggregate import Reporter
from pymailsuite.policy.dmarc.reports.posting import Outgoing

C = TypeVar("C")


class ClaimingSender(PeriodicService, Generic[C]):
    """Reports all that can be claimed, every ``interval_s``. Derive and define what that is, and how it is reported.

    What cannot be reported now is logged as ``delayed_event``: its lease ends, and somebody tries again.
    """

    delayed_event: ClassVar[str]

    def __init__(
        self,
        name: str,
        interval_s: float,
        settings: DmarcSettings,
        hostname: str,
        resolver: IResolver,
        outgoing: Outgoing,
        clock: IReactorTime,
    ) -> None:
        super().__init__(name, interval_s, clock)
        organization = settings.report_organization or hostname
        self._reporter = Reporter(organization, settings.report_from, settings.report_contact, hostname)
        self._settings = settings
        self._resolver = resolver
        self._outgoing = outgoing
        self._clock = clock

    async def once(self) -> None:
        """Report all there is."""
        while self.running:
            claimed = await self._claim()
            if claimed is None:
                return
            try:
                await self._report(claimed)
            except MailError as error:
                domain = self._domain_of(claimed)
                self.log.warn("{event} {domain} {reason}", event=self.delayed_event, domain=domain, reason=str(error))

    async def _claim(self) -> C | None:
        """The next that waits, ours for a while."""
        raise NotImplementedError

    def _domain_of(self, claimed: C) -> str:
        """The domain of the report."""
        raise NotImplementedError

    async def _report(self, claimed: C) -> None:
        """Report it, and have the store forget it. MailError: not now."""
        raise NotImplementedError
