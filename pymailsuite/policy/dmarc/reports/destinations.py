"""Whether those a record names want its reports. Source: RFC 7489 §7.1, RFC 9990 §4, RFC 9991 §5."""

from __future__ import annotations

from typing import Literal

from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.policy.dmarc.discovery import Discovery
from pymailsuite.policy.dmarc.record import ReportAddress, parse_record
from pymailsuite.policy.organizational import domain_of


async def verified_destinations(
    resolver: IResolver,
    policy_domain: str,
    wanted: tuple[ReportAddress, ...],
    tag: Literal["rua", "ruf"] = "rua",
    *,
    tree_walk: bool = True,
) -> tuple[ReportAddress, ...]:
    """Those of the addresses that may be written to: in the policy's own organization, or in one that says so.

    The other organization may put addresses of the same host, in the same ``tag``, in place of the one it was named
    with. ``tree_walk``: what tells organizations, see :class:`Discovery`. DnsFailure.
    """
    discovery = Discovery(resolver, tree_walk)
    organization = await discovery.organizational_domain(policy_domain)
    verified: dict[ReportAddress, None] = {}
    for address in wanted:
        domain = domain_of(address.address)
        if not domain:
            continue
        if domain == policy_domain or await discovery.organizational_domain(domain) == organization:
            verified[address] = None
            continue
        answer: Answer = await resolver.txt(f"{policy_domain}._report._dmarc.{domain}")
        records = [record for text in answer.records if (record := parse_record(text)) is not None]
        if len(records) != 1:
            continue
        instead = [other for other in getattr(records[0], tag) if domain_of(other.address) == domain]
        verified.update(dict.fromkeys(instead or [address]))
    return tuple(verified)
