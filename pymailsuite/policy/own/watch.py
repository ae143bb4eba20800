"""Asks the lists of bad hosts about our own addresses from time to time, so that the operator hears of it first."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.counters import ICounters
from pymailsuite.policy.lists.dns_lists import DnsLists
from pymailsuite.policy.own.host import host_addresses

log = Logger()


class ListingWatch(Service):
    """Looks every ``interval_s``, the first time one interval after the start.

    The level ``own_address_listed`` is 1 for each address and list while it is there, 0 when it is gone again.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        hostname: str,
        lists: DnsLists,
        resolver: IResolver,
        interval_s: float,
        counters: ICounters,
        clock: IReactorTime,
    ) -> None:
        self.setName("listing watch")  # type: ignore[no-untyped-call]
        self._addresses = addresses
        self._hostname = hostname
        self._lists = lists
        self._resolver = resolver
        self._interval_s = interval_s
        self._counters = counters
        self._listed: set[tuple[str, str]] = set()
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock
        self._looking: Deferred[None] = succeed(None)

    def startService(self) -> None:
        """Begin, unless there are no lists or the interval is 0."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._interval_s and self._lists:
            self._loop.start(self._interval_s, now=False)

    def stopService(self) -> Deferred[None]:
        """Fires once no look is under way."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()
        return Deferred.fromCoroutine(self._looked())

    async def _looked(self) -> None:
        await self._looking

    def _look(self) -> Deferred[None]:
        self._looking = Deferred.fromCoroutine(self.look())
        return self._looking

    async def look(self) -> None:
        """Ask all lists once. What they say is in the log if it is news, and in the counters."""
        try:
            listed: dict[tuple[str, str], str] = {}
            for address in self._addresses or await host_addresses(self._resolver, self._hostname):
                for listing in await self._lists.about_address(address):
                    if listing.action in ("score", "reject"):
                        listed[address, listing.zone] = listing.code
        except CancelledError:
            raise
        except DnsFailure as failure:
            log.warn("{event} {cause}", event="own.addresses_unknown", cause=failure.cause)
        except Exception:
            log.failure("{event}", failure=Failure(), event="own.listing_watch_failed")
        else:
            self._tell(listed)

    def _tell(self, listed: dict[tuple[str, str], str]) -> None:
        for (address, zone), code in listed.items():
            if (address, zone) not in self._listed:
                log.warn(
                    "{event} {address} zone={zone} code={code}",
                    event="own.address_listed",
                    address=address,
                    zone=zone,
                    code=code,
                )
                self._counters.count("own_address_listings", address=address, zone=zone)
            self._counters.level("own_address_listed", 1, address=address, zone=zone)
        for address, zone in self._listed - set(listed):
            log.info("{event} {address} zone={zone}", event="own.address_delisted", address=address, zone=zone)
            self._counters.level("own_address_listed", 0, address=address, zone=zone)
        self._listed = set(listed)
