"""By what messages are sorted, and sorting that lets others in between. Source: RFC 5256 §2.2, §3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import merge
from itertools import islice
from typing import Any, Final, TypeVar

from pymailsuite.interfaces.mail import Steps
from pymailsuite.message.structure import NO_SENT_DAY

T = TypeVar("T")

ITEMS_A_STEP: Final = 2_000
"""Items sorted or looked at from one step to the next."""
_DAY_S: Final = 86_400


def sent_moment(sent_at: float | None, sent_day: int, internal_date: float) -> float:
    """The sent date of RFC 5256 §2.2, in POSIX seconds: where the Date field has no time that can be read its day
    begins, and where it has no day the internal date counts."""
    if sent_at is not None:
        return sent_at
    return internal_date if sent_day == NO_SENT_DAY else float(sent_day * _DAY_S)


def sorted_in_steps(items: Sequence[T], key: Callable[[T], Any], reverse: bool = False) -> Steps[list[T]]:
    """What ``sorted`` answers, stable too when reversed. No step sorts many: nothing else of the process runs while
    Python compares numbers or text."""
    if len(items) <= ITEMS_A_STEP:
        return sorted(items, key=key, reverse=reverse)
    runs = []
    for start in range(0, len(items), ITEMS_A_STEP):
        runs.append(sorted(items[start : start + ITEMS_A_STEP], key=key, reverse=reverse))
        yield
    merged = merge(*runs, key=key, reverse=reverse)
    result: list[T] = []
    while some := list(islice(merged, ITEMS_A_STEP)):
        result += some
        yield
    return result
