"""Functions of one text whose answers are remembered, unless the text is long."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

K = TypeVar("K", str, bytes)
T = TypeVar("T")


def remember_short(size: int, longest: int) -> Callable[[Callable[[K], T]], Callable[[K], T]]:
    """As ``lru_cache`` of ``size``, but for texts of more than ``longest`` characters (or octets).

    A tag of a signature may be a megabyte. A thousand of those would stay in memory, and be no use to anybody.
    """

    def decorated(function: Callable[[K], T]) -> Callable[[K], T]:
        remembered = lru_cache(maxsize=size)(function)

        @wraps(function)
        def call(text: K) -> T:
            return remembered(text) if len(text) <= longest else function(text)

        return call

    return decorated
