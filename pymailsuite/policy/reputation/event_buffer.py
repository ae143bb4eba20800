"""Gathers events for a while and writes them together, so that no message waits for them or costs a write alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.interfaces.reputation import Event, Identity, IReputation, IReputationStore

log = Logger()


@implementer(IReputation)
class EventBuffer:
    """``store`` is called when there is something to write."""

    def __init__(self, settings: ReputationSettings, store: IReputationStore, clock: IReactorTime) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._events: Counter[tuple[Identity, Event]] = Counter()
        self._timer: IDelayedCall | None = None

    def note(self, identities: Iterable[Identity], event: Event) -> None:
        """Count it for each of them."""
        for identity in identities:
            self._events[identity, event] += 1
        if len(self._events) >= self._settings.write_after:
            self.write()
        elif self._events and self._timer is None:
            self._timer = self._clock.callLater(self._settings.write_interval, self.write)

    def write(self) -> Deferred[None]:
        """Write what was gathered; fires when that is done. Events that cannot be written are lost: they are only
        statistics."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        events, self._events = self._events, Counter()
        if not events:
            return succeed(None)
        written = self._store.add(events, self._settings.half_life)
        return written.addErrback(lambda failure: log.failure("{event}", failure, event="reputation.not_written"))


class EventFlush(Service):
    """Writes what is gathered when the server stops."""

    def __init__(self, events: EventBuffer) -> None:
        self.setName("reputation")  # type: ignore[no-untyped-call]
        self._events = events

    def stopService(self) -> Deferred[None]:
        """Fires when it is written."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._events.write()
