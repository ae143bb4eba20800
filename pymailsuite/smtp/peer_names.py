"""The name of a client's address in DNS, for Received and the logs. Source: RFC 5321 §4.4."""

from __future__ import annotations

import ipaddress
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver

log = Logger()

_NAMES_TRIED: Final = 3
"""PTR records looked at: an address may have any number of them."""


class PeerNames:
    """Looks names up, for at most ``budget_s`` seconds. The resolver caches the results."""

    def __init__(self, resolver: IResolver, budget_s: float, clock: IReactorTime) -> None:
        self._resolver = resolver
        self._budget_s = budget_s
        self._clock = clock

    def name_of(self, ip: str) -> Deferred[str]:
        """The first PTR name of ``ip`` that has ``ip`` among its own addresses; empty if there is none, or not in time.

        A PTR record alone proves nothing: the owner of the address can write any name into it. Never fails.
        """
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return succeed("")
        found = Deferred.fromCoroutine(self._find(address)).addTimeout(self._budget_s, self._clock)
        return found.addErrback(self._not_found, ip)

    async def _find(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        named = await self._resolver.ptr(str(address))
        for name in named.records[:_NAMES_TRIED]:
            look_up = self._resolver.a if address.version == 4 else self._resolver.aaaa
            answer = await look_up(name)
            if any(ipaddress.ip_address(one) == address for one in answer.records):
                return str(name)
        return ""

    def _not_found(self, failure: Failure, ip: str) -> str:
        if failure.check(DnsFailure, TimeoutError, CancelledError) is None:
            log.failure("{event} {peer_ip}", failure, event="smtp.peer_name_failed", peer_ip=ip)
        return ""
