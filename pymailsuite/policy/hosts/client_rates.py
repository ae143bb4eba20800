"""The policy ``client_rates``: how often an address may connect, and err, on all nodes together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.hosts import ClientRatesSettings
from pymailsuite.interfaces import Count, IStateStore, StateKey
from pymailsuite.interfaces.policy import (
    Action,
    IConnectionRecord,
    MailTransaction,
    PolicyContext,
    PolicyReply,
    Verdict,
)
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.values import Peer
from pymailsuite.wire.addresses import address_key

log = Logger()

_CONNECTIONS: Final = "smtp.connections"
_FAULTS: Final = "smtp.faults"
_BUDGET_SHARE: Final = 0.9


@implementer(IConnectionRecord)
class ClientRatesPolicy(Policy):
    """``budget_s`` is how long a stage may take.

    Looking at errors costs a read at CONNECT, counting connections a write.
    """

    name = "client_rates"

    def __init__(
        self,
        settings: ClientRatesSettings,
        counts: IStateStore,
        clock: IReactorTime,
        budget_s: float,
    ) -> None:
        self._settings = settings
        self._counts = counts
        self._clock = clock
        self._tarpit_s = min(settings.tarpit, budget_s * _BUDGET_SHARE)

    def connect(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Counts the connection, and refuses it if there were too many of them, or too many errors."""
        network = address_key(transaction.peer.ip)
        if not network or not (self._settings.connections or self._settings.errors):
            return succeed(NO_OPINION)
        return Deferred.fromCoroutine(self._connect(network))

    async def _connect(self, network: str) -> Verdict:
        settings, counts = self._settings, self._counts
        connections, faults = StateKey(_CONNECTIONS, network), StateKey(_FAULTS, network)
        found: dict[StateKey, Count] = {}
        if settings.connections:
            found.update(await counts.add([connections], settings.window))
        if settings.errors:
            found.update(await counts.counted([faults]))
        what = self._too_many(found, connections, faults)
        if not what:
            return NO_OPINION
        if self._tarpit_s and settings.action != "log":
            await deferLater(self._clock, self._tarpit_s)
        return Verdict(
            Action.TEMPFAIL,
            f"too many {what} of {network}",
            reply=PolicyReply(421, "4.7.0", f"Too many {what} from your address, try again later"),
            evidence={"network": network, "what": what, **{key.namespace: count.total for key, count in found.items()}},
        )

    def _too_many(self, found: Mapping[StateKey, Count], connections: StateKey, faults: StateKey) -> str:
        settings = self._settings
        if connections in found and found[connections].total > settings.connections:
            return "connections"
        return "errors" if faults in found and found[faults].total >= settings.errors else ""

    def ended(self, peer: Peer, faults: int) -> None:
        """Nothing waits for the count."""
        network = address_key(peer.ip)
        if network and self._settings.errors:
            added = self._counts.add([StateKey(_FAULTS, network)], self._settings.window, faults)
            added.addErrback(lambda failure: log.failure("{event}", failure, event="client_rates.not_counted"))


def make_policy(context: PolicyContext) -> ClientRatesPolicy:
    """For the plugin."""
    state = context.needs(IStateStore)
    return ClientRatesPolicy(context.section, state, context.clock, context.settings.policy.budget)
