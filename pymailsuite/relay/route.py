"""Routing: the MX hosts of a domain and their addresses, in the order in which to try them.

Source: RFC 5321 §5.1, RFC 7505 (null MX). The result from DNS is one of three: hosts to try, a permanent failure (the
message fails), or no answer (the message is delayed): :class:`Unroutable` has the last two.

The addresses of a domain or an address literal are filtered (:mod:`pymailsuite.dns.address_filter`): excluded addresses
count as none. Routes of the settings are not filtered, but never lead to this host itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from pymailsuite.config.sections.relay import NextHop, RelaySettings, parse_next_hop
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.gather import gather_all
from pymailsuite.dns.names import address_of_literal, ascii_name
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver, MxRecord, RecipientState

T = TypeVar("T")

_EXCHANGES_MAX: Final = 20
"""The greatest number of MX hosts, the best ones, whose addresses are looked up: a hostile domain could name
thousands."""

_ADDRESSES_MAX: Final = 10
"""The greatest number of addresses of one host to try."""


@frozen
class Target:
    """One address to connect to. ``host`` is its name, for TLS, the logs and reports."""

    host: str
    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.ip}]:{self.port}"


@frozen
class Destination:
    """The key of a connection: messages with the same destination share connections. ``log_in``: the relay logs in
    there.

    ``names``: the host must be verified by one of these names, or by a key of the settings; empty: no verification."""

    target: Target
    log_in: bool = False
    names: tuple[str, ...] = ()


class Unroutable(Exception):
    """No host to try. FAILED: there is none, permanently. DELAYED: the look-up failed."""

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
    """True if the domain says that it takes no mail. A null MX beside others is an error of the domain and ignored."""
    return bool(records) and not any(record.exchange for record in records)


def cut_at_ourselves(
    exchanges: Sequence[tuple[MxRecord, Sequence[str]]],
    own_names: Collection[str],
    is_ourselves: Callable[[str, str], bool],
) -> list[tuple[MxRecord, Sequence[str]]]:
    """``exchanges`` (record, addresses) better than the best that is this host: mail to the others would come back.

    ``is_ourselves`` is asked about a host and an address. Source: RFC 5321 §5.1, last paragraphs.
    """
    ours = [
        record.preference
        for record, addresses in exchanges
        if record.exchange in own_names or any(is_ourselves(record.exchange, address) for address in addresses)
    ]
    return [pair for pair in exchanges if not ours or pair[0].preference < min(ours)]


def of_domain(domain: str, table: Mapping[str, T]) -> T | None:
    """The value for a domain in a table of the settings: under its name, or under that of a parent domain with a dot in
    front."""
    if not table:
        return None
    if domain in table:
        return table[domain]
    parent = domain
    while parent:
        _, _, parent = parent.partition(".")
        if "." + parent in table:
            return table["." + parent]
    return None


class Routes:
    """Finds targets. ``own_names`` are the names of this host; ``address_filter`` None: one with the default
    settings."""

    def __init__(
        self,
        settings: RelaySettings,
        resolver: IResolver,
        own_names: Iterable[str],
        rng: random.Random,
        address_filter: AddressFilter | None = None,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._random = rng
        self._own_names = {name.lower().rstrip(".") for name in (*own_names, *settings.own_names)}
        self._address_filter = address_filter or AddressFilter(own_addresses=settings.own_addresses)
        self._relayhost = parse_next_hop(settings.relayhost) if settings.relayhost else None
        self._by_domain = {domain: parse_next_hop(text) for domain, text in settings.routes.items()}

    def next_hop(self, domain: str) -> NextHop:
        """The next hop of ``domain`` in the settings; by default the domain itself."""
        hop = of_domain(domain, self._by_domain)
        return hop or self._relayhost or NextHop(domain, self._settings.port, use_mx=True)

    def _is_of_the_settings(self, hop: NextHop) -> bool:
        return hop is self._relayhost or any(hop is other for other in self._by_domain.values())

    def destination(self, domain: str, target: Target) -> Destination:
        """The destination for a target that ``find`` gave for ``domain``: the relay host may require a login, and must
        then be verified."""
        settings, relayhost = self._settings, self._relayhost
        if relayhost is None or self.next_hop(domain) is not relayhost:
            return Destination(target)
        log_in = bool(settings.relayhost_login)
        if settings.relayhost_verify == "never" or (settings.relayhost_verify == "login" and not log_in):
            return Destination(target, log_in)
        if settings.relayhost_name:
            return Destination(target, log_in, (ascii_name(settings.relayhost_name),))
        name = address_of_literal(relayhost.host) or ascii_name(relayhost.host)
        # The names of MX hosts come from DNS without proof: those below the configured name belong to the same
        # organization.
        is_below = relayhost.use_mx and target.host.endswith("." + name)
        return Destination(target, log_in, (name, target.host) if is_below else (name,))

    async def find(self, domain: str) -> list[Target]:
        """The targets for ``domain`` (lower case, A-labels, or an address literal), best first. Raises Unroutable."""
        hop = self.next_hop(domain)
        literal = address_of_literal(hop.host)
        if literal is not None:
            return [self._literal_target(domain, hop, literal)]
        if hop.host.startswith("["):
            raise Unroutable(RecipientState.FAILED, "5.1.2", f"{domain} is not an IP address")
        if hop.use_mx:
            return await self._find_by_mx(domain, hop)
        addresses = await self._addresses(hop.host)
        if isinstance(addresses, DnsFailure):
            raise Unroutable(RecipientState.DELAYED, "4.4.3", f"{hop.host}: {addresses.text}")
        # The host comes from the configuration: mail waits until that is corrected.
        if not addresses:
            raise Unroutable(RecipientState.DELAYED, "4.4.4", f"{hop.host} has no address")
        targets = [Target(hop.host, address, hop.port) for address in addresses]
        others = [target for target in targets if not self._address_filter.is_ourselves(target.ip, target.port)]
        if not others:
            raise Unroutable(RecipientState.DELAYED, "4.4.6", f"{hop.host} is ourselves: mail for {domain} loops")
        return others

    def _literal_target(self, domain: str, hop: NextHop, ip: str) -> Target:
        address_filter = self._address_filter
        if self._is_of_the_settings(hop):
            if address_filter.is_ourselves(ip, hop.port):
                raise Unroutable(RecipientState.DELAYED, "4.4.6", f"{hop.host} is ourselves: mail for {domain} loops")
        elif address_filter.is_ourselves(ip, hop.port):
            raise Unroutable(RecipientState.FAILED, "5.4.6", f"mail for {domain} loops back to us")
        elif objection := address_filter.objection(ip):
            raise Unroutable(RecipientState.FAILED, "5.4.6", f"mail is not sent to {ip}: it is {objection}")
        return Target(hop.host, ip, hop.port)

    async def _find_by_mx(self, domain: str, hop: NextHop) -> list[Target]:
        try:
            answer = await self._resolver.mx(hop.host)
        except DnsFailure as failure:
            raise Unroutable(RecipientState.DELAYED, "4.4.3", f"MX of {hop.host}: {failure.text}") from failure
        if not answer.exists:
            raise Unroutable(RecipientState.FAILED, "5.1.2", f"domain {hop.host} does not exist")
        records: Sequence[MxRecord] = answer.records
        if is_null_mx(records):
            raise Unroutable(RecipientState.FAILED, "5.1.10", f"domain {hop.host} does not accept mail (null MX)")
        implicit = not records
        if implicit:
            # RFC 5321 §5.1: without MX the domain itself is the host, as if with preference 0.
            records = [MxRecord(0, hop.host)]
        ordered = by_preference((record for record in records if record.exchange), self._random)[:_EXCHANGES_MAX]
        found = await gather_all(Deferred.fromCoroutine(self._addresses(record.exchange)) for record in ordered)
        failed = [addresses for addresses in found if isinstance(addresses, DnsFailure)]
        objections: list[str] = []
        exchanges = [
            (
                record,
                () if isinstance(addresses, DnsFailure) else self._without_bad(hop, record, addresses, objections),
            )
            for record, addresses in zip(ordered, found, strict=True)
        ]
        usable = cut_at_ourselves(
            exchanges,
            self._own_names,
            lambda host, address: self._address_filter.is_ourselves(address, self._port_of(host, hop)),
        )
        if not usable:
            raise Unroutable(RecipientState.FAILED, "5.4.6", f"mail for {domain} loops back to us")
        targets = [
            Target(record.exchange, address, self._port_of(record.exchange, hop))
            for record, addresses in usable
            for address in addresses[:_ADDRESSES_MAX]
        ]
        if targets:
            return targets
        if failed:
            raise Unroutable(RecipientState.DELAYED, "4.4.3", f"addresses of the hosts of {hop.host}: {failed[0].text}")
        if objections:
            text = f"mail for {domain} is sent to no host: {', '.join(objections[:4])}"
            raise Unroutable(RecipientState.FAILED, "5.4.6", text)
        if implicit:
            raise Unroutable(RecipientState.FAILED, "5.1.2", f"domain {hop.host} has neither MX nor address")
        raise Unroutable(RecipientState.FAILED, "5.4.4", f"no mail host of {hop.host} has an address")

    def _without_bad(
        self, hop: NextHop, record: MxRecord, addresses: Sequence[str], objections: list[str]
    ) -> Sequence[str]:
        """The addresses of a host that may be used; the reasons against the others are appended to ``objections``."""
        if self._is_of_the_settings(hop) or record.exchange in self._settings.ports:
            return addresses
        good = []
        for address in addresses:
            objection = self._address_filter.objection(address)
            if objection:
                objections.append(f"{record.exchange} [{address}] is {objection}")
            else:
                good.append(address)
        return good

    def _port_of(self, host: str, hop: NextHop) -> int:
        return self._settings.ports.get(host, hop.port)

    async def _addresses(self, host: str) -> Sequence[str] | DnsFailure:
        """The addresses of the IP versions in use, the preferred one first; the failure only if none was found."""
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
