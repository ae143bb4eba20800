"""The client's names by PTR, each confirmed by its own addresses: for ``ptr`` and ``%{p}``. Source: RFC 7208 §5.5."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from pymailsuite.errors import DnsFailure
from pymailsuite.policy.spf.look_ups import LookUps

NAMES_MAX: Final = 10
"""Names beyond the first ten are as if they were not there: whoever owns the address could list any number of them.
Source: RFC 7208 §4.6.4."""


def is_below(name: str, domain: str) -> bool:
    """Whether ``name`` is ``domain`` or in it; both in lower case."""
    return name == domain or name.endswith("." + domain)


class ClientNames:
    """Names of one client, looked up when first wanted."""

    def __init__(self, ip: IPv4Address | IPv6Address, look_ups: LookUps) -> None:
        self._ip = ip
        self._look_ups = look_ups
        self._claimed: tuple[str, ...] | None = None
        self._is_void = False
        self._confirmed: dict[str, bool] = {}

    async def has_one_below(self, domain: str) -> bool:
        """Whether a confirmed name is ``domain`` or in it. A failed look-up is no name. LimitExceeded."""
        lowered = domain.lower()
        return await self._first([name for name in await self._names() if is_below(name, lowered)]) is not None

    async def best(self, domain: str) -> str:
        """The confirmed name for ``%{p}``: ``domain`` itself, else one in it, else any, else ``unknown``.

        Source: RFC 7208 §7.3.
        """
        lowered = domain.lower()
        names = await self._names(may_be_void=True)
        nearest = sorted(names, key=lambda name: (name != lowered, not is_below(name, lowered)))
        return await self._first(nearest) or "unknown"

    async def _first(self, names: list[str]) -> str | None:
        for name in names:
            if await self._is_confirmed(name):
                return name
        return None

    async def _names(self, may_be_void: bool = False) -> tuple[str, ...]:
        if self._claimed is None:
            try:
                claimed = await self._look_ups.records("ptr", str(self._ip), may_be_void=may_be_void)
                self._is_void = not claimed
            except DnsFailure:
                claimed = ()
            # Sorted, so that it does not depend on the order of DNS which these are.
            self._claimed = tuple(sorted(set(map(str.lower, claimed)))[:NAMES_MAX])
        elif self._is_void and not may_be_void:
            # Counted for each term, asked again or not.
            self._look_ups.count_void()
        return self._claimed

    async def _is_confirmed(self, name: str) -> bool:
        if name not in self._confirmed:
            kind = "a" if self._ip.version == 4 else "aaaa"
            try:
                # Not the sender's names, so not the sender's void look-ups.
                addresses = await self._look_ups.records(kind, name, may_be_void=True)
            except DnsFailure:
                addresses = ()
            self._confirmed[name] = any(ip_address(address) == self._ip for address in addresses)
        return self._confirmed[name]
