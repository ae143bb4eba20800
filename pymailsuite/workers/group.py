"""A number of equal workers, kept running until they are told to end. Starting a process is the part of the caller.

A worker is started, serves, and ends. If it ends unasked it is started again: at once if it had lived for a while, else
after a wait that grows. Until all have served for the first time there are no second tries: a configuration with which
a worker cannot start is reported, and the caller that began the group decides.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pymailsuite.config.sections.workers import WorkerSettings

log = Logger()


class WorkersFailed(Exception):
    """Workers did not come up; the text says why."""


class Process(Protocol):
    """A process that was started. What happens to it is told to its :class:`Slot`."""

    pid: int | None

    def drain(self) -> None:
        """Have it end what is under way, and itself."""

    def kill(self) -> None:
        """End it now. Harmless if it has ended."""


class State(enum.Enum):
    """Of a slot."""

    IDLE = "idle"
    STARTING = "starting"
    SERVING = "serving"
    WAITING = "waiting"
    """For its next start."""
    ENDING = "ending"


class Slot:
    """The place of one worker, whichever process fills it. ``number`` counts from 1."""

    def __init__(self, number: int, group: WorkerGroup) -> None:
        self.number = number
        self.state = State.IDLE
        self._group = group
        self._process: Process | None = None
        self._timer: IDelayedCall | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._reason = ""

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return None if self._process is None else self._process.pid

    @property
    def is_filled(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    # --- what the process tells

    def serving(self) -> None:
        """It serves connections."""
        if self.state is State.STARTING:
            self.state = State.SERVING
            self._set_timer(None)
            log.info("{event} {worker} pid={pid}", event="workers.serving", worker=self.number, pid=self.pid)
            self._group.slot_serves()

    def failed(self, reason: str) -> None:
        """It cannot start, and why; it ends by itself."""
        self._reason = reason

    def ended(self, how: str) -> None:
        """The process is no more; ``how`` it ended."""
        pid, reason, lived_s = self.pid, self._reason or how, self._group.clock.seconds() - self._started_at
        ending = self.state is State.ENDING
        self._process, self._reason, self.state = None, "", State.IDLE
        self._set_timer(None)
        (log.info if ending else log.error)(
            "{event} {worker} pid={pid}: {how}", event="workers.ended", worker=self.number, pid=pid, how=reason
        )
        self._group.slot_ended(self, ending, reason, lived_s)

    # --- what the group asks

    def start(self) -> None:
        """Start a process."""
        self.state = State.STARTING
        self._started_at = self._group.clock.seconds()
        try:
            self._process = self._group.start_process(self)
        except OSError as error:
            self.ended(error.strerror or str(error))
            return
        self._set_timer(self._group.settings.start_limit, self._took_too_long)

    def start_again(self, lived_s: float) -> None:
        """Start another process, now or later."""
        settings = self._group.settings
        self._deaths = 1 if lived_s >= settings.steady else self._deaths + 1
        if self._deaths == 1:
            self.start()
            return
        wait_s = min(settings.restart_first * 2.0 ** min(self._deaths - 2, 30), settings.restart_max)
        self.state = State.WAITING
        log.warn("{event} {worker} in {seconds} s", event="workers.restart", worker=self.number, seconds=wait_s)
        self._set_timer(wait_s, self.start)

    def end(self) -> None:
        """Have the process end, if there is one."""
        if self._process is None:
            self._set_timer(None)
            self.state = State.IDLE
        elif self.state is not State.ENDING:
            self.state = State.ENDING
            self._set_timer(self._group.settings.stop_limit, self._took_too_long)
            self._process.drain()

    def _took_too_long(self) -> None:
        self._timer = None
        log.error(
            "{event} {worker} pid={pid}: it took too long while {state}",
            event="workers.killed",
            worker=self.number,
            pid=self.pid,
            state=self.state.value,
        )
        if self._process is not None:
            self._process.kill()

    def _set_timer(self, wait_s: float | None, then: Callable[[], None] | None = None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if wait_s is None or then is None else self._group.clock.callLater(wait_s, then)


class WorkerGroup:
    """``count`` workers; ``start_process`` starts the process of a slot, or raises OSError."""

    def __init__(
        self,
        count: int,
        start_process: Callable[[Slot], Process],
        settings: WorkerSettings,
        clock: IReactorTime,
    ) -> None:
        self.slots = [Slot(number, self) for number in range(1, count + 1)]
        self.start_process = start_process
        self.settings = settings
        self.clock = clock
        self._begun: Deferred[None] | None = None
        self._has_begun = False
        self._draining = False
        self._drained: list[Deferred[None]] = []

    def begin(self) -> Deferred[None]:
        """Start all. Fires when all serve; WorkersFailed if one ended before that, and then the others are to drain."""
        begun = self._begun = Deferred()
        for slot in self.slots:
            if self._begun is not None:
                slot.start()
        return begun

    def drain(self) -> Deferred[None]:
        """Have all end, and start none again. Fires when none is left."""
        self._draining = True
        self._fail_beginning("told to end")
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        for slot in self.slots:
            slot.end()
        self._tell_if_drained()
        return drained

    def _fail_beginning(self, reason: str) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.errback(WorkersFailed(reason))

    def _tell_if_drained(self) -> None:
        if self._draining and not any(slot.is_filled for slot in self.slots):
            drained, self._drained = self._drained, []
            for waiting in drained:
                waiting.callback(None)

    # --- what the slots tell

    def slot_serves(self) -> None:
        """One more serves."""
        begun = self._begun
        if begun is not None and all(slot.state is State.SERVING for slot in self.slots):
            self._begun = None
            self._has_begun = True
            begun.callback(None)

    def slot_ended(self, slot: Slot, asked: bool, reason: str, lived_s: float) -> None:
        """One has ended."""
        if not asked and not self._draining:
            if self._has_begun:
                slot.start_again(lived_s)
                return
            self._fail_beginning(reason)
        self._tell_if_drained()
