"""Several deadlines of one connection on one timer."""

from __future__ import annotations

import enum
from collections.abc import Callable
from math import inf
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline(enum.IntEnum):
    """The kinds of deadline."""

    IDLE = 0
    """To be heard of at all: set anew by what the peer sends."""
    TOTAL = 1
    """To be done with all of what it is at; nothing it sends moves this."""
    HANDSHAKE = 2
    """To complete the TLS handshake."""


_NONE: Final = (None,) * len(Deadline)


class Deadlines:
    """Calls ``passed`` with the step whose time is over; that deadline is then gone.

    Cheap enough for every packet: the timer itself is moved only when it must ring earlier than it was set to.
    """

    __slots__ = ("_clock", "_passed", "_rings_at", "_seconds", "_timer", "_until")

    def __init__(self, clock: IReactorTime, passed: Callable[[Deadline], object]) -> None:
        self._clock = clock
        self._seconds = clock.seconds
        self._passed = passed
        self._timer: IDelayedCall | None = None
        self._rings_at = inf
        self._until: list[float | None] = [*_NONE]

    def set(self, step: Deadline, timeout_s: float | None) -> None:
        """The peer has that many seconds from now, or for ever."""
        if timeout_s is None:
            self._until[step] = None
            return
        self._until[step] = until = self._seconds() + timeout_s
        if until < self._rings_at:
            self._ring_at(until, timeout_s)

    def _ring_at(self, until: float, timeout_s: float) -> None:
        self._rings_at = until
        if self._timer is None:
            self._timer = self._clock.callLater(timeout_s, self._rang)
        else:
            self._timer.reset(timeout_s)

    def stop(self) -> None:
        """Cancel all deadlines."""
        self._until = [*_NONE]
        self._rings_at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rang(self) -> None:
        self._timer = None
        self._rings_at = inf
        running = [(until, step) for step, until in zip(Deadline, self._until, strict=True) if until is not None]
        if not running:
            return
        (until, step), *later = sorted(running)
        now = self._seconds()
        if until > now:
            self._ring_at(until, until - now)
            return
        self._until[step] = None
        if later:
            self._ring_at(later[0][0], max(later[0][0] - now, 0.0))
        self._passed(step)
