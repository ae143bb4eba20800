"""The taps of an incoming message. They may make its sender wait, within a time limit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.values import QueueId

log = Logger()

_FAILED: Final = "delivery.tap_failed"


class TapGroup:
    """The ``taps`` of one message. All waits of one tap together last ``limit_s`` at most.

    A tap that fails or is too slow gets no more octets, and the message goes on: its policy decides without them."""

    __slots__ = ("_clock", "_left_s", "_queue_id", "_taps", "_waiting")

    def __init__(self, taps: Iterable[IMessageTap], queue_id: QueueId, clock: IReactorTime, limit_s: float) -> None:
        self._taps = list(taps)
        self._queue_id = queue_id
        self._clock = clock
        self._left_s = limit_s
        self._waiting: _Wait | None = None

    def __bool__(self) -> bool:
        return bool(self._taps)

    def tell(self, octets: bytes) -> Deferred[None] | None:
        """The next octets. None: all taps have taken them; a Deferred: some are still at work. It does not fail."""
        pending: list[tuple[IMessageTap, Deferred[Any]]] = []
        for tap in list(self._taps):
            try:
                answer = tap.write(octets)
                if answer is None:
                    continue
                if not isinstance(answer, Deferred):
                    raise TypeError(f"neither None nor a Deferred: {answer!r}")
            except Exception:
                self.failed(tap, Failure())
            else:
                pending.append((tap, answer))
        if not pending:
            return None
        wait = _Wait(self, self._clock, pending)
        if wait.is_over:
            return None
        self._waiting = wait
        wait.begin(self._left_s)
        return wait.done

    def failed(self, tap: IMessageTap, failure: Failure) -> None:
        """The tap has failed, and gets no more octets."""
        log.failure("{event} {queue_id}", failure, event=_FAILED, queue_id=self._queue_id)
        self._taps.remove(tap)

    def too_slow(self, tap: IMessageTap) -> None:
        """The tap's time is over, and it gets no more octets."""
        log.error("{event} {queue_id}: {tap} has no time left", event=_FAILED, queue_id=self._queue_id, tap=repr(tap))
        self._taps.remove(tap)

    def waited(self, seconds: float) -> None:
        """Add to the time that the sender has waited."""
        self._left_s = max(self._left_s - seconds, 0.0)
        self._waiting = None

    def call_off(self) -> None:
        """The message has been given up: the taps get no more of it."""
        self._taps.clear()
        if self._waiting is not None:
            self._waiting.call_off()


class _Wait:
    """A wait for some of the taps, after one piece of the message."""

    def __init__(
        self, tap_group: TapGroup, clock: IReactorTime, pending: list[tuple[IMessageTap, Deferred[Any]]]
    ) -> None:
        self.done: Deferred[None] = Deferred()
        self._tap_group = tap_group
        self._clock = clock
        self._pending = dict(enumerate(pending))
        self._timer: IDelayedCall | None = None
        self._started = clock.seconds()
        for number, (_, answer) in enumerate(pending):
            answer.addBoth(self._answered, number)

    @property
    def is_over(self) -> bool:
        return not self._pending

    def begin(self, limit_s: float) -> None:
        self._timer = self._clock.callLater(limit_s, self._time_is_up)

    def _answered(self, result: object, number: int) -> None:
        tap, _ = self._pending.pop(number, (None, None))
        if tap is None:
            return  # too late
        if isinstance(result, Failure):
            self._tap_group.failed(tap, result)
        if not self._pending and self._timer is not None:
            self._timer.cancel()
            self._end()

    def _time_is_up(self) -> None:
        self._timer = None
        for tap in self._cancelled():
            self._tap_group.too_slow(tap)
        self._end()

    def call_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._cancelled()
        self._end()

    def _cancelled(self) -> list[IMessageTap]:
        pending, self._pending = self._pending, {}
        for _, answer in pending.values():
            answer.cancel()
        return [tap for tap, _ in pending.values()]

    def _end(self) -> None:
        self._tap_group.waited(self._clock.seconds() - self._started)
        self.done.callback(None)
