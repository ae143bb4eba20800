"""The policy ``spf``: asks about HELO and MAIL FROM when the sender is known, and says what follows. RFC 7208 §8.

Refusals carry the codes of RFC 7372: X.7.23 for fail, X.7.24 for what could not be evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.dns.gather import gather_all
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Verdict
from pymailsuite.memory import ExpiringMemory
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.coroutines import start_coroutine
from pymailsuite.policy.spf.evaluator import SpfChecker
from pymailsuite.policy.spf.facts import as_facts, method_result
from pymailsuite.policy.spf.received_spf import received_spf_field
from pymailsuite.policy.spf.values import Evaluation, Identity, Query, Result

STEPS_KEPT: Final = 50
"""Steps of an evaluation that are kept as evidence."""

_BUDGET_SHARE: Final = 0.9
"""An evaluation ends before the chain gives it up, so that a slow name server is a temperror and not no opinion."""

_NOT_HARMLESS = re.compile(r"[^\x20-\x7e]+")
_CHECKED: Final = {Identity.HELO: "HELO", Identity.MAIL_FROM: "MAIL FROM"}


@frozen(eq=False)
class _Found:
    """What is known of a client and a sender's domain: the evaluation that counts, that of HELO beside it, and both as
    evidence."""

    evaluation: Evaluation
    helo: Evaluation | None
    evidence: Mapping[str, object]

    @classmethod
    def of(cls, evaluation: Evaluation, helo: Evaluation | None = None) -> _Found:
        """``evaluation`` is the sender's; with the null path it is that of HELO, and the only one."""
        evidence = as_facts(evaluation, STEPS_KEPT)
        if helo is not None:
            evidence["helo"] = as_facts(helo, STEPS_KEPT)
        return cls(evaluation, helo, evidence)

    @property
    def good_for_s(self) -> float:
        """How long it holds for all senders of the domain."""
        ours = self.evaluation.good_for_s
        return ours if self.helo is None else min(ours, self.helo.good_for_s)

    def for_sender(self, local_part: str | None) -> Evaluation:
        """The evaluation of another sender of the domain; None: it is that of HELO."""
        evaluation = self.evaluation
        if local_part is None or local_part == evaluation.query.local_part:
            return evaluation
        return evolve(evaluation, query=evolve(evaluation.query, local_part=local_part or "postmaster"))


_Subject = tuple[str, str, str | None]
"""The client's address, the name it said, and the sender's domain."""


