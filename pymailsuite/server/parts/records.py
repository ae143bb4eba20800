"""What is remembered of what happens: the history of messages, and refusals by number."""

from __future__ import annotations

from typing import Any

from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.interfaces.history import IHistoryStore
from pymailsuite.server.parts.foundation import Foundation
from pymailsuite.wire.refusal_counts import RefusalCounts


class Records:
    """``history`` None: none is kept."""

    def __init__(self, foundation: Foundation) -> None:
        settings, reactor = foundation.settings.history, foundation.reactor
        kept = foundation.store.ability(IHistoryStore) if settings.enabled else None
        self.history = None if kept is None else HistoryRecorder(settings, kept, reactor)
        self.refusal_counts = RefusalCounts(reactor, settings.limits_window, settings.limits_addresses, self.history)
        self.services: tuple[Any, ...] = tuple(filter(None, (self.history, self.refusal_counts)))
