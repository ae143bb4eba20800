"""Makes the text index in the background: a piece, then a pause, and nothing while the machine is busy."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pymailsuite.config.sections.search import SearchSettings
from pymailsuite.interfaces.text_index import ITextIndex
from pymailsuite.message.extraction import TextExtraction
from pymailsuite.periodic import PeriodicService

log = Logger()


def load_per_processor() -> float:
    """The load average of the last minute, for each processor."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


class TextIndexer(PeriodicService):
    """Looks for new messages from time to time, and indexes them, for a share of the time at most.

    ``load`` returns the load of the machine for each processor.
    """

    log = log
    failed_event = "text_index.failed"

    _PAUSE_MAX_S: Final = 1.0
    """A stop waits for a pause to end."""

    def __init__(
        self,
        index: ITextIndex,
        settings: SearchSettings,
        extraction: TextExtraction,
        is_ours: bool,
        clock: IReactorTime,
        load: Callable[[], float] = load_per_processor,
    ) -> None:
        super().__init__("text indexer", settings.index_interval if is_ours and settings.index else 0, clock)
        self._index = index
        self._settings = settings
        self._bounds = settings.bounds(extraction)
        self._clock = clock
        self._load = load
        self._is_paused = False

    async def once(self) -> None:
        """Index until there is nothing left, the machine is busy, or the service stops."""
        number, rest = 0, 1 / self._settings.index_share - 1
        while self.running and not self._must_pause():
            started = self._clock.seconds()
            some = await self._index.index_some(self._bounds)
            if some is None:
                break
            number += some
            await deferLater(self._clock, min(rest * (self._clock.seconds() - started), self._PAUSE_MAX_S))
        if number:
            log.info("{event} {count} messages", event="text_index.made", count=number)

    def _must_pause(self) -> bool:
        limit = self._settings.index_load
        load = self._load() if limit else 0.0
        if load > limit and not self._is_paused:
            log.info("{event} load={load}", event="text_index.paused", load=round(load, 2))
        elif self._is_paused and load <= limit:
            log.info("{event} load={load}", event="text_index.resumed", load=round(load, 2))
        self._is_paused = load > limit
        return self._is_paused
