"""The sender of a message, as far as it has been verified."""

from __future__ import annotations

from collections.abc import Iterable

from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.dns.names import comparable_name
from pymailsuite.interfaces.policy import MethodResult, Verdict
from pymailsuite.interfaces.reputation import Identity
from pymailsuite.policy.greylist.clients import network_of
from pymailsuite.policy.organizational import domain_of, registered_domain

DOMAINS_MAX = 5
"""Verified domains of one message that are looked at: anybody can sign for many."""

_AUTHOR, _SIGNER, _SENDER, _HELO = (
    ("dmarc", "header.from"),
    ("dkim", "header.d"),
    ("spf", "smtp.mailfrom"),
    ("spf", "smtp.helo"),
)


def results_in(verdicts: Iterable[Verdict]) -> list[MethodResult]:
    """All results of all methods."""
    return [result for verdict in verdicts for result in verdict.results]


def identities_in(results: Iterable[MethodResult], ip: str, settings: ReputationSettings) -> tuple[Identity, ...]:
    """From the most telling to the least: the address SPF has passed for, the author's domain (DMARC), domains that
    signed or sent, the network. ``ip`` empty: it is not known."""
    passed = [(result.method, dict(result.properties)) for result in results if result.result == "pass"]
    found: list[Identity] = []
    for method, properties in passed:
        sender = properties.get("smtp.mailfrom", "")
        if method == "spf" and "@" in sender:
            found.append(Identity("address", comparable_name(sender)))
    domains: dict[str, None] = {}
    for wanted, key in (_AUTHOR, _SIGNER, _SENDER, _HELO):
        for method, properties in passed:
            name = registered_domain(domain_of(properties.get(key, ""))) if method == wanted else ""
            if name:
                domains[name] = None
    found += [Identity("domain", name) for name in list(domains)[:DOMAINS_MAX]]
    network = network_of(ip, settings.ipv4_prefix, settings.ipv6_prefix)
    if network:
        found.append(Identity("network", network))
    return tuple(found)
