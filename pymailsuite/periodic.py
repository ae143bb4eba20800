"""A service that does something again and again, and can be stopped without leaving anything half done."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from pymailsuite.errors import MailError


class PeriodicService(Service):
    """Runs :meth:`once` every ``interval_s`` seconds (0: never), for the first time one interval after the start, or
    with ``at_once`` at the start.

    A round that takes longer than the interval delays the next. What goes wrong in one is logged as ``failed_event``
    with the log of the class, and tried again in the next.
    """

    log = Logger()
    failed_event = "periodic.failed"

    def __init__(self, name: str, interval_s: float, clock: IReactorTime, at_once: bool = False) -> None:
        self.setName(name)  # type: ignore[no-untyped-call]
        self._interval_s = interval_s
        self._at_once = at_once
        self._loop = LoopingCall(self._round)
        self._loop.clock = clock
        self._under_way: Deferred[None] = succeed(None)

    async def once(self) -> None:
        """What is done each time."""
        raise NotImplementedError

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._interval_s:
            self._loop.start(self._interval_s, now=self._at_once)

    def stopService(self) -> Deferred[None]:
        """Fires once no round is under way."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()
        return Deferred.fromCoroutine(self._ended())

    def soon(self) -> None:
        """Do it now as well, out of turn, if the service runs at all."""
        if self._loop.running:
            self._round()

    async def _ended(self) -> None:
        await self._under_way

    def _round(self) -> Deferred[None]:
        self._under_way = Deferred.fromCoroutine(self._guarded())
        return self._under_way

    async def _guarded(self) -> None:
        try:
            await self.once()
        except CancelledError:
            # By our stop, or by somebody else: then only this round has come to nothing. Raised, it would be the last.
            if self._loop.running:
                self.log.warn("{event} {reason}", event=self.failed_event, reason="called off")
        except MailError as error:
            self.log.warn("{event} {reason}", event=self.failed_event, reason=str(error))
        except Exception:
            self.log.failure("{event}", event=self.failed_event)
