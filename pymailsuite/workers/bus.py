"""A worker's part in the notices: the bus of its server, and what it counts together with the others."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from pymailsuite.interfaces import INoticeBus
from pymailsuite.notices import Hearing, checked
from pymailsuite.values import AccountId, ModSeq
from pymailsuite.wire.tally import Tally
from pymailsuite.workers.outbox import News, Outbox


@implementer(INoticeBus)
class WorkerBus(Hearing):
    """Says and hears everything over the channel to the parent."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox
        self._tallies: dict[str, Tally] = {}

    def publish_moved(self, moved: Mapping[AccountId, ModSeq]) -> None:
        if self.running:
            self._outbox.add_moved(moved)

    def publish_woke(self) -> None:
        if self.running:
            self._outbox.add_woke()

    def publish(self, topic: str, payload: bytes) -> None:
        checked(payload)
        if self.running:
            self._outbox.add_word(topic, payload)

    def share(self, tallies: Mapping[str, Tally]) -> None:
        """Count together with the other workers from now on. Nothing may have been counted yet."""
        for name, tally in tallies.items():
            self._tallies[name] = tally
            tally.on_change = lambda key, name=name, tally=tally: self._outbox.set_count(name, key, tally.here[key])

    def take(self, news: News) -> None:
        """The parent tells us."""
        for name, counts in news.counts.items():
            if name in self._tallies:
                self._tallies[name].set_elsewhere(counts)
        if not self.running:
            return
        if news.moved:
            self.heard_moved(news.moved)
        if news.woke:
            self.heard_woke()
        for topic, payload in news.words:
            self.heard(topic, payload)
