"""Joins the store to a bus, and finds out by asking the store what a bus has lost."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.bus import IChangeBus
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.periodic import PeriodicService


class StoreBusBridge(Service):
    """Tells the bus about commits of this process, and the subscribers here about those of others."""

    def __init__(self, store: IMailStore, bus: IChangeBus) -> None:
        self.setName("store on bus")  # type: ignore[no-untyped-call]
        self._store = store
        self._bus = bus
        self._stops: list[Callable[[], None]] = []

    def startService(self) -> None:
        """From now on."""
        super().startService()  # type: ignore[no-untyped-call]
        store, bus = self._store, self._bus
        self._stops = [
            store.notices.carry(bus.publish_changes),
            bus.on_changes(store.notices.hear),
        ]
        queue = store.ability(IQueueStore)
        if queue is not None:
            # What the bus tells us is not sent round again.
            self._stops += [queue.subscribe(bus.publish_queue_due, heard=lambda: None), bus.on_queue_due(queue.hear)]

    def stopService(self) -> None:
        """No more."""
        super().stopService()  # type: ignore[no-untyped-call]
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()


class ChangePoll(PeriodicService):
    """Every ``interval_s`` seconds compares the accounts that are watched here with the store."""

    log = Logger()
    failed_event = "bus.poll_failed"
    _ACCOUNTS_A_QUERY = 500

    def __init__(self, store: IMailStore, interval_s: float, clock: IReactorTime) -> None:
        super().__init__("notice poll", interval_s, clock)
        self._store = store

    async def once(self) -> None:
        """Tell the subscribers of accounts that have moved on."""
        watched = self._store.notices.watched()
        for start in range(0, len(watched), self._ACCOUNTS_A_QUERY):
            self._store.notices.hear(await self._store.modseqs(watched[start : start + self._ACCOUNTS_A_QUERY]))
