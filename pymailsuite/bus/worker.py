"""The bus of a worker, and the counts that it shares with the others."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from pymailsuite.bus.outbox import BusUpdate, Outbox
from pymailsuite.bus.subscriptions import BusSubscriptions, checked_payload
from pymailsuite.interfaces import IChangeBus
from pymailsuite.values import AccountId, ModSeq
from pymailsuite.wire.tally import Tally


@implementer(IChangeBus)
class WorkerBus(BusSubscriptions):
    """Publishes and receives over the channel to the parent."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox
        self._tallies: dict[str, Tally] = {}

    def publish_changes(self, moved: Mapping[AccountId, ModSeq]) -> None:
        if self.running:
            self._outbox.add_changes(moved)

    def publish_queue_due(self) -> None:
        if self.running:
            self._outbox.add_queue_due()

    def publish(self, topic: str, payload: bytes) -> None:
        checked_payload(payload)
        if self.running:
            self._outbox.add_message(topic, payload)

    def share(self, tallies: Mapping[str, Tally]) -> None:
        """Count together with the other workers from now on. Nothing may have been counted yet."""
        for name, tally in tallies.items():
            self._tallies[name] = tally
            tally.on_change = lambda key, name=name, tally=tally: self._outbox.set_count(name, key, tally.here[key])

    def take(self, news: BusUpdate) -> None:
        """The parent tells us."""
        for name, counts in news.counts.items():
            if name in self._tallies:
                self._tallies[name].set_elsewhere(counts)
        if not self.running:
            return
        if news.moved:
            self.received_changes(news.moved)
        if news.woke:
            self.received_queue_due()
        for topic, payload in news.words:
            self.received(topic, payload)
