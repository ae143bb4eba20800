"""Notices on their way to one process: gathered, bounded, sent together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pymailsuite.values import AccountId, ModSeq

log = Logger()

Counts = dict[str, dict[str, int]]
"""By name of a tally and key in it: absolute numbers, so that the last one said is enough."""


@frozen
class BusUpdate:
    """Notices and counts that are sent together."""

    moved: Mapping[AccountId, ModSeq] = field(factory=dict)
    woke: bool = False
    words: tuple[tuple[str, bytes], ...] = ()
    """Topics and payloads."""
    counts: Counts = field(factory=dict)


class Outbox:
    """Sends at the end of the turn in which something came in, but not within ``gather_s`` of the last time.

    While it is held, because the other side does not read, it keeps ``limit`` notices and drops further ones. Counts
    are never dropped: there is one for each key, and a limit would be wrong for good.
    """

    def __init__(self, send: Callable[[BusUpdate], None], gather_s: float, limit: int, clock: IReactorTime) -> None:
        self._send = send
        self._gather_s = gather_s
        self._limit = limit
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._not_before = 0.0
        self._held = False
        self._clear()
        self.dropped = 0
        """Notices dropped since it was made."""

    def _clear(self) -> None:
        self._moved: dict[AccountId, ModSeq] = {}
        self._woke = False
        self._words: list[tuple[str, bytes]] = []
        self._counts: Counts = {}

    def add_changes(self, moved: Mapping[AccountId, ModSeq]) -> None:
        """Accounts moved on; the last modseq of each is sent."""
        kept = self._moved
        for account_id, modseq in moved.items():
            if account_id in kept:
                kept[account_id] = max(modseq, kept[account_id])
            elif self._has_room():
                kept[account_id] = modseq
        self._send_soon()

    def add_queue_due(self) -> None:
        """Queue rows became due."""
        self._woke = True
        self._send_soon()

    def add_message(self, topic: str, payload: bytes) -> None:
        """Something else."""
        if self._has_room():
            self._words.append((topic, payload))
            self._send_soon()

    def set_count(self, tally: str, key: str, count: int) -> None:
        """How many there are now."""
        self._counts.setdefault(tally, {})[key] = count
        self._send_soon()

    def hold(self) -> None:
        """Send nothing until released."""
        self._held = True
        self._stop_timer()

    def release(self) -> None:
        """Send what has gathered."""
        self._held = False
        if self._moved or self._woke or self._words or self._counts:
            self._send_soon()

    def close(self) -> None:
        """Drop everything and send no more."""
        self._clear()
        self.hold()

    def _has_room(self) -> bool:
        if len(self._moved) + len(self._words) < self._limit:
            return True
        if not self.dropped:
            log.warn("{event}: a process does not read", event="bus.messages_dropped")
        self.dropped += 1
        return False

    def _send_soon(self) -> None:
        if self._timer is None and not self._held:
            wait_s = max(0.0, self._not_before - self._clock.seconds())
            self._timer = self._clock.callLater(wait_s, self._send_now)

    def _send_now(self) -> None:
        self._timer = None
        self._not_before = self._clock.seconds() + self._gather_s
        news = BusUpdate(self._moved, self._woke, tuple(self._words), self._counts)
        self._clear()
        self._send(news)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
