"""Answers remembered for as long as their TTL says, the least recently used forgotten first.

Pure: the time is an argument. Source: RFC 2308 for what is remembered of names that do not exist.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from attrs import frozen

from pymailsuite.interfaces import Answer


@frozen
class _Remembered:
    answer: Answer
    expires_at: float


class AnswerCache:
    """At most ``size`` answers, kept for ``ttl_max_s`` at most, negative ones for ``negative_ttl_max_s``."""

    def __init__(self, size: int, ttl_max_s: float, negative_ttl_max_s: float) -> None:
        self._size = size
        self._ttl_max_s = ttl_max_s
        self._negative_ttl_max_s = negative_ttl_max_s
        self._answers: OrderedDict[Hashable, _Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: Hashable, now: float) -> Answer | None:
        """The answer, its TTL what is left of it; None if it is not known or no longer good."""
        remembered = self._answers.get(question)
        if remembered is None:
            return None
        if remembered.expires_at <= now:
            del self._answers[question]
            return None
        self._answers.move_to_end(question)
        answer = remembered.answer
        return Answer(answer.records, answer.exists, answer.secure, int(remembered.expires_at - now))

    def put(self, question: Hashable, answer: Answer, now: float) -> None:
        """Remember ``answer`` for its TTL, within the limits."""
        ttl_s = min(answer.ttl_s, self._ttl_max_s if answer.records else self._negative_ttl_max_s)
        if ttl_s <= 0 or self._size <= 0:
            return
        self._answers[question] = _Remembered(answer, now + ttl_s)
        self._answers.move_to_end(question)
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
