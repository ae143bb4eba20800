"""What was found of clients and domains, remembered for as long as the answers of DNS it rests on are good."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """At most ``size`` things, those that came first forgotten first. Pure: the time is an argument, in seconds."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[Hashable, tuple[T, float]] = {}

    def get(self, key: Hashable, now: float) -> T | None:
        """What is known and still good."""
        known = self._known.get(key)
        if known is None:
            return None
        found, expires_at = known
        if expires_at > now:
            return found
        del self._known[key]
        return None

    def put(self, key: Hashable, found: T, good_for_s: float, now: float) -> None:
        """Remember it for that long."""
        if good_for_s <= 0 or self._size <= 0:
            return
        self._known.pop(key, None)
        if len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[key] = (found, now + good_for_s)