class SpfPolicy(Policy):
    """``receiver`` is our own name, as explanations and Received-SPF show it."""

    name = "spf"

    def __init__(self, settings: SpfSettings, resolver: IResolver, clock: IReactorTime, receiver: str) -> None:
        self._settings = settings
        self._checker = SpfChecker(settings, resolver, clock)
        self._clock = clock
        self._receiver = receiver
        self._remembered: ExpiringMemory[_Subject, _Found] = ExpiringMemory(clock, settings.remembered)
        # Who has sent once sends again, with the same verdict as long as the same is known of the domain.
        self._verdict_of = lru_cache(maxsize=settings.remembered)(self._verdict)

    def mail(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """HELO waits for this stage: before it a user on this port may still log in."""
        peer, sender = transaction.peer, transaction.reverse_path
        if not peer.ip:
            return succeed(NO_OPINION)
        if sender is None or sender.local_part.isascii():
            subject = (peer.ip, peer.helo, sender.domain if sender is not None else None)
            known = self._remembered.get(subject)
            if known is not None:
                return succeed(self._verdict_of(known, None if sender is None else sender.local_part))
        looked_up = start_coroutine(self._look_up(transaction))
        return looked_up.addErrback(self._called_off, transaction).addCallback(self._noted, transaction)

    def _called_off(self, failure: Failure, transaction: MailTransaction) -> _Found:
        """There was no time for it: that is a temperror, whoever has used up the time."""
        failure.trap(CancelledError)
        peer, sender = transaction.peer, transaction.reverse_path
        address = "" if sender is None else f"{sender.local_part}@{sender.domain}"
        query = Query.of_mail_from(peer.ip, address, peer.helo, self._receiver)
        return _Found.of(Evaluation(query, Result.TEMPERROR, "not done in time"))

    def _noted(self, found: _Found, transaction: MailTransaction) -> Verdict:
        peer, sender = transaction.peer, transaction.reverse_path
        subject = (peer.ip, peer.helo, sender.domain if sender is not None else None)
        self._remembered.put(subject, found, found.good_for_s)
        return self._verdict(found, None if sender is None else sender.local_part)

    async def _look_up(self, transaction: MailTransaction) -> _Found:
        peer, sender = transaction.peer, transaction.reverse_path
        greeting = Query.of_helo(peer.ip, peer.helo, self._receiver)
        if sender is None:
            return _Found.of(await self._checker.check(greeting))
        query = evolve(
            greeting,
            domain=sender.domain,
            local_part=sender.local_part or "postmaster",
            sender_domain=sender.domain,
            identity=Identity.MAIL_FROM,
        )
        queries = [query] if self._settings.helo == "off" else [greeting, query]
        *helos, evaluation = await gather_all(map(self._checker.check, queries))
        return _Found.of(evaluation, helos[0] if helos else None)

    def _verdict(self, found: _Found, local_part: str | None) -> Verdict:
        settings = self._settings
        evaluation, helo = found.for_sender(local_part), found.helo
        evaluations = [evaluation] if helo is None else [helo, evaluation]
        fields = (received_spf_field(evaluation, self._receiver),) if settings.received_spf else ()
        verdict = Verdict(
            Action.PASS,
            evaluation.reason,
            evidence=found.evidence,
            results=tuple(map(method_result, evaluations)),
            fields=fields,
        )
        if helo is not None and helo.result is Result.FAIL and settings.helo == "reject":
            return evolve(
                verdict, action=Action.REJECT, reason=helo.reason, score=settings.fail_score, reply=self._failed(helo)
            )
        return self._weighed(verdict, evaluation)

    def _weighed(self, verdict: Verdict, evaluation: Evaluation) -> Verdict:
        settings = self._settings
        match evaluation.result:
            case Result.PASS:
                return verdict
            case Result.FAIL if settings.fail == "reject":
                reply = self._failed(evaluation)
                return evolve(verdict, action=Action.REJECT, score=settings.fail_score, reply=reply)
            case Result.PERMERROR if settings.permerror == "reject":
                text = f"SPF record of {evaluation.query.domain} is broken: {evaluation.reason}"
                reply = PolicyReply(550, "5.7.24", self._harmless(text))
                return evolve(verdict, action=Action.REJECT, score=settings.permerror_score, reply=reply)
            case Result.TEMPERROR if settings.temperror == "tempfail":
                text = f"SPF of {evaluation.query.domain} cannot be looked up now, try again later"
                return evolve(verdict, action=Action.TEMPFAIL, reply=PolicyReply(451, "4.7.24", self._harmless(text)))
        score = {
            Result.FAIL: settings.fail_score,
            Result.SOFTFAIL: settings.softfail_score,
            Result.NEUTRAL: settings.neutral_score,
            Result.NONE: settings.none_score,
            Result.PERMERROR: settings.permerror_score,
        }.get(evaluation.result, 0.0)
        return evolve(verdict, action=Action.SCORE, score=score) if score else verdict

    def _failed(self, evaluation: Evaluation) -> PolicyReply:
        """With what the domain explains, told as its words. Source: RFC 7208 §8.4, RFC 7372 §3.2."""
        query = evaluation.query
        start = f"SPF {_CHECKED[query.identity]} check failed"
        if evaluation.is_own_explanation:
            text = f"{start} for {query.domain}: {evaluation.explanation}"
        else:
            text = f"{start}: {query.domain} explains: {evaluation.explanation}"
        return PolicyReply(550, "5.7.23", self._harmless(text))

    def _harmless(self, text: str) -> str:
        """As one line of a reply: foreign text can neither end it nor make it too long."""
        return _NOT_HARMLESS.sub("?", text)[: self._settings.explanation_max]


def make_policy(context: PolicyContext) -> SpfPolicy:
    """The policy as the chain wants it."""
    settings: SpfSettings = context.section
    timeout_s = min(settings.timeout, context.settings.policy.budget * _BUDGET_SHARE)
    limited = settings.model_copy(update={"timeout": timeout_s})
    return SpfPolicy(limited, context.resolver, context.clock, context.hostname)
