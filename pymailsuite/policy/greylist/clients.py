"""By what name a client is known when it comes back."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from pymailsuite.config.sections.greylist import GreylistSettings
from pymailsuite.interfaces.policy import Action, MailTransaction, Verdict
from pymailsuite.policy.organizational import registered_domain


def network_of(ip: str, ipv4_prefix: int, ipv6_prefix: int) -> str:
    """The network an address is in: ``192.0.2.0/24``; an IPv4 address that is written as IPv6 is one of IPv4. Empty for
    what is no address."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(address), ipv6_prefix), strict=False))
        address = address.ipv4_mapped
    return str(ipaddress.IPv4Network((int(address), ipv4_prefix), strict=False))


def client_named(text: str, ipv4_prefix: int, ipv6_prefix: int) -> str:
    """The client an operator means by an address, a network or a provider; empty for what is none of them."""
    kind, colon, domain = text.strip().lower().partition(":")
    if colon and kind in ("spf", "rdns"):
        registered = registered_domain(domain)
        return f"{kind}:{registered}" if registered else ""
    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError:
        return ""
    name = network_of(str(network.network_address), ipv4_prefix, ipv6_prefix)
    return name if network.num_addresses == 1 or name == str(network) else ""


def evidence_of(verdicts: Mapping[str, Verdict], policy: str) -> Mapping[str, Any]:
    """The evidence of another policy; empty if it was not asked."""
    verdict = verdicts.get(policy)
    return verdict.evidence if verdict is not None else {}


def looks_dynamic(verdicts: Mapping[str, Verdict]) -> bool:
    """Whether ``dynamic_names`` objects to the client's name."""
    verdict = verdicts.get("dynamic_names")
    return verdict is not None and verdict.action is not Action.PASS


def client_names(transaction: MailTransaction, settings: GreylistSettings) -> tuple[str, ...]:
    """All names the client may be known by, first that under which it is remembered; empty if it has no address.

    A provider stands for its networks where SPF or reverse DNS says that the client is one of its hosts. What cannot be
    looked up today may have been yesterday, so the others count too.
    """
    network = network_of(transaction.peer.ip, settings.ipv4_prefix, settings.ipv6_prefix)
    if not network:
        return ()
    verdicts = transaction.verdicts
    names = []
    if "spf" in settings.pools:
        spf = evidence_of(verdicts, "spf")
        domain = registered_domain(spf.get("domain", "")) if spf.get("result") == "pass" else ""
        if domain:
            names.append(f"spf:{domain}")
    if "rdns" in settings.pools and not looks_dynamic(verdicts):
        iprev = evidence_of(verdicts, "iprev")
        confirmed = iprev.get("names") if iprev.get("result") == "pass" else None
        domain = registered_domain(confirmed[0]) if confirmed else ""
        if domain:
            names.append(f"rdns:{domain}")
    return (*names, network)
