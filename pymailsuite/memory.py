"""What a process remembers for a time, within bounds: one class for all rooms."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringMemory(Generic[K, V]):
    """Values by key, each until its time is over; of too many those that were not used for longest are forgotten.

    ``entries`` are remembered at most, 0: none. Where values are of different sizes, ``size_of`` tells how much one
    takes and ``most_size`` how much all may take; what alone takes more is not remembered.
    """

    def __init__(
        self,
        clock: IReactorTime,
        entries: int,
        *,
        size_of: Callable[[V], int] = lambda value: 0,
        most_size: float = math.inf,
    ) -> None:
        self._clock = clock
        self._entries = entries
        self._size_of = size_of
        self._most_size = most_size
        self._size = 0
        # The last used last.
        self._known: OrderedDict[K, tuple[V, float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: K) -> V | None:
        """The value; None if there is none, or none any more."""
        found = self.get_with_life(key)
        return None if found is None else found[0]

    def get_with_life(self, key: K) -> tuple[V, float] | None:
        """The value and for how many seconds yet it is good; None as above."""
        known = self._known.get(key)
        if known is None:
            return None
        value, expires_at, _ = known
        left_s = expires_at - self._clock.seconds()
        if left_s <= 0:
            self.forget(key)
            return None
        self._known.move_to_end(key)
        return value, left_s

    def put(self, key: K, value: V, life_s: float = math.inf) -> None:
        """Remember a value for so many seconds, in the place of what was known."""
        self.forget(key)
        size = self._size_of(value)
        if life_s <= 0 or self._entries <= 0 or size > self._most_size:
            return
        while len(self._known) >= self._entries or self._size + size > self._most_size:
            self.forget(next(iter(self._known)))
        self._known[key] = value, self._clock.seconds() + life_s, size
        self._size += size

    def forget(self, key: K) -> None:
        """No error for what is not known."""
        known = self._known.pop(key, None)
        if known is not None:
            self._size -= known[2]
