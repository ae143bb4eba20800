"""Which worker takes the next connection of a client that brings mail.

What several connections of one process ask of the store at the same time is committed together, with one wait for the
disk and one set of statements; what several processes ask is not. Ten peers that send without pause cost twice as much
with four workers, if each has two or three of them, as with one that has them all. So the first worker takes them until
it has enough for full groups, or as much to do as one process can; then the second does, and so on. When all have that
many it is as with other services: whoever finds time takes the next.

Nobody waits for a worker that hangs: the others hold back for a moment only, and then take one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, field, frozen

from pymailsuite.wire.tally import Tally

_BUSY_SHARE: Final = 0.8
_SAMPLE_S: Final = 1.0


@define
class OwnLoad:
    """Whether we use most of a processor. ``seconds`` is a clock, ``cpu_seconds`` what we have used."""

    seconds: Callable[[], float]
    cpu_seconds: Callable[[], float]
    _at: float = field(init=False)
    _used: float = field(init=False)
    _is_high: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._at, self._used = self.seconds(), self.cpu_seconds()

    def is_high(self) -> bool:
        """On average since it was last asked, but over a second at least."""
        passed_s = self.seconds() - self._at
        if passed_s >= _SAMPLE_S:
            used = self.cpu_seconds()
            self._is_high = (used - self._used) / passed_s > _BUSY_SHARE
            self._at, self._used = self._at + passed_s, used
        return self._is_high


@frozen
class ConnectionAffinity:
    """The choice of worker ``number`` (from 1) of ``workers``: each takes ``together`` before the next does."""

    number: int
    workers: int
    together: int
    load: OwnLoad

    def accept_quota(self, tally: Tally) -> int:
        """Connections to take at once, given those that there are; 0: they are rather for another."""
        here, in_all = tally.here[""], tally[""]
        if not self.together or in_all >= self.together * self.workers:
            return 1
        is_next = self.number <= in_all // self.together + 1
        return 0 if not is_next or self.load.is_high() else max(0, self.together - here)
