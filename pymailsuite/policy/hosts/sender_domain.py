"""The policy ``sender_domain``: whether mail can be sent back to the sender. Source: RFC 5321 §5.1, RFC 7505.

Refusals carry X.1.8 of RFC 3463, and X.7.27 of RFC 7505 §4.2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.hosts import SenderDomainSettings
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.names import address_of_literal, comparable_domain
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.coroutines import start_coroutine

_BUDGET_SHARE: Final = 0.9
"""The look-ups end before the chain gives them up, so that a slow name server is an answer and not no opinion."""

_PREFERENCE: Final = attrgetter("preference")
_EXCHANGES_MAX: Final = 4
"""Hosts of a domain whose addresses are looked at."""

_NO_DOMAIN: Final = PolicyReply(550, "5.1.8", "Sender address must have a domain")
_LITERAL: Final = PolicyReply(550, "5.1.8", "Sender at an address literal")
_LOCALHOST: Final = PolicyReply(550, "5.1.8", "Sender at localhost cannot be answered")
_NO_SUCH_DOMAIN: Final = PolicyReply(550, "5.1.8", "Sender domain does not exist")
_NOWHERE: Final = PolicyReply(550, "5.1.8", "Sender domain leads to no host that could be answered")
_NULL_MX: Final = PolicyReply(550, "5.7.27", "Sender domain does not take mail")
_UNKNOWN_YET: Final = PolicyReply(451, "4.1.8", "Sender domain cannot be looked up now")


class SenderDomainPolicy(Policy):
    """``own_domains`` are not looked up; look-ups take ``budget_s`` together at most. A domain all of whose addresses
    the address filter objects to could not be answered."""

    name = "sender_domain"

    def __init__(
        self,
        settings: SenderDomainSettings,
        resolver: IResolver,
        own_domains: Collection[str],
        budget_s: float,
        clock: IReactorTime,
        address_filter: AddressFilter | None = None,
    ) -> None:
        self._address_filter = address_filter or AddressFilter()
        self._settings = settings
        self._resolver = resolver
        self._own_domains = frozenset(map(comparable_domain, own_domains))
        self._budget_s = budget_s
        self._clock = clock

    def mail(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """The null path is for bounces, and has no domain."""
        sender = transaction.reverse_path
        if sender is None or comparable_domain(sender.domain) in self._own_domains:
            return succeed(NO_OPINION)
        domain = sender.domain.lower()
        is_literal = domain[:1] == "["
        objection = self._objection_to_literal(domain) if is_literal else _formal_objection(domain)
        if objection is not None:
            return succeed(_refused(domain, objection))
        if is_literal:
            return succeed(NO_OPINION)
        looked_up: Deferred[Verdict] = start_coroutine(self._look_up(domain))
        if not looked_up.called:
            looked_up.addTimeout(self._budget_s, self._clock)
        return looked_up.addErrback(
            lambda failure: (
                failure.trap(DnsFailure, TimeoutError, CancelledError) and _unknown(domain, failure.getErrorMessage())
            )
        )

    def _objection_to_literal(self, domain: str) -> PolicyReply | None:
        if not self._settings.allow_address_literals:
            return _LITERAL
        ip = address_of_literal(domain)
        return _NOWHERE if ip is None or self._address_filter.objection(ip) else None

    async def _look_up(self, domain: str) -> Verdict:
        answer: Answer = await self._resolver.mx(domain)
        if not answer.exists:
            return _refused(domain, _NO_SUCH_DOMAIN)
        if answer.records:
            exchanges = [record.exchange for record in sorted(answer.records, key=_PREFERENCE) if record.exchange]
            if exchanges:
                return await self._judge_exchanges(domain, exchanges[:_EXCHANGES_MAX])
            return NO_OPINION if self._settings.allow_null_mx else _refused(domain, _NULL_MX)
        exists, good = await self._addresses(domain)
        if not exists:
            return _refused(domain, _NO_SUCH_DOMAIN)
        return NO_OPINION if good else _refused(domain, _NOWHERE)

    async def _judge_exchanges(self, domain: str, exchanges: Sequence[str]) -> Verdict:
        """Most often the first one will do. One that cannot be looked up in time, or has no address yet, tells
        nothing."""
        for exchange in exchanges:
            try:
                exist, good = await self._addresses(exchange)
            except (DnsFailure, CancelledError):
                return NO_OPINION
            if good or not exist:
                return NO_OPINION
        return _refused(domain, _NOWHERE)

    async def _addresses(self, host: str) -> tuple[bool, bool]:
        """Whether there are any, and whether any of them is good. Those of one version are enough if there is a good
        one among them. Some write an address where the name of a host belongs, or the name that every host has for
        itself."""
        literal = "127.0.0.1" if _is_localhost(host) else address_of_literal(host)
        if literal is not None:
            return True, self._is_any_good((literal,))
        ipv4: Answer = await self._resolver.a(host)
        if self._is_any_good(ipv4.records):
            return True, True
        ipv6: Answer = await self._resolver.aaaa(host)
        return bool(ipv4.records or ipv6.records), self._is_any_good(ipv6.records)

    def _is_any_good(self, addresses: Sequence[str]) -> bool:
        return not all(map(self._address_filter.objection, addresses))


def _formal_objection(domain: str) -> PolicyReply | None:
    if _is_localhost(domain):
        return _LOCALHOST
    return _NO_DOMAIN if _is_address(domain) else None


def _is_localhost(name: str) -> bool:
    return "localhost" in name and (name in ("localhost", "localhost.localdomain") or name.endswith(".localhost"))


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
    address_filter = AddressFilter(settings.outgoing)
    return SenderDomainPolicy(
        context.section, context.resolver, settings.server.domains, budget_s, context.clock, address_filter
    )
