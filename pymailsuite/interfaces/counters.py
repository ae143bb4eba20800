"""Numbers about what goes on, for whoever shows them."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import Interface


class ICounters(Interface):
    """Counts and levels by name. A name is ``room_what``; labels tell apart what has the same name."""

    def count(name: str, amount: int = 1, **labels: str) -> None:
        """Something has happened, ``amount`` times."""

    def level(name: str, value: float, **labels: str) -> None:
        """Something is as it is now."""

    def values() -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All of them: by name and sorted labels."""
