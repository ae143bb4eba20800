"""Counts that stand for the whole machine, although each process makes only its own part of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping


class Tally:
    """How many there are of each key: those of this process, and what is known of the other ones.

    The numbers of the others are a moment old, so a limit may be exceeded by the few that came in that moment.
    """

    __slots__ = ("_elsewhere", "here", "on_change")

    def __init__(self) -> None:
        self.here: Counter[str] = Counter()
        self._elsewhere: dict[str, int] = {}
        self.on_change: Callable[[str], None] | None = None
        """Called with a key whose count here has changed."""

    def __getitem__(self, key: str) -> int:
        return self.here.get(key, 0) + self._elsewhere.get(key, 0)

    def add(self, key: str) -> None:
        """One more here."""
        self.here[key] += 1
        if self.on_change is not None:
            self.on_change(key)

    def remove(self, key: str) -> None:
        """One less here."""
        self.here[key] -= 1
        if self.here[key] <= 0:
            del self.here[key]
        if self.on_change is not None:
            self.on_change(key)

    def set_elsewhere(self, counts: Mapping[str, int]) -> None:
        """What all others together have now of these keys; of the other keys nothing has changed."""
        for key, count in counts.items():
            if count:
                self._elsewhere[key] = count
            else:
                self._elsewhere.pop(key, None)
