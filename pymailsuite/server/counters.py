"""Numbers about what goes on, kept in this process."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from pymailsuite.interfaces.counters import ICounters

_Key = tuple[str, tuple[tuple[str, str], ...]]


@implementer(ICounters)
class Counters:
    """A dictionary; used in the reactor's thread alone."""

    def __init__(self) -> None:
        self._values: dict[_Key, float] = {}

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Something has happened, ``amount`` times."""
        key = name, tuple(sorted(labels.items()))
        self._values[key] = self._values.get(key, 0) + amount

    def level(self, name: str, value: float, **labels: str) -> None:
        """Something is as it is now."""
        self._values[name, tuple(sorted(labels.items()))] = value

    def values(self) -> Mapping[_Key, float]:
        """All of them, as they are now."""
        return dict(self._values)
