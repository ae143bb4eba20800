"""Answers remembered for as long as their TTL says.

Source: RFC 2308 for what is remembered of names that do not exist.
"""

from __future__ import annotations

from collections.abc import Hashable

from twisted.internet.interfaces import IReactorTime

from pymailsuite.interfaces import Answer
from pymailsuite.memory import ExpiringMemory


class AnswerCache:
    """At most ``size`` answers, kept for ``ttl_max_s`` at most, negative ones for ``negative_ttl_max_s``."""

    def __init__(self, clock: IReactorTime, size: int, ttl_max_s: float, negative_ttl_max_s: float) -> None:
        self._ttl_max_s = ttl_max_s
        self._negative_ttl_max_s = negative_ttl_max_s
        self._answers: ExpiringMemory[Hashable, Answer] = ExpiringMemory(clock, size)

    def get(self, question: Hashable) -> Answer | None:
        """The answer, its TTL what is left of it; None if it is not known or no longer good."""
        known = self._answers.get_with_life(question)
        if known is None:
            return None
        answer, left_s = known
        return Answer(answer.records, answer.exists, answer.secure, int(left_s))

    def put(self, question: Hashable, answer: Answer) -> None:
        """Remember ``answer`` for its TTL, within the limits."""
        ttl_max_s = self._ttl_max_s if answer.records else self._negative_ttl_max_s
        self._answers.put(question, answer, min(answer.ttl_s, ttl_max_s))
