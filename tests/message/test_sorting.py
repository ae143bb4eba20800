"""Sorting in steps, and the sent date. Source: RFC 5256 §2.2."""

from __future__ import annotations

import random

import pytest

from pymailsuite.interfaces import Steps, drained
from pymailsuite.message.sorting import ITEMS_A_STEP, sent_moment, sorted_in_steps
from pymailsuite.message.structure import NO_SENT_DAY


@pytest.mark.parametrize("count", [0, 1, ITEMS_A_STEP, 3 * ITEMS_A_STEP + 1])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_sorted_is_as_python_sorts_and_as_stable(count: int, is_reversed: bool) -> None:
    rng = random.Random(count)
    items = [(rng.randrange(50), place) for place in range(count)]
    expected = sorted(items, key=lambda item: item[0], reverse=is_reversed)
    assert drained(sorted_in_steps(items, lambda item: item[0], is_reversed)) == expected


def test_no_step_takes_many() -> None:
    compared = 0

    def key(item: int) -> int:
        nonlocal compared
        compared += 1
        return item

    work: Steps[list[int]] = sorted_in_steps(range(10 * ITEMS_A_STEP), key)
    most = before = 0
    for _ in work:
        most, before = max(most, compared - before), compared
    assert 0 < most <= ITEMS_A_STEP + 10
    assert before >= 19 * ITEMS_A_STEP


@pytest.mark.parametrize(
    ("sent_at", "sent_day", "moment"),
    [(1000.0, 0, 1000.0), (None, 2, 172_800.0), (None, NO_SENT_DAY, 5.0), (-1.0, -1, -1.0), (0.0, 0, 0.0)],
)
def test_a_date_without_time_begins_its_day_and_without_day_is_that_of_arrival(
    sent_at: float | None, sent_day: int, moment: float
) -> None:
    assert sent_moment(sent_at, sent_day, 5.0) == moment
