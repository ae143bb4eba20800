"""Whether our host is one that others take mail from: its names, its certificate, the lists it may be on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from twisted.internet.defer import Deferred

from pymailsuite.dns.names import ascii_name
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.policy.dns_setup.checking import Finding, Status
from pymailsuite.policy.lists.dns_lists import DnsLists

_ENDING: Final = timedelta(days=14)


async def host_addresses(resolver: IResolver, hostname: str) -> list[str]:
    """The addresses a host has in DNS. DnsFailure."""
    ipv4: Answer = await resolver.a(hostname)
    ipv6: Answer = await resolver.aaaa(hostname)
    return [*ipv4.records, *ipv6.records]


class HostChecker:
    """Checks by DNS, and of what is given to it."""

    def __init__(self, resolver: IResolver, hostname: str, lists: DnsLists) -> None:
        self._resolver = resolver
        self._hostname = ascii_name(hostname)
        self._lists = lists

    def check(self, addresses: Sequence[str]) -> Deferred[list[Finding]]:
        """Findings about the host and each of the addresses it sends from; empty: those it has in DNS."""
        return Deferred.fromCoroutine(self._check(addresses))

    async def _check(self, configured: Sequence[str]) -> list[Finding]:
        host = self._hostname
        try:
            known = await host_addresses(self._resolver, host)
        except DnsFailure as failure:
            return [Finding(f"A {host}", Status.UNKNOWN, fix=f"it cannot be looked up: {failure.cause}")]
        findings = [self._name(known)]
        addresses = list(configured or known)
        strangers = [address for address in addresses if address not in known]
        if strangers and known:
            fix = f"the name in our EHLO should have the address we send from: add {', '.join(strangers)} to {host}"
            findings.append(Finding(f"HELO {host}", Status.DIFFERENT, ", ".join(known), fix))
        elif known:
            findings.append(Finding(f"HELO {host}", Status.OK, ", ".join(known)))
        for address in addresses:
            findings.append(await self._reverse_name(address))
            findings.extend(await self._listings(address))
        return findings

    def _name(self, known: Sequence[str]) -> Finding:
        subject = f"A {self._hostname}"
        if "." not in self._hostname:
            return Finding(
                subject, Status.DIFFERENT, fix="server.hostname is not a full name; others refuse such a HELO"
            )
        if not known:
            return Finding(subject, Status.MISSING, fix=f"publish A (and AAAA) records for {self._hostname}")
        return Finding(subject, Status.OK, ", ".join(known))

    async def _reverse_name(self, address: str) -> Finding:
        """Source: RFC 8601 §3 (iprev); many receivers refuse mail from hosts that fail it."""
        subject = f"PTR {address}"
        try:
            answer: Answer = await self._resolver.ptr(address)
            names = ", ".join(answer.records)
            if not answer.records:
                return Finding(
                    subject, Status.MISSING, fix=f"ask whoever gave you {address} for the PTR {self._hostname}."
                )
            if self._hostname in answer.records and address in await host_addresses(self._resolver, self._hostname):
                return Finding(subject, Status.OK, names)
            for name in answer.records[:5]:
                if address in await host_addresses(self._resolver, name):
                    fix = f"it is confirmed, but not our HELO name; better {self._hostname}."
                    return Finding(subject, Status.DIFFERENT, names, fix)
        except DnsFailure as failure:
            return Finding(subject, Status.UNKNOWN, fix=f"it cannot be looked up: {failure.cause}")
        fix = (
            f"{names} does not lead back to {address}: make the PTR {self._hostname}., and give that name this address"
        )
        return Finding(subject, Status.DIFFERENT, names, fix)

    async def _listings(self, address: str) -> list[Finding]:
        if not self._lists:
            return []
        listings = [
            listing for listing in await self._lists.about_address(address) if listing.action in ("score", "reject")
        ]
        if not listings:
            return [Finding(f"listing {address}", Status.OK, "on no list")]
        return [
            Finding(
                f"listing {address}",
                Status.DIFFERENT,
                f"{listing.zone} says {listing.code}",
                f"find out why ({listing.text}), stop it, then ask {listing.zone} to remove {address}",
            )
            for listing in listings
        ]


def certificate_finding(certificate: x509.Certificate | None, hostname: str, now: float) -> Finding:
    """Whether the certificate is for our host, for a while yet, and by somebody others know. ``now``: POSIX seconds."""
    subject = f"certificate {hostname}"
    if certificate is None:
        return Finding(subject, Status.MISSING, fix="start the server once, or set tls.certificate")
    ends = certificate.not_valid_after_utc
    found = f"until {ends:%Y-%m-%d}, by {certificate.issuer.rfc4514_string() or 'nobody'}"
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns_names = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        dns_names = []
    host = ascii_name(hostname)
    if host not in dns_names and f"*.{host.partition('.')[2]}" not in dns_names:
        return Finding(
            subject, Status.DIFFERENT, found, f"it is for {', '.join(dns_names) or 'no name'}, not for {host}"
        )
    left = ends - datetime.fromtimestamp(now, UTC)
    if left < _ENDING:
        return Finding(
            subject, Status.DIFFERENT, found, "it has ended" if left < timedelta() else f"it ends in {left.days} days"
        )
    if certificate.issuer == certificate.subject:
        fix = "it is signed by itself: mail clients ask their users about it; other servers take it"
        return Finding(subject, Status.DIFFERENT, found, fix)
    return Finding(subject, Status.OK, found)
