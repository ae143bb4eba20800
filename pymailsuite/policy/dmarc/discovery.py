"""Which policy applies to a domain, and which organization it is part of.

Two ways. By a walk up the DNS tree (RFC 9989 §4.10): the records found on the way say what the organization is. Or by
the public suffix list (RFC 7489 §3.2 and §6.6.3), which came before: the organization is the registered domain; a
record of the author's domain applies, else the organization's, else one of the public suffix itself if it says
``psd=y`` (RFC 9091).
"""

from __future__ import annotations

import math
from typing import Final

from attrs import frozen

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.policy.dmarc.record import DmarcRecord, parse_record
from pymailsuite.policy.organizational import registered_domain

_WALK_MAX: Final = 8
"""Queries of one walk at most. Source: RFC 9989 §4.10."""


@frozen
class PublishedPolicy:
    """The record that applies, and the domain at which it was found."""

    domain: str
    record: DmarcRecord


class _Several:
    """More than one record at a name: as good as none. Source: RFC 7489 §6.6.3 step 5, RFC 9989 §4.10 step 2."""


_SEVERAL: Final = _Several()


def walk_names(domain: str) -> list[str]:
    """The domains a walk asks, from ``domain`` up to its top level: eight at most. Source: RFC 9989 §4.10."""
    labels = domain.split(".")
    above = labels[1:] if len(labels) <= _WALK_MAX else labels[1 - _WALK_MAX :]
    return [domain, *(".".join(above[start:]) for start in range(len(above)))]


class Discovery:
    """Look-ups for one message: no name is asked for twice. Domains are in A-labels and lower case.

    Its methods raise DnsFailure if a record they need cannot be had.
    """

    def __init__(self, resolver: IResolver, tree_walk: bool = True) -> None:
        self._resolver = resolver
        self.tree_walk = tree_walk
        self.good_for_s = math.inf
        """How long what was found holds: until the first answer of DNS it rests on is too old."""
        self._known: dict[str, DmarcRecord | _Several | DnsFailure | None] = {}
        self._organizations: dict[str, str] = {}

    async def policy(self, author_domain: str) -> PublishedPolicy | None:
        """The record that applies to mail of this author domain, or None."""
        found = await self._found(author_domain)
        if isinstance(found, DmarcRecord):
            return PublishedPolicy(author_domain, found)
        if self.tree_walk:
            return await self._policy_above(author_domain)
        if found is _SEVERAL:
            return None
        organization = registered_domain(author_domain) or author_domain
        if organization != author_domain:
            found = await self._found(organization)
            if found is not None:
                return PublishedPolicy(organization, found) if isinstance(found, DmarcRecord) else None
        return await self._public_suffix_policy(organization)

    async def organizational_domain(self, domain: str) -> str:
        """The domain whose owner answers for ``domain``; ``domain`` itself where nothing says otherwise."""
        if not self.tree_walk:
            return registered_domain(domain) or domain
        known = self._organizations.get(domain)
        if known is None:
            known = self._organizations[domain] = _organization(domain, await self._walk(domain))
        return known

    async def exists(self, domain: str) -> bool:
        """False if DNS knows no such name (RFC 8020)."""
        answer: Answer = await self._resolver.a(domain)
        self._rests_on(answer)
        return answer.exists

    def _rests_on(self, answer: Answer) -> None:
        self.good_for_s = min(self.good_for_s, answer.ttl_s)

    async def _public_suffix_policy(self, organization: str) -> PublishedPolicy | None:
        suffix = organization.partition(".")[2]
        if not suffix:
            return None
        try:
            found = await self._found(suffix)
        except DnsFailure:
            # Few suffixes have a policy; mail does not wait for one that cannot be asked.
            return None
        is_policy = isinstance(found, DmarcRecord) and found.psd == "y"
        return PublishedPolicy(suffix, found) if is_policy and isinstance(found, DmarcRecord) else None

    async def _policy_above(self, author_domain: str) -> PublishedPolicy | None:
        walked = await self._walk(author_domain)
        records = dict(walked)
        organization = _organization(author_domain, walked)
        if organization in records:
            return PublishedPolicy(organization, records[organization])
        return next((PublishedPolicy(domain, record) for domain, record in walked if record.psd == "y"), None)

    async def _walk(self, domain: str) -> list[tuple[str, DmarcRecord]]:
        """The records on the way up, the nearest first."""
        walked: list[tuple[str, DmarcRecord]] = []
        for name in walk_names(domain):
            try:
                found = await self._found(name)
            except DnsFailure:
                # Few top-level domains have a record; mail does not wait for one that cannot be asked.
                if name == domain or "." in name:
                    raise
                continue
            if isinstance(found, DmarcRecord):
                walked.append((name, found))
                # Steps 2 and 7: where the walk begins, psd=y says nothing about whom that domain belongs to itself.
                if found.psd == "n" or (found.psd == "y" and name != domain):
                    break
        return walked

    async def _found(self, domain: str) -> DmarcRecord | _Several | None:
        if domain not in self._known:
            try:
                self._known[domain] = await self._ask(domain)
            except DnsFailure as failure:
                self.good_for_s = 0.0
                self._known[domain] = failure
        known = self._known[domain]
        if isinstance(known, DnsFailure):
            raise known
        return known

    async def _ask(self, domain: str) -> DmarcRecord | _Several | None:
        answer: Answer = await self._resolver.txt(f"_dmarc.{domain}")
        self._rests_on(answer)
        records = [record for text in answer.records if (record := parse_record(text)) is not None]
        if len(records) > 1:
            return _SEVERAL
        return records[0] if records else None


def _organization(domain: str, walked: list[tuple[str, DmarcRecord]]) -> str:
    """Source: RFC 9989 §4.10.2."""
    for name, record in walked:
        if record.psd == "n":
            return name
        if record.psd == "y" and name != domain:
            return ".".join(domain.split(".")[-name.count(".") - 2 :])
    return walked[-1][0] if walked else domain
