"""The parent's part: notices of one worker go to the others, and counts are added up."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from pymailsuite.bus.outbox import BusUpdate, Counts, Outbox

log = Logger()

DEAD_OWNERS: Final = "workers.departed"
"""The topic on which workers are told that one of them is gone, and may have left something behind."""


class Hub:
    """All connected workers, by their outboxes. Workers of a group that drains are among them until they end."""

    def __init__(self) -> None:
        self._counts: dict[Outbox, Counts] = {}
        self._sums: Counts = {}

    def join(self, outbox: Outbox) -> None:
        """A worker is there: tell it what the others count."""
        self._counts[outbox] = {}
        for tally, sums in self._sums.items():
            for key, total in sums.items():
                outbox.set_count(tally, key, total)

    def leave(self, outbox: Outbox) -> None:
        """It is gone, and so is what it counted. Harmless if it never came."""
        counts = self._counts.get(outbox)
        if counts is None:
            return
        self._take_counts(outbox, {tally: dict.fromkeys(keys, 0) for tally, keys in counts.items()})
        del self._counts[outbox]
        for other in self._counts:
            other.add_message(DEAD_OWNERS, b"")

    def heard(self, sender: Outbox, news: BusUpdate) -> None:
        """Pass the notices of one worker on to the others."""
        if sender not in self._counts:
            return
        for other in self._counts:
            if other is not sender:
                if news.moved:
                    other.add_changes(news.moved)
                if news.woke:
                    other.add_queue_due()
                for topic, payload in news.words:
                    other.add_message(topic, payload)
        self._take_counts(sender, news.counts)

    def _take_counts(self, sender: Outbox, counts: Counts) -> None:
        for tally, said in counts.items():
            sums = self._sums.setdefault(tally, {})
            own = self._counts[sender].setdefault(tally, {})
            for key, count in said.items():
                sums[key] = sums.get(key, 0) + count - own.pop(key, 0)
                if count:
                    own[key] = count
                for other, known in self._counts.items():
                    if other is not sender:
                        other.set_count(tally, key, sums[key] - known.get(tally, {}).get(key, 0))
                if not sums[key]:
                    del sums[key]
