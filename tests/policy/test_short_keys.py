"""Answers remembered for short texts only."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.short_keys import remember_short


class ShortKeyTests(SynchronousTestCase):
    def test_short_texts_are_looked_at_once_and_long_ones_each_time(self) -> None:
        asked: list[str] = []

        @remember_short(8, 3)
        def length(text: str) -> int:
            asked.append(text)
            return len(text)

        for text in ("abc", "abcd", "abc", "abcd"):
            self.assertEqual(len(text), length(text))
        self.assertEqual(["abc", "abcd", "abcd"], asked)
