"""Where mail for a domain goes: its MX hosts and their addresses, in the order in which to try them.

Source: RFC 5321 §5.1, RFC 7505 (null MX). What DNS answers decides between three ends: hosts to try, a definite no
(the message fails), or no answer (the message waits): :class:`Unroutable` says which.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from itertools import groupby

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults

from pymailsuite.config.sections.relay import NextHop, RelaySettings, parse_next_hop
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver, MxRecord, RecipientState


@frozen
class Target:
    """One address to connect to. ``host`` is its name, for TLS, the logs and reports."""

    host: str
    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.ip}]:{self.port}"


class Unroutable(Exception):
    """No host to try. FAILED: there is none and there will be none. WAITING: it could not be found out."""

    def __init__(self, state: RecipientState, status: str, text: str) -> None:
        super().__init__(text)
        self.state = state
        self.status = status
        self.text = text


def by_preference(records: Iterable[MxRecord], rng: random.Random) -> list[MxRecord]:
    """The records by ascending preference, equals in random order, so that their load is shared."""
    ordered: list[MxRecord] = []
    for _, equals in groupby(sorted(records, key=lambda record: record.preference), lambda record: record.preference):
        group = list(equals)
        rng.shuffle(group)
        ordered += group
    return ordered


def is_null_mx(records: Collection[MxRecord]) -> bool:
    """True if the domain says that it takes no mail. A null MX beside others is a mistake of theirs and ignored."""
    return bool(records) and not any(record.exchange for record in records)


def cut_at_ourselves(
    exchanges: Sequence[tuple[MxRecord, Sequence[str]]],
    own_names: Collection[str],
    own_addresses: Collection[str],
) -> list[tuple[MxRecord, Sequence[str]]]:
    """``exchanges`` (record, addresses) better than the best that is ourselves: mail for the others would come back.

    Source: RFC 5321 §5.1, last paragraphs.
    """
    ours = [
        record.preference
        for record, addresses in exchanges
        if record.exchange in own_names or any(address in own_addresses for address in addresses)
    ]
    return [pair for pair in exchanges if not ours or pair[0].preference < min(ours)]


class Routes:
    """Finds targets. ``own_names`` is what this host calls itself."""

    def __init__(
        self, settings: RelaySettings, resolver: IResolver, own_names: Iterable[str], rng: random.Random
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._random = rng
        self._own_names = {name.lower().rstrip(".") for name in (*own_names, *settings.own_names)}
        self._own_addresses = {str(ip_address(address)) for address in settings.own_addresses}
        self._relayhost = parse_next_hop(settings.relayhost) if settings.relayhost else None
        self._by_domain = {domain: parse_next_hop(text) for domain, text in settings.routes.items()}

    def next_hop(self, domain: str) -> NextHop:
        """What the settings say of ``domain``; if nothing, the domain itself."""
        if domain in self._by_domain:
            return self._by_domain[domain]
        parent = domain
        while parent:
            _, _, parent = parent.partition(".")
            if "." + parent in self._by_domain:
                return self._by_domain["." + parent]
        return self._relayhost or NextHop(domain, self._settings.port, use_mx=True)

    def is_relayhost(self, domain: str) -> bool:
        """True if ``domain`` goes through the relayhost, which may want a login."""
        return self._relayhost is not None and self.next_hop(domain) is self._relayhost

    async def find(self, domain: str) -> list[Target]:
        """The targets for ``domain`` (lower case, A-labels, or an address literal), best first. Raises Unroutable."""
        hop = self.next_hop(domain)
        literal = _address_of(hop.host)
        if literal is not None:
            if hop.use_mx and literal in self._own_addresses:
                raise Unroutable(RecipientState.FAILED, "5.4.6", f"mail for {domain} loops back to us")
            return [Target(hop.host, literal, hop.port)]
        if hop.host.startswith("["):
            raise Unroutable(RecipientState.FAILED, "5.1.2", f"{domain} is not an IP address")
        if hop.use_mx:
            return await self._find_by_mx(domain, hop)
        addresses = await self._addresses(hop.host)
        if isinstance(addresses, DnsFailure):
            raise Unroutable(RecipientState.WAITING, "4.4.3", f"{hop.host}: {addresses.text}")
        if not addresses:
            # A host we were told to use is a matter of our configuration: mail waits until it is mended.
            raise Unroutable(RecipientState.WAITING, "4.4.4", f"{hop.host} has no address")
        return [Target(hop.host, address, hop.port) for address in addresses]

    async def _find_by_mx(self, domain: str, hop: NextHop) -> list[Target]:
        try:
            answer = await self._resolver.mx(hop.host)
        except DnsFailure as failure:
            raise Unroutable(RecipientState.WAITING, "4.4.3", f"MX of {hop.host}: {failure.text}") from failure
        if not answer.exists:
            raise Unroutable(RecipientState.FAILED, "5.1.2", f"domain {hop.host} does not exist")
        records: Sequence[MxRecord] = answer.records
        if is_null_mx(records):
            raise Unroutable(RecipientState.FAILED, "5.1.10", f"domain {hop.host} does not accept mail (null MX)")
        implicit = not records
        if implicit:
            # RFC 5321 §5.1: without MX the domain itself is the host, as if with preference 0.
            records = [MxRecord(0, hop.host)]
        ordered = by_preference((record for record in records if record.exchange), self._random)
        found = await gatherResults(
            [Deferred.fromCoroutine(self._addresses(record.exchange)) for record in ordered], consumeErrors=True
        )
        failed = [addresses for addresses in found if isinstance(addresses, DnsFailure)]
        exchanges = [
            (record, () if isinstance(addresses, DnsFailure) else addresses)
            for record, addresses in zip(ordered, found, strict=True)
        ]
        usable = cut_at_ourselves(exchanges, self._own_names, self._own_addresses)
        if not usable:
            raise Unroutable(RecipientState.FAILED, "5.4.6", f"mail for {domain} loops back to us")
        targets = [
            Target(record.exchange, address, self._port_of(record.exchange, hop))
            for record, addresses in usable
            for address in addresses
        ]
        if targets:
            return targets
        if failed:
            raise Unroutable(RecipientState.WAITING, "4.4.3", f"addresses of the hosts of {hop.host}: {failed[0].text}")
        if implicit:
            raise Unroutable(RecipientState.FAILED, "5.1.2", f"domain {hop.host} has neither MX nor address")
        raise Unroutable(RecipientState.FAILED, "5.4.4", f"no mail host of {hop.host} has an address")

    def _port_of(self, host: str, hop: NextHop) -> int:
        return self._settings.ports.get(host, hop.port)

    async def _addresses(self, host: str) -> Sequence[str] | DnsFailure:
        """Of the versions we connect with, the preferred one first; the failure only if nothing was found."""
        resolver = self._resolver
        asked = [resolver.a(host) if version == 4 else resolver.aaaa(host) for version in self._settings.ip_versions]
        failure: DnsFailure | None = None
        addresses: list[str] = []
        for deferred in asked:
            try:
                answer: Answer = await deferred
            except DnsFailure as error:
                failure = error
            else:
                addresses += answer.records
        return failure if failure is not None and not addresses else addresses


@lru_cache(maxsize=4096)
def _address_of(host: str) -> str | None:
    """The address in an address literal ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 §4.1.3), or a bare one."""
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    text = text[5:] if text[:5].lower() == "ipv6:" else text
    try:
        return str(ip_address(text))
    except ValueError:
        return None
