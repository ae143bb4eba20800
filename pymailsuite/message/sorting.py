"""By what messages are sorted, and sorting that lets others in between. Source: RFC 5256 §2.2, §3."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from pymailsuite.interfaces.mail import Steps
from pymailsuite.message.structure import NO_SENT_DAY

T = TypeVar("T")

ITEMS_A_STEP: Final = 2_000
"""Items sorted or looked at from one step to the next."""
_DAY_S: Final = 86_400
_DRAWN_A_PART: Final = 32
"""Keys that are drawn for each part of a sort: the more, the more alike are its parts."""


def sent_moment(sent_at: float | None, sent_day: int, internal_date: float) -> float:
    """The sent date of RFC 5256 §2.2, in POSIX seconds: where the Date field has no time that can be read its day
    begins, and where it has no day the internal date counts."""
    if sent_at is not None:
        return sent_at
    return internal_date if sent_day == NO_SENT_DAY else float(sent_day * _DAY_S)


def sorted_in_steps(items: Sequence[T], key: Callable[[T], Any], reverse: bool = False) -> Steps[list[T]]:
    """What ``sorted`` answers, stable too when reversed. No step sorts many: nothing else of the process runs while
    Python compares numbers or text.

    Items go into parts between keys that are drawn at random, so that nobody can see to it that one part has most of
    them, and each part is sorted by itself.
    """
    if len(items) <= ITEMS_A_STEP:
        return sorted(items, key=key, reverse=reverse)
    drawn = random.choices(items, k=_DRAWN_A_PART * (2 * len(items) // ITEMS_A_STEP))  # noqa: S311 (no secret)
    bounds = sorted({key(item) for item in drawn})[::_DRAWN_A_PART]
    yield
    parts: list[list[T]] = [[] for _ in range(len(bounds) + 1)]
    for start in range(0, len(items), ITEMS_A_STEP):
        for item in items[start : start + ITEMS_A_STEP]:
            parts[bisect_right(bounds, key(item))].append(item)
        yield
    result: list[T] = []
    for part in reversed(parts) if reverse else parts:
        result += sorted(part, key=key, reverse=reverse)
        yield
    return result
