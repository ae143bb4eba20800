"""The policy ``dkim``: verifies the signatures of a message while it comes in. It objects to nothing by itself."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.dkim import DkimSettings
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.interfaces.policy import (
    Action,
    IMessageTap,
    MailTransaction,
    PolicyContext,
    PolicyReply,
    Verdict,
)
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.coroutines import start_coroutine
from pymailsuite.policy.dkim.results import DkimResult, DkimStatus, best
from pymailsuite.policy.dkim.verify import MessageVerifier

# RFC 7372 §3.1: no passing DKIM signature found.
_REFUSED: Final = PolicyReply(550, "5.7.20", "No valid DKIM signature")
_FAILED: Final = frozenset((DkimStatus.FAIL, DkimStatus.PERMERROR, DkimStatus.NEUTRAL))


class DkimPolicy(Policy):
    """Keys are asked for with ``resolver`` once the message is over."""

    name = "dkim"

    def __init__(self, settings: DkimSettings, resolver: IResolver, clock: IReactorTime) -> None:
        self._settings = settings
        self._resolver = resolver
        self._clock = clock

    def tap(self, transaction: MailTransaction) -> IMessageTap | None:
        return MessageVerifier(self._settings)

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return start_coroutine(self._message(transaction))

    async def _message(self, transaction: MailTransaction) -> Verdict:
        tap: Any = transaction.message.taps.get(self.name) if transaction.message is not None else None
        if not isinstance(tap, MessageVerifier):
            return NO_OPINION
        tap.finish()
        results = await tap.results(self._resolver, self._clock.seconds(), self._clock)
        objects = self._settings.reject_failed and {result.status for result in results} <= _FAILED
        return Verdict(
            Action.REJECT if objects else Action.PASS,
            _reason(best(results)),
            reply=_REFUSED if objects else None,
            evidence={"signatures": [result.as_row() for result in results]},
            results=tuple(result.as_method_result() for result in results),
        )


def _reason(result: DkimResult) -> str:
    return " ".join(filter(None, (result.status.value, result.domain, result.reason)))


def make_policy(context: PolicyContext) -> DkimPolicy:
    """The policy as the chain wants it."""
    return DkimPolicy(context.section, context.resolver, context.clock)
