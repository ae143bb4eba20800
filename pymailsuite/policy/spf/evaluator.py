"""check_host(): whether a domain permits a host to send for it. Source: RFC 7208 §4 to §6.

checker = SpfChecker(SpfSettings(), resolver, reactor)
evaluation = await checker.check(Query.of_mail_from("192.0.2.1", "joe@example.org", "mx.example.org"))
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import idna
from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver, MxRecord
from pymailsuite.policy.spf.client_names import ClientNames
from pymailsuite.policy.spf.explanation import explain
from pymailsuite.policy.spf.look_ups import LimitExceeded, LookUps, is_name
from pymailsuite.policy.spf.macros import MacroString, macro_values, target_name
from pymailsuite.policy.spf.record import Mechanism, Record, RecordError, is_spf_record, network_mask, read_record
from pymailsuite.policy.spf.values import Evaluation, Query, Result, Step

MX_NAMES_MAX: Final = 10
"""Hosts an ``mx`` may name; more is permerror. Source: RFC 7208 §4.6.4."""


class _BrokenPolicy(Exception):
    """What a domain publishes cannot be followed: permerror."""


@frozen
class _Decision:
    """A result, the directive it rests on, and the record and domain it came from."""

    result: Result
    mechanism: str
    domain: str
    record: Record | None = None


@lru_cache(maxsize=4096)
def _number(address: str) -> int:
    """An IP address as a number: the same few stand in the records of a domain, message for message."""
    return int(ip_address(address))


class SpfChecker:
    """Evaluates SPF with one set of limits. It remembers nothing but parsed records; answers are the resolver's."""

    def __init__(self, settings: SpfSettings, resolver: IResolver, clock: IReactorTime) -> None:
        self._settings = settings
        self._resolver = resolver
        self._clock = clock

    def check(self, query: Query, now: float | None = None) -> Deferred[Evaluation]:
        """The evaluation of ``query``; it never fails for anything a domain or a name server does.

        ``now`` is for ``%{t}``, POSIX seconds; the clock's if None.
        """
        moment = self._clock.seconds() if now is None else now
        run = _Run(query, self._settings, self._resolver, moment)
        evaluated = Deferred.fromCoroutine(run.evaluate())
        if not evaluated.called:
            evaluated.addTimeout(self._settings.timeout, self._clock)
            evaluated.addErrback(self._too_late, run)
        return evaluated

    def _too_late(self, failure: Failure, run: _Run) -> Evaluation:
        failure.trap(DeferredTimeout)
        return run.evaluation(Result.TEMPERROR, f"not done within {self._settings.timeout:g} s")


