"""How far a move has come, for whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told of each phase, and then of what was done in it."""

    def begin(self, phase: str, total: int, unit: str) -> None:
        """A new phase of ``total`` units, ``"rows"`` or ``"octets"``; 0: not known."""

    def advance(self, number: int) -> None:
        """So many more are done."""


class NoProgress:
    """For those who do not look."""

    def begin(self, phase: str, total: int, unit: str) -> None:
        """Nothing."""

    def advance(self, number: int) -> None:
        """Nothing."""
