"""Waiting for what real processes bring about, on a machine that may do much else beside."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 120.0
"""For what must come. Only a defect makes a test wait so long; how fast things are is not what such a limit is for."""

_INTERVAL_S = 0.02


def until(look: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What ``look`` finds as soon as that is true; AssertionError with what it found last if it never is."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {patience_s} s"
        time.sleep(_INTERVAL_S)
    return found


def at_best(measure: Callable[[], float], limit_s: float, rounds: int = 8) -> None:
    """AssertionError if what ``measure`` answers, in seconds, is never below the limit.

    Whatever else the machine does makes one round slow, but not all of them; what waits for a timer is always slow.
    """
    took: list[float] = []
    while not took or took[-1] >= limit_s:
        assert len(took) < rounds, f"never within {limit_s} s: {took}"
        took.append(measure())
