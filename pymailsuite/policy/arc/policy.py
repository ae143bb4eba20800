"""The policy ``arc``: verifies the chain of seals of a message while it comes in. It objects to nothing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.interfaces.policy import Action, IMessageTap, MailTransaction, PolicyContext, Verdict
from pymailsuite.policy.arc.results import ChainStatus
from pymailsuite.policy.arc.verify import ChainVerifier
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.coroutines import start_coroutine


class ArcPolicy(Policy):
    """Keys are asked for with ``resolver`` once the message is over. Of a message without seals it says nothing."""

    name = "arc"

    def __init__(self, settings: ArcSettings, resolver: IResolver, clock: IReactorTime) -> None:
        self._settings = settings
        self._resolver = resolver
        self._clock = clock

    def tap(self, transaction: MailTransaction) -> IMessageTap | None:
        return ChainVerifier(self._settings)

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        tap: Any = transaction.message.taps.get(self.name) if transaction.message is not None else None
        if not isinstance(tap, ChainVerifier):
            return succeed(NO_OPINION)
        tap.finish()
        if tap.is_unsealed:
            return succeed(NO_OPINION)
        return start_coroutine(self._message(transaction, tap))

    async def _message(self, transaction: MailTransaction, tap: ChainVerifier) -> Verdict:
        result = await tap.result(self._resolver, self._clock.seconds(), self._clock)
        if result.status is ChainStatus.NONE:
            return NO_OPINION
        return Verdict(
            Action.PASS,
            f"{result.status.value} i={result.instance} {result.reason}".rstrip(),
            evidence={**result.as_row(), "sealers": [hop.domain for hop in result.hops]},
            results=(result.as_method_result(transaction.peer.ip),),
        )


def make_policy(context: PolicyContext) -> ArcPolicy:
    """The policy as the chain wants it."""
    return ArcPolicy(context.section, context.resolver, context.clock)
