"""Work that the server does by itself from time to time: sweep the store, fill in what an older release did not derive,
and notice when the reactor was held up."""

from __future__ import annotations

from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pymailsuite.interfaces import IStoreMaintenance
from pymailsuite.periodic import PeriodicService

log = Logger()


class StoreSweeper(PeriodicService):
    """Sweeps the store every ``interval_s`` seconds."""

    log = log
    failed_event = "store.sweep_failed"

    def __init__(self, maintenance: IStoreMaintenance, interval_s: float, clock: IReactorTime) -> None:
        super().__init__("sweeper", interval_s, clock)
        self._maintenance = maintenance
        self._clock = clock

    async def once(self) -> None:
        """Remove what has expired."""
        dropped = await self._maintenance.sweep(self._clock.seconds())
        log.info("{event} {dropped}", event="store.swept", dropped=dict(dropped))


class StoreFiller(PeriodicService):
    """Makes what is derived from octets for messages that came before it was, a piece at a time, with pauses in which
    others have the store to themselves. What is done is done: after a restart it goes on from there."""

    log = log
    failed_event = "store.fill_failed"

    _INTERVAL_S: Final = 3600.0
    """Only a restored backup brings in what has to be filled once all has been."""
    _PAUSE_S: Final = 0.05
    _TOLD_EVERY_S: Final = 60.0

    def __init__(self, maintenance: IStoreMaintenance, is_ours: bool, clock: IReactorTime) -> None:
        super().__init__("filler", self._INTERVAL_S if is_ours else 0, clock, at_once=True)
        self._maintenance = maintenance
        self._clock = clock

    async def once(self) -> None:
        """Go on until all is filled in, or the service stops."""
        filled, told_at = 0, self._clock.seconds()
        while self.running:
            number = await self._maintenance.fill()
            if number is None:
                break
            filled += number
            if number and self._clock.seconds() - told_at >= self._TOLD_EVERY_S:
                log.info("{event} {count} messages so far", event="store.filling", count=filled)
                told_at = self._clock.seconds()
            await deferLater(self._clock, self._PAUSE_S)
        if filled:
            log.info("{event} {count} messages", event="store.filled", count=filled)


class ReactorLagMonitor(Service):
    """Logs when a timer comes late: something kept the reactor from everybody else for that long."""

    _EVERY_S: Final = 0.5

    def __init__(self, slow_turn_s: float, clock: IReactorTime) -> None:
        self.setName("reactor lag monitor")  # type: ignore[no-untyped-call]
        self._slow_turn_s = slow_turn_s
        self._clock = clock
        self._due = 0.0
        self._timer: Any = None
        self.longest_s = 0.0
        """The longest delay seen so far."""

    def startService(self) -> None:
        """Begin, unless the limit is 0."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._slow_turn_s:
            self._set_timer()

    def stopService(self) -> None:
        """Watch no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._due = self._clock.seconds() + self._EVERY_S
        self._timer = self._clock.callLater(self._EVERY_S, self._look)

    def _look(self) -> None:
        late_s = self._clock.seconds() - self._due
        self.longest_s = max(self.longest_s, late_s)
        if late_s > self._slow_turn_s:
            log.warn("{event} seconds={seconds}", event="reactor.lag", seconds=round(late_s, 3))
        self._set_timer()
