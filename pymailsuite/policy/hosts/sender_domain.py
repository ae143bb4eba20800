"""The policy ``sender_domain``: whether mail can be sent back to the sender. Source: RFC 5321 §5.1, RFC 7505.

Refusals carry X.1.8 of RFC 3463, and X.7.27 of RFC 7505 §4.2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.hosts import SenderDomainSettings
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.promptly import promptly

_BUDGET_SHARE: Final = 0.9
"""The look-ups end before the chain gives them up, so that a slow name server is an answer and not no opinion."""

_NO_DOMAIN: Final = PolicyReply(550, "5.1.8", "Sender address must have a domain")
_LITERAL: Final = PolicyReply(550, "5.1.8", "Sender at an address literal")
_LOCALHOST: Final = PolicyReply(550, "5.1.8", "Sender at localhost cannot be answered")
_NO_SUCH_DOMAIN: Final = PolicyReply(550, "5.1.8", "Sender domain does not exist")
_NULL_MX: Final = PolicyReply(550, "5.7.27", "Sender domain does not take mail")
_UNKNOWN_YET: Final = PolicyReply(451, "4.1.8", "Sender domain cannot be looked up now")


class SenderDomainPolicy(Policy):
    """``own_domains`` are not looked up; look-ups take ``budget_s`` together at most."""

    name = "sender_domain"

    def __init__(
        self,
        settings: SenderDomainSettings,
        resolver: IResolver,
        own_domains: Collection[str],
        budget_s: float,
        clock: IReactorTime,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._own_domains = frozenset(domain.lower() for domain in own_domains)
        self._budget_s = budget_s
        self._clock = clock

    def mail(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """The null path is for bounces, and has no domain."""
        sender = transaction.reverse_path
        if sender is None or sender.domain.lower() in self._own_domains:
            return succeed(NO_OPINION)
        domain = sender.domain.lower()
        objection = self._formal_objection(domain)
        if objection is not None:
            return succeed(_refused(domain, objection))
        if domain.startswith("["):
            return succeed(NO_OPINION)
        looked_up: Deferred[Verdict] = self._resolver.mx(domain).addCallback(self._judge, domain)
        if not looked_up.called:
            looked_up.addTimeout(self._budget_s, self._clock)
        return looked_up.addErrback(
            lambda failure: (
                failure.trap(DnsFailure, TimeoutError, CancelledError) and _unknown(domain, failure.getErrorMessage())
            )
        )

    def _formal_objection(self, domain: str) -> PolicyReply | None:
        if domain.startswith("["):
            return None if self._settings.allow_address_literals else _LITERAL
        if domain in ("localhost", "localhost.localdomain") or domain.endswith(".localhost"):
            return _LOCALHOST
        return _NO_DOMAIN if _is_address(domain) else None

    def _judge(self, answer: Answer, domain: str) -> Verdict | Deferred[Verdict]:
        if answer.records:
            exchanges = [record.exchange for record in answer.records]
            if any(exchanges) or self._settings.allow_null_mx:
                return NO_OPINION
            return _refused(domain, _NULL_MX)
        return promptly(self._look_up_addresses(domain)) if answer.exists else _refused(domain, _NO_SUCH_DOMAIN)

    async def _look_up_addresses(self, domain: str) -> Verdict:
        for look_up in (self._resolver.a, self._resolver.aaaa):
            if (await look_up(domain)).records:
                return NO_OPINION
        return _refused(domain, _NO_SUCH_DOMAIN)


@lru_cache(maxsize=1024)
def _is_address(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        return False
    return True


def _refused(domain: str, reply: PolicyReply) -> Verdict:
    return Verdict(Action.REJECT, f"{domain}: {reply.text}", reply=reply, evidence={"domain": domain})


def _unknown(domain: str, cause: str) -> Verdict:
    evidence = {"domain": domain, "cause": cause}
    return Verdict(Action.TEMPFAIL, f"{domain}: {_UNKNOWN_YET.text}", reply=_UNKNOWN_YET, evidence=evidence)


def make_policy(context: PolicyContext) -> SenderDomainPolicy:
    """For the plugin."""
    settings = context.settings
    budget_s = settings.policy.budget * _BUDGET_SHARE
    return SenderDomainPolicy(context.section, context.resolver, settings.server.domains, budget_s, context.clock)
