"""The evaluation: policy, alignment, and what is to be done. Source: RFC 7489 §3.1 and §6.6, RFC 9989 §4.4 and §5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.interfaces.transient import transient
from pymailsuite.policy.dmarc.discovery import Discovery, PublishedPolicy
from pymailsuite.policy.dmarc.record import Disposition, DmarcRecord

_NOT_LOOKED_UP: Final = "a name it depends on could not be looked up"


@frozen
class Override:
    """Why the policy is not followed; ``kind`` is a word of RFC 7489 appendix C or RFC 9990 §3.1.1."""

    kind: str
    comment: str = ""


@transient
class DmarcResult:
    """The result. ``result`` is a word of RFC 7489 §11.2: none, pass, fail, temperror or permerror.

    ``policy`` is what the published record says for this author domain (``p``, ``sp`` or ``np``); ``disposition`` what
    is to be done with this message: none if it passes. ``aligned_spf`` and ``aligned_dkim`` are domains, or empty.
    """

    result: str
    author_domain: str = ""
    published: PublishedPolicy | None = None
    policy: Disposition | None = None
    disposition: Disposition = Disposition.NONE
    aligned_spf: str = ""
    aligned_dkim: str = ""
    overrides: tuple[Override, ...] = ()
    reason: str = ""

    def overridden(self, override: Override, disposition: Disposition = Disposition.NONE) -> DmarcResult:
        """The same with another disposition, and why."""
        return evolve(self, disposition=disposition, overrides=(*self.overrides, override))

    def method_result(self) -> MethodResult:
        """Its part of Authentication-Results. Source: RFC 8601 §2.7.5 and RFC 7489 §11.2."""
        properties: list[tuple[str, str]] = []
        if self.author_domain:
            properties.append(("header.from", self.author_domain))
        comment = ""
        if self.published is not None and self.policy is not None:
            record = self.published.record
            words = [("p", record.p), ("sp", record.sp), ("np", record.np), ("dis", self.disposition)]
            comment = " ".join(f"{name}={value.value}" for name, value in words if value is not None)
            properties.append(("policy.dmarc", self.disposition.value))
        return MethodResult("dmarc", self.result, self.reason, tuple(properties), comment)


async def evaluate(
    author_domains: Sequence[str],
    spf_domain: str,
    dkim_domains: Sequence[str],
    discovery: Discovery,
    *,
    unsure_spf: str = "",
    unsure_dkim: Sequence[str] = (),
    sample: float = 0.0,
    honour_pct: bool = False,
) -> DmarcResult:
    """The result for these author domains: of several, the one with the strictest disposition (RFC 7489 §6.6.1).

    ``spf_domain`` is the domain for which SPF has passed (of the reverse-path; of HELO if that is null), or empty;
    ``dkim_domains`` those of the signatures that have passed. ``unsure_spf`` and ``unsure_dkim`` are those whose check
    was a temperror: if nothing else passes and one of them is aligned, nobody can say that the message fails (RFC 7489
    §6.6.2). All in A-labels and lower case. ``sample`` from 0 up to 100, drawn by chance, decides whether a record with
    a percentage applies to this message, if ``honour_pct``. Never raises DnsFailure.
    """
    passed, unsure = _Identifiers(spf_domain, dkim_domains), _Identifiers(unsure_spf, unsure_dkim)
    results = [await _evaluate(domain, passed, unsure, discovery) for domain in author_domains]
    if not results:
        return DmarcResult("none", reason="no author domain")
    return max((_disposed(result, sample, honour_pct) for result in results), key=_strictness)


def _strictness(result: DmarcResult) -> tuple[int, int]:
    return result.disposition.severity, ("pass", "none", "temperror", "permerror", "fail").index(result.result)


@frozen
class _Identifiers:
    """Domains with which SPF and DKIM had one outcome; ``spf`` may be empty."""

    spf: str
    dkim: Sequence[str]


async def _evaluate(
    author_domain: str, identifiers: _Identifiers, unsure: _Identifiers, discovery: Discovery
) -> DmarcResult:
    try:
        published = await discovery.policy(author_domain)
    except DnsFailure:
        return DmarcResult("temperror", author_domain, reason="the policy could not be looked up")
    if published is None or published.record.p is None:
        return DmarcResult("none", author_domain, reason="" if published is None else "no valid policy")
    record = published.record
    alignment = _Alignment(author_domain, discovery)
    aligned_spf, aligned_dkim = await alignment.of(identifiers, record)
    passed = bool(aligned_spf or aligned_dkim)
    undecided = not passed and any(await alignment.of(unsure, record))
    reason = "SPF or DKIM could not be checked for an aligned domain" if undecided else _NOT_LOOKED_UP
    undecided = undecided or alignment.failed
    policy = record.p
    if published.domain != author_domain:
        policy = record.sp or record.p
        if record.np is not None:
            try:
                policy = policy if await discovery.exists(author_domain) else record.np
            except DnsFailure:
                undecided = True
    result = "pass" if passed else "temperror" if undecided else "fail"
    return DmarcResult(
        result,
        author_domain,
        published,
        policy,
        aligned_spf=aligned_spf,
        aligned_dkim=aligned_dkim,
        reason=reason if result == "temperror" else "",
    )


class _Alignment:
    """Whether other domains are of the author's organization. ``failed``: this could not be found out for one of
    them."""

    def __init__(self, author_domain: str, discovery: Discovery) -> None:
        self._author_domain = author_domain
        self._discovery = discovery
        self.failed = False

    async def of(self, identifiers: _Identifiers, record: DmarcRecord) -> tuple[str, str]:
        """The aligned domain of SPF and the first one of DKIM, each empty if there is none."""
        spf = await self.first((identifiers.spf,) if identifiers.spf else (), record.strict_spf)
        return spf, await self.first(identifiers.dkim, record.strict_dkim)

    async def first(self, domains: Sequence[str], strict: bool) -> str:
        """The first domain that is aligned, the author's own before all; else empty."""
        if self._author_domain in domains:
            return self._author_domain
        if strict:
            return ""
        for domain in domains:
            try:
                if await self._same_organization(domain):
                    return domain
            except DnsFailure:
                self.failed = True
        return ""

    async def _same_organization(self, domain: str) -> bool:
        if domain.rpartition(".")[2] != self._author_domain.rpartition(".")[2]:
            return False
        organization = await self._discovery.organizational_domain(self._author_domain)
        if domain != organization and not domain.endswith("." + organization):
            return False
        return await self._discovery.organizational_domain(domain) == organization


def _disposed(result: DmarcResult, sample: float, honour_pct: bool) -> DmarcResult:
    """With what is to be done if it failed: softened by test mode (RFC 9989 §4.7) or a percentage (RFC 7489 §6.6.4)."""
    if result.result != "fail" or result.published is None or result.policy is None:
        return result
    record: DmarcRecord = result.published.record
    if record.testing and result.policy is not Disposition.NONE:
        return result.overridden(Override("policy_test_mode", "t=y"), result.policy.softer)
    if honour_pct and sample >= record.pct and result.policy is not Disposition.NONE:
        return result.overridden(Override("sampled_out", f"pct={record.pct}"), result.policy.softer)
    return evolve(result, disposition=result.policy)
