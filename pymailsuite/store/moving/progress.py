"""The progress of a move, for display."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives each phase, and then the progress in it."""

    def begin(self, phase: str, total: int, unit: str) -> None:
        """A new phase of ``total`` units, ``"rows"`` or ``"octets"``; 0: not known."""

    def advance(self, number: int) -> None:
        """So many more are done."""


class NoProgress:
    """Ignores the progress."""

    def begin(self, phase: str, total: int, unit: str) -> None:
        """Nothing."""

    def advance(self, number: int) -> None:
        """Nothing."""
