"""Asks the lists of bad hosts about our own addresses from time to time, so that the operator learns of a listing
first."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.interfaces import IResolver
from pymailsuite.periodic import PeriodicService
from pymailsuite.policy.dns_setup.host import host_addresses
from pymailsuite.policy.lists.dns_lists import DnsLists

log = Logger()


class ListingWatch(PeriodicService):
    """Asks every ``interval_s``, if there are lists to ask; the log tells each listing once, and once its end."""

    log = log
    failed_event = "dns_setup.listing_check_failed"

    def __init__(
        self,
        addresses: Sequence[str],
        hostname: str,
        lists: DnsLists,
        resolver: IResolver,
        interval_s: float,
        clock: IReactorTime,
    ) -> None:
        super().__init__("listing watch", interval_s if lists else 0, clock)
        self._addresses = addresses
        self._hostname = hostname
        self._lists = lists
        self._resolver = resolver
        self._listed: set[tuple[str, str]] = set()

    async def once(self) -> None:
        """Ask all lists once. What they say is in the log if it is new."""
        listed: dict[tuple[str, str], str] = {}
        for address in self._addresses or await host_addresses(self._resolver, self._hostname):
            for listing in await self._lists.about_address(address):
                if listing.action in ("score", "reject"):
                    listed[address, listing.zone] = listing.code
        self._tell(listed)

    def _tell(self, listed: dict[tuple[str, str], str]) -> None:
        for (address, zone), code in listed.items():
            if (address, zone) not in self._listed:
                log.warn(
                    "{event} {address} zone={zone} code={code}",
                    event="dns_setup.address_listed",
                    address=address,
                    zone=zone,
                    code=code,
                )
        for address, zone in self._listed - set(listed):
            log.info("{event} {address} zone={zone}", event="dns_setup.address_delisted", address=address, zone=zone)
        self._listed = set(listed)
