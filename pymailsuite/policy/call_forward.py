"""The policy ``call_forward``: whether the sender's own host would take a bounce to it.

It asks at DATA, when everybody else has had a say about client, sender and recipients: who is refused anyhow, or known
to be good, is not asked about.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.call_forward import CallForwardSettings
from pymailsuite.interfaces.policy import (
    Action,
    Effect,
    IRecipientProbe,
    MailTransaction,
    PolicyContext,
    PolicyReply,
    ProbeAnswer,
    Probed,
    Verdict,
)
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.values import Address

_SETTLED: Final = (Effect.ACCEPT, Effect.REJECT, Effect.TEMPFAIL)
_NO_ANSWER: Final = ProbeAnswer(Probed.UNKNOWN, "no answer in time")
_TOO_MANY: Final = ProbeAnswer(Probed.UNKNOWN, "too many questions at a time")


class CallForwardPolicy(Policy):
    """``own_domains`` are not asked, nor anybody without a ``probe``.

    Answers are remembered, and those who wait for the same one share it.
    """

    name = "call_forward"
    after = ("greylist",)

    def __init__(
        self,
        settings: CallForwardSettings,
        probe: IRecipientProbe | None,
        own_domains: Collection[str],
        clock: IReactorTime,
    ) -> None:
        self._settings = settings
        self._probe = probe
        self._own_domains = frozenset(domain.lower() for domain in own_domains)
        self._clock = clock
        self._known: dict[Address, tuple[float, ProbeAnswer]] = {}
        self._asked: dict[Address, list[Deferred[ProbeAnswer]]] = {}

    def data(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """The null sender cannot be answered, and needs no answer."""
        sender = transaction.reverse_path
        if self._probe is None or sender is None or not self._is_elsewhere(sender.domain.lower()):
            return succeed(NO_OPINION)
        objected = any(v.action in (Action.REJECT, Action.TEMPFAIL) for v in transaction.verdicts.values())
        if objected or any(ruling.effect in _SETTLED for ruling in transaction.rulings):
            return succeed(NO_OPINION)
        return self._answer(sender, self._probe).addCallback(_verdict, sender)

    def _is_elsewhere(self, domain: str) -> bool:
        return not domain.startswith("[") and domain not in self._own_domains

    def _answer(self, sender: Address, probe: IRecipientProbe) -> Deferred[ProbeAnswer]:
        known = self._known.get(sender)
        if known is not None and known[0] > self._clock.seconds():
            return succeed(known[1])
        waiting = self._asked.get(sender)
        if waiting is None and len(self._asked) >= self._settings.concurrency:
            return succeed(_TOO_MANY)
        answer: Deferred[ProbeAnswer] = Deferred()
        if waiting is not None:
            waiting.append(answer)
            return answer
        self._asked[sender] = [answer]
        # The chain may call off one who waits, and the question goes on for the others: it has a limit of its own.
        asked: Deferred[ProbeAnswer] = probe.probe(sender, self._settings.hosts)
        asked.addTimeout(self._settings.timeout, self._clock)
        asked.addErrback(lambda failure: failure.trap(TimeoutError) and _NO_ANSWER)
        asked.addBoth(self._answered, sender)
        return answer

    def _answered(self, answer: object, sender: Address) -> None:
        waiting = self._asked.pop(sender)
        if isinstance(answer, ProbeAnswer):
            self._remember(sender, answer)
        for each in waiting:
            if not each.called:
                each.callback(answer)  # type: ignore[arg-type]

    def _remember(self, sender: Address, answer: ProbeAnswer) -> None:
        settings = self._settings
        life_s = {
            Probed.TAKEN: settings.known_life,
            Probed.REFUSED: settings.refused_life,
            Probed.UNKNOWN: settings.unknown_life,
        }[answer.result]
        self._known.pop(sender, None)
        if len(self._known) >= settings.cache_entries:
            del self._known[next(iter(self._known))]
        self._known[sender] = (self._clock.seconds() + life_s, answer)


def _verdict(answer: ProbeAnswer, sender: Address) -> Verdict:
    evidence = {"sender": str(sender), "result": answer.result.value, "reply": answer.reply, "host": answer.host}
    if answer.result is not Probed.REFUSED:
        return Verdict(reason=f"sender {answer.result.value}: {answer.reply}", evidence=evidence)
    reply = PolicyReply(550, "5.1.8", f"Sender is refused by its own host {answer.host}: {answer.reply}"[:400])
    return Verdict(Action.REJECT, f"{answer.host} refuses {sender}", reply=reply, evidence=evidence)


def make_policy(context: PolicyContext) -> CallForwardPolicy:
    """The policy as the chain wants it."""
    return CallForwardPolicy(context.section, context.probe, context.settings.server.domains, context.clock)
