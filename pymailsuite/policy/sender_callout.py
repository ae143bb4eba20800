"""The policy ``sender_callout``: whether the sender's own host would take a bounce to it.

It asks at DATA, when all other checks of client, sender and recipients are complete: there is no callout for a sender
that is refused anyhow, or known to be good.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.sender_callout import SenderCalloutSettings
from pymailsuite.dns.names import comparable_domain
from pymailsuite.interfaces.policy import (
    Action,
    Effect,
    IRecipientProbe,
    MailTransaction,
    PolicyContext,
    PolicyReply,
    ProbeAnswer,
    ProbeResult,
    Verdict,
)
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.values import Address

log = Logger()

_SETTLED: Final = (Effect.ACCEPT, Effect.REJECT, Effect.TEMPFAIL)
_NO_ANSWER: Final = ProbeAnswer(ProbeResult.UNKNOWN, "no answer in time")
_TOO_MANY: Final = ProbeAnswer(ProbeResult.UNKNOWN, "too many questions at a time")


_Sender = tuple[str, str]
"""Domain, in the form in which it is compared, and local part."""


class SenderCalloutPolicy(Policy):
    """``own_domains`` are not asked about; without a ``probe`` no host is asked.

    Answers are remembered, and those who wait for the same one share it.
    """

    name = "sender_callout"
    after = ("greylist",)

    def __init__(
        self,
        settings: SenderCalloutSettings,
        probe: IRecipientProbe | None,
        own_domains: Collection[str],
        clock: IReactorTime,
    ) -> None:
        self._settings = settings
        self._probe = probe
        self._own_domains = frozenset(map(comparable_domain, own_domains))
        self._clock = clock
        self._known = _Known(settings.cache_entries, settings.domain_entries)
        self._asked: dict[_Sender, list[Deferred[ProbeAnswer]]] = {}

    def data(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """The null sender cannot be answered, and needs no answer."""
        sender = transaction.reverse_path
        if self._probe is None or sender is None or not self._is_elsewhere(comparable_domain(sender.domain)):
            return succeed(NO_OPINION)
        objected = any(v.action in (Action.REJECT, Action.TEMPFAIL) for v in transaction.verdicts.values())
        if objected or any(applied.effect in _SETTLED for applied in transaction.applied_verdicts):
            return succeed(NO_OPINION)
        return self._answer(sender, self._probe).addCallback(_verdict, sender)

    def _is_elsewhere(self, domain: str) -> bool:
        return not domain.startswith("[") and domain not in self._own_domains

    def _answer(self, sender: Address, probe: IRecipientProbe) -> Deferred[ProbeAnswer]:
        key = comparable_domain(sender.domain), sender.local_part
        known = self._known.get(key, self._clock.seconds())
        if known is not None:
            return succeed(known)
        waiting = self._asked.get(key)
        if waiting is None and self._is_busy(key[0]):
            return succeed(_TOO_MANY)
        answer: Deferred[ProbeAnswer] = Deferred()
        if waiting is not None:
            waiting.append(answer)
            return answer
        self._asked[key] = [answer]
        # The chain may call off one who waits, and the question goes on for the others: it has a limit of its own.
        asked: Deferred[ProbeAnswer] = probe.probe(sender, self._settings.hosts)
        asked.addTimeout(self._settings.timeout, self._clock)
        asked.addErrback(lambda failure: failure.trap(TimeoutError) and _NO_ANSWER)
        asked.addBoth(self._answered, key)
        return answer

    def _is_busy(self, domain: str) -> bool:
        """Whether there are as many questions under way as there may be, in all or about this domain."""
        of_domain = sum(asked == domain for asked, _ in self._asked)
        return len(self._asked) >= self._settings.concurrency or of_domain >= self._settings.domain_concurrency

    def _answered(self, answer: object, sender: _Sender) -> None:
        waiting = [each for each in self._asked.pop(sender) if not each.called]
        if isinstance(answer, ProbeAnswer):
            life_s = {
                ProbeResult.ACCEPTED: self._settings.known_life,
                ProbeResult.REFUSED: self._settings.refused_life,
                ProbeResult.UNKNOWN: self._settings.unknown_life,
            }[answer.result]
            self._known.put(sender, answer, self._clock.seconds() + life_s)
        elif isinstance(answer, Failure) and not waiting:
            # Nobody is left to tell of it.
            log.failure("{event} {domain}", answer, event="policy.probe_failed", domain=sender[0])
        for each in waiting:
            each.callback(answer)  # type: ignore[arg-type]


class _Known:
    """Answers, ``size`` in all and ``of_domain`` of each domain at most: strangers choose what is asked."""

    def __init__(self, size: int, of_domain: int) -> None:
        self._size, self._of_domain = size, of_domain
        self._domains: dict[str, dict[str, tuple[float, ProbeAnswer]]] = {}
        self._count = 0

    def get(self, sender: _Sender, now: float) -> ProbeAnswer | None:
        """The answer, if there is one that is not too old."""
        expires_at, answer = self._domains.get(sender[0], {}).get(sender[1], (0.0, None))
        return answer if expires_at > now else None

    def put(self, sender: _Sender, answer: ProbeAnswer, expires_at: float) -> None:
        """Remember it, and forget the oldest of its domain, or of that which has been known for longest."""
        domain, local_part = sender
        self._forget(domain, local_part)
        of_domain = self._domains.get(domain, {})
        if len(of_domain) >= self._of_domain:
            self._forget(domain, next(iter(of_domain)))
        elif self._count >= self._size:
            oldest = next(iter(self._domains))
            self._forget(oldest, next(iter(self._domains[oldest])))
        self._domains.setdefault(domain, {})[local_part] = expires_at, answer
        self._count += 1

    def _forget(self, domain: str, local_part: str) -> None:
        of_domain = self._domains.get(domain, {})
        if of_domain.pop(local_part, None) is not None:
            self._count -= 1
            if not of_domain:
                del self._domains[domain]


def _verdict(answer: ProbeAnswer, sender: Address) -> Verdict:
    evidence = {"sender": str(sender), "result": answer.result.value, "reply": answer.reply, "host": answer.host}
    if answer.result is not ProbeResult.REFUSED:
        return Verdict(reason=f"sender {answer.result.value}: {answer.reply}", evidence=evidence)
    reply = PolicyReply(550, "5.1.8", f"Sender is refused by its own host {answer.host}: {answer.reply}"[:400])
    return Verdict(Action.REJECT, f"{answer.host} refuses {sender}", reply=reply, evidence=evidence)


def make_policy(context: PolicyContext) -> SenderCalloutPolicy:
    """The policy as the chain wants it."""
    return SenderCalloutPolicy(context.section, context.probe, context.settings.server.domains, context.clock)