class _Run:
    """One evaluation, with what it has used up of the limits."""

    def __init__(self, query: Query, settings: SpfSettings, resolver: IResolver, now: float) -> None:
        self._query = query
        self._settings = settings
        self._now = now
        self._address = int(query.ip)
        self._network_kind = "ip4" if query.ip.version == 4 else "ip6"
        self._address_kind = "a" if query.ip.version == 4 else "aaaa"
        self._look_ups = LookUps(resolver, settings.void_look_ups)
        self._names = ClientNames(query.ip, self._look_ups)
        self._terms = 0
        # Whether another sender of the same domain might get another result.
        self._is_particular = not query.local_part.isascii()
        self._trace: list[Step] = []

    async def evaluate(self) -> Evaluation:
        """check_host() of RFC 7208 §4.1, and the explanation of a fail."""
        try:
            decision = await self._check_host(self._query.domain)
        except DnsFailure as failure:
            self._note(self._query.domain, "", "failed")
            return self.evaluation(Result.TEMPERROR, failure.cause or failure.public)
        except (_BrokenPolicy, LimitExceeded) as error:
            self._note(self._query.domain, "", str(error))
            return self.evaluation(Result.PERMERROR, str(error))
        if decision.result is not Result.FAIL:
            return self.evaluation(decision.result, _reason(decision, self._query), decision.mechanism)
        explanation = None
        if decision.record is not None and decision.record.explanation is not None:
            spec = decision.record.explanation
            explanation = await explain(spec, self._query, decision.domain, self._look_ups, self._names, self._now)
            self._note(
                decision.domain, f"exp={spec.text}", "explained" if explanation is not None else "no explanation"
            )
        return self.evaluation(Result.FAIL, _reason(decision, self._query), decision.mechanism, explanation)

    def evaluation(
        self, result: Result, reason: str, mechanism: str = "", explanation: str | None = None
    ) -> Evaluation:
        """What was found, with all that was asked so far."""
        is_own = result is Result.FAIL and explanation is None
        text = self._settings.explanation if is_own else explanation or ""
        ttl_s = self._look_ups.ttl_s
        is_general = not self._is_particular and explanation is None and math.isfinite(ttl_s)
        return Evaluation(
            self._query, result, reason, mechanism, text, is_own, tuple(self._trace), ttl_s if is_general else 0.0
        )

    def _note(self, domain: str, term: str, outcome: str) -> None:
        self._trace.append(Step(domain, term, outcome, self._look_ups.taken()))

    async def _check_host(self, name: str) -> _Decision:
        """Follows redirects; ``include`` comes back here. Source: RFC 7208 §4.3 to §4.7 and §6.1."""
        domain = _a_labels(name)
        record = await self._record(domain) if domain is not None else None
        if domain is None or record is None:
            return _Decision(Result.NONE, "", name)
        while True:
            for mechanism in record.mechanisms:
                kind = mechanism.name
                if kind in ("ip4", "ip6"):
                    # Most terms of most records, so without a further call.
                    matches = kind == self._network_kind and self._address & mechanism.mask == mechanism.network
                else:
                    matches = kind == "all" or await self._matches(mechanism, domain)
                self._trace.append(
                    Step(domain, mechanism.text, "matches" if matches else "does not match", self._look_ups.taken())
                )
                if matches:
                    return _Decision(mechanism.result, mechanism.text, domain, record)
            if record.redirect is None or self._is_beyond_ascii(record.redirect):
                return _Decision(Result.NEUTRAL, "default", domain, record)
            self._count_term()
            target = await self._target(record.redirect, domain)
            redirected = _a_labels(target)
            found = await self._record(redirected) if redirected is not None else None
            if redirected is None or found is None:
                raise _BrokenPolicy(f"redirect={record.redirect.text} of {domain} leads to no record")
            domain, record = redirected, found

    async def _record(self, domain: str) -> Record | None:
        """The one record of a domain, None if it has none. Source: RFC 7208 §4.4 and §4.5."""
        texts = await self._look_ups.records("txt", domain, may_be_void=True)
        policies = [text for text in texts if is_spf_record(text)]
        self._note(domain, "", policies[0].decode("ascii", "backslashreplace") if policies else "no record")
        if not policies:
            return None
        if len(policies) > 1:
            raise _BrokenPolicy(f"{domain} has {len(policies)} SPF records")
        record = read_record(policies[0])
        if isinstance(record, RecordError):
            raise _BrokenPolicy(f"{domain}: {record}")
        return record

    def _count_term(self) -> None:
        self._terms += 1
        if self._terms > self._settings.look_ups:
            raise LimitExceeded(f"more than {self._settings.look_ups} terms that need look-ups")

    async def _matches(self, mechanism: Mechanism, domain: str) -> bool:
        """Whether a mechanism that needs look-ups matches. Source: RFC 7208 §5.2 to §5.5 and §5.7."""
        self._count_term()
        if mechanism.target is not None and self._is_beyond_ascii(mechanism.target):
            return False
        target = await self._target(mechanism.target, domain)
        match mechanism.name:
            case "include":
                return await self._includes(mechanism, target)
            case "a":
                return await self._has_address(target, mechanism)
            case "mx":
                return await self._has_exchange(target, mechanism)
            case "ptr":
                return await self._names.has_one_below(target)
            case _:
                return bool(await self._look_ups.records("a", target))

    def _is_beyond_ascii(self, target: MacroString) -> bool:
        """A term with such a local part in it matches nothing. Source: RFC 8616 §4."""
        return not self._query.local_part.isascii() and not target.letters.isdisjoint("sl")

    async def _target(self, spec: MacroString | None, domain: str) -> str:
        """The target name of a term. Source: RFC 7208 §4.8."""
        if spec is None:
            return domain
        if not spec.letters:
            return target_name(spec.expand({}))
        if not spec.letters.isdisjoint("sl"):
            self._is_particular = True
        best = await self._names.best(domain) if "p" in spec.letters else "unknown"
        return target_name(spec.expand(macro_values(self._query, domain, best)))

    async def _includes(self, mechanism: Mechanism, target: str) -> bool:
        """Source: RFC 7208 §5.2, the table of results; errors come through as they are."""
        decision = await self._check_host(target)
        if decision.result is Result.NONE:
            raise _BrokenPolicy(f"{mechanism.text}: {target} has no SPF record")
        return decision.result is Result.PASS

    async def _has_address(self, name: str, mechanism: Mechanism) -> bool:
        return self._is_among(await self._look_ups.records(self._address_kind, name), mechanism)

    def _is_among(self, addresses: Iterable[str], mechanism: Mechanism) -> bool:
        if self._query.ip.version == 4:
            mask = network_mask(mechanism.prefix4, 32)
        else:
            mask = network_mask(mechanism.prefix6, 128)
        wanted = self._address & mask
        return any(_number(address) & mask == wanted for address in addresses)

    async def _has_exchange(self, name: str, mechanism: Mechanism) -> bool:
        """Source: RFC 7208 §5.4; a null MX (RFC 7505) is no host.

        DNS gives hosts in any order, and what comes out must not depend on it: one that fails or has no address
        counts only if none of them matches, and the term counts for one void look-up at most (§4.6.4).
        """
        exchanges: tuple[MxRecord, ...] = await self._look_ups.records("mx", name)
        if len(exchanges) > MX_NAMES_MAX:
            raise LimitExceeded(f"{mechanism.text}: more than {MX_NAMES_MAX} MX records")
        failure: DnsFailure | None = None
        is_void = False
        for host in [record.exchange for record in exchanges if record.exchange]:
            try:
                addresses = await self._look_ups.records(self._address_kind, host, may_be_void=True)
            except DnsFailure as error:
                failure = failure or error
                continue
            if self._is_among(addresses, mechanism):
                return True
            is_void = is_void or (not addresses and is_name(host))
        if failure is not None:
            raise failure
        if is_void:
            self._look_ups.count_void()
        return False


def _a_labels(domain: str) -> str | None:
    """A domain check_host() goes on with, in A-labels and without its final dot; None for what is malformed or has one
    label only, an address literal included. Source: RFC 7208 §4.3."""
    name = domain.removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    return name if "." in name and not name.startswith("[") and is_name(name) else None


def _reason(decision: _Decision, query: Query) -> str:
    match decision.result:
        case Result.NONE:
            return f"{decision.domain or 'the empty name'} has no SPF record"
        case Result.PASS:
            return f"{decision.domain} permits {query.ip}: {decision.mechanism}"
        case Result.FAIL:
            return f"{decision.domain} does not permit {query.ip}: {decision.mechanism}"
        case Result.SOFTFAIL:
            return f"{decision.domain} probably does not permit {query.ip}: {decision.mechanism}"
        case _:
            return f"{decision.domain} says nothing about {query.ip}: {decision.mechanism}"
