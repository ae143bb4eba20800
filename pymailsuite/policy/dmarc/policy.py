"""The policy ``dmarc`` of the chain: it reads what SPF, DKIM and ARC found, and says what the author's domain wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from random import random
from typing import Final

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.dmarc import DmarcSettings, WhatToDo
from pymailsuite.dns.names import comparable_domain, is_below
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.dmarc import IDmarcStore, IFailureStore
from pymailsuite.interfaces.policy import (
    Action,
    Disposal,
    MailTransaction,
    MethodResult,
    PolicyContext,
    PolicyReply,
    ReceivedMessage,
    Verdict,
)
from pymailsuite.memory import ExpiringMemory
from pymailsuite.policy.author import Author, author_of
from pymailsuite.policy.base import Policy
from pymailsuite.policy.bimi import bimi_result
from pymailsuite.policy.coroutines import start_coroutine
from pymailsuite.policy.dmarc.discovery import Discovery
from pymailsuite.policy.dmarc.evaluation import DmarcResult, Override, evaluate
from pymailsuite.policy.dmarc.overrides import sealed_override
from pymailsuite.policy.dmarc.record import Disposition
from pymailsuite.policy.dmarc.reports.collecting import ResultCollector
from pymailsuite.policy.dmarc.reports.failures import FailureCollector
from pymailsuite.policy.organizational import domain_of

_REFUSED: Final = "5.7.1"
_LATER: Final = "4.7.1"


def domains_with(word: str, results: tuple[MethodResult, ...], method: str, key: str) -> tuple[str, ...]:
    """The domains under property ``key`` of those results of a method that are ``word``."""
    found = [dict(one.properties).get(key, "") for one in results if one.method == method and one.result == word]
    return tuple(dict.fromkeys(filter(None, map(domain_of, found)))) if found else ()


_Domains = tuple[str, ...]
_Checked = tuple[_Domains, _Domains, _Domains, _Domains, _Domains]
"""Of the authors; for which SPF has passed (one at most), and DKIM; for which these could not be checked, in turn."""


class DmarcPolicy(Policy):
    """``draw`` is chance: from 0 up to 1. What holds for a domain's mail whatever chance says is remembered for as long
    as the answers of DNS hold that it rests on."""

    name = "dmarc"
    after = ("spf", "dkim", "arc")

    def __init__(
        self,
        settings: DmarcSettings,
        resolver: IResolver,
        clock: IReactorTime,
        draw: Callable[[], float] = random,
        note: Callable[[MailTransaction, DmarcResult], None] | None = None,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._clock = clock
        self._draw = draw
        self._note = note
        # As the operator may write them: in capitals, in U-labels.
        self._wanted = {comparable_domain(domain): what for domain, what in settings.overrides.items()}
        self._trusted_sealers = frozenset(map(comparable_domain, settings.trusted_sealers))
        self._mailing_lists = frozenset(map(comparable_domain, settings.mailing_lists))
        self._remembered: ExpiringMemory[_Checked, tuple[DmarcResult, Verdict]] = ExpiringMemory(
            clock, settings.remembered
        )

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """The verdict on a message that has come in whole."""
        if transaction.message is None:
            return super().message(transaction)
        return start_coroutine(self._message(transaction, transaction.message))

    async def _message(self, transaction: MailTransaction, message: ReceivedMessage) -> Verdict:
        settings = self._settings
        author = author_of(message.header)
        if author.problem:
            return _verdict_without_author(author, settings)
        spf, dkim, arc = (
            transaction.verdicts[name].results if name in transaction.verdicts else () for name in self.after
        )
        spf_key = "smtp.helo" if transaction.reverse_path is None else "smtp.mailfrom"
        spf_domains = domains_with("pass", spf, "spf", spf_key)
        dkim_domains = domains_with("pass", dkim, "dkim", "header.d")
        unsure_spf = domains_with("temperror", spf, "spf", spf_key)
        unsure_dkim = domains_with("temperror", dkim, "dkim", "header.d")
        checked = (author.domains, spf_domains[:1], dkim_domains, unsure_spf[:1], unsure_dkim)
        known = self._remembered.get(checked)
        result, verdict = (await self._evaluate(checked), None) if known is None else known
        if result.result == "fail" and result.disposition is not Disposition.NONE:
            sealed = any(found.method == "arc" and found.result == "pass" for found in arc)
            result = self._overridden(transaction, message, result, (*spf_domains, *dkim_domains), sealed)
        if self._note is not None:
            self._note(transaction, result)
        verdict = verdict or self._verdict(result)
        if settings.bimi:
            verdict = evolve(
                verdict, results=(*verdict.results, *await bimi_result(self._resolver, result, message.header))
            )
        return verdict

    async def _evaluate(self, checked: _Checked) -> DmarcResult:
        settings = self._settings
        authors, spf, dkim, unsure_spf, unsure_dkim = checked
        discovery = Discovery(self._resolver, settings.organizational == "tree_walk")
        result = await evaluate(
            authors,
            "".join(spf),
            dkim,
            discovery,
            unsure_spf="".join(unsure_spf),
            unsure_dkim=unsure_dkim,
            sample=self._draw() * 100,
            honour_pct=settings.honour_pct,
        )
        if result.result in ("pass", "none"):
            known = (result, self._verdict(result))
            self._remembered.put(checked, known, discovery.good_for_s)
        return result

    def _overridden(
        self,
        transaction: MailTransaction,
        message: ReceivedMessage,
        result: DmarcResult,
        verified: tuple[str, ...],
        sealed: bool,
    ) -> DmarcResult:
        settings = self._settings
        for domain, disposition in self._wanted.items():
            if is_below(result.author_domain, (domain,)):
                return result.overridden(Override("local_policy", "by configuration"), Disposition(disposition))
        if settings.trusted_forwarders:
            address = ip_address(transaction.peer.ip)
            if any(address in network for network in settings.trusted_forwarders):
                return result.overridden(Override("trusted_forwarder", "by configuration"))
        if self._trusted_sealers and sealed:
            override = sealed_override(message.header, self._trusted_sealers, result.author_domain)
            if override is not None:
                return result.overridden(override)
        for domain in verified:
            if is_below(domain, self._mailing_lists):
                return result.overridden(Override("mailing_list", domain))
        return result

    def _verdict(self, result: DmarcResult) -> Verdict:
        verdict = Verdict(reason=_reason(result), evidence=evidence_of(result), results=(result.method_result(),))
        domain = result.author_domain
        if result.result == "temperror" and self._settings.on_failure == "tempfail":
            text = f"Mail from {domain} cannot be checked at the moment (DMARC); please try again later"
            return evolve(verdict, action=Action.TEMPFAIL, reply=PolicyReply(451, _LATER, text))
        quarantine = result.disposition is Disposition.QUARANTINE
        if result.disposition is Disposition.REJECT or (quarantine and self._settings.quarantine == "reject"):
            text = f"Refused by the DMARC policy of {domain}: neither SPF nor DKIM has passed for that domain"
            return evolve(verdict, action=Action.REJECT, reply=PolicyReply(550, _REFUSED, text))
        if not quarantine:
            return verdict
        disposal = Disposal.JUNK if self._settings.quarantine == "junk" else None
        return evolve(verdict, action=Action.TAG, disposal=disposal)


def evidence_of(result: DmarcResult) -> Mapping[str, object]:
    """The evidence of a verdict: the published policy, the aligned domains, and the result."""
    published = result.published
    return {
        "result": result.result,
        "domain": result.author_domain,
        "record_domain": published.domain if published is not None else "",
        "record": published.record.text if published is not None else "",
        "policy": result.policy.value if result.policy is not None else "",
        "disposition": result.disposition.value,
        "aligned_spf": result.aligned_spf,
        "aligned_dkim": result.aligned_dkim,
        "overrides": [{"type": override.kind, "comment": override.comment} for override in result.overrides],
    }


def _reason(result: DmarcResult) -> str:
    words = [f"dmarc={result.result} for {result.author_domain}"]
    if result.policy is not None:
        words.append(f"policy {result.policy.value}, disposition {result.disposition.value}")
    words.extend(f"{override.kind} ({override.comment})" for override in result.overrides)
    return "; ".join(words)


def _verdict_without_author(author: Author, settings: DmarcSettings) -> Verdict:
    what: WhatToDo = settings.several_authors if author.malformed else settings.no_author
    result = MethodResult("dmarc", "permerror" if author.malformed else "none", author.problem)
    verdict = Verdict(reason=author.problem, evidence={"result": result.result, "problem": author.problem})
    verdict = evolve(verdict, results=(result,))
    if what == "reject":
        text = f"Refused: it cannot be told whose message this is ({author.problem})"
        return evolve(verdict, action=Action.REJECT, reply=PolicyReply(550, _REFUSED, text))
    return evolve(verdict, action=Action.TAG) if what == "tag" else verdict


def make_policy(context: PolicyContext) -> DmarcPolicy:
    """For the chain."""
    settings: DmarcSettings = context.section
    notes: list[Callable[[MailTransaction, DmarcResult], None]] = []
    if settings.reports:
        tree_walk = settings.organizational == "tree_walk"
        notes.append(ResultCollector(context.needs(IDmarcStore), settings.report_from, tree_walk, context.clock).note)
    if settings.failure_reports:
        notes.append(FailureCollector(settings, context.needs(IFailureStore), context.clock).note)

    def note(transaction: MailTransaction, result: DmarcResult) -> None:
        for each in notes:
            each(transaction, result)

    return DmarcPolicy(settings, context.resolver, context.clock, context.chance, note if notes else None)
