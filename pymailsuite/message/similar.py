"""Words that are alike: for searches that are not to be taken literally.

A word of a text is like a word that is looked for if it is the same (it scores 100), begins with it (90), contains it
(80), is another form of it (70), or differs in one character (60):

- forms of a word have all but its last letters in common, as *delivery* and *deliveries* have: no rules of a language
  are needed;
- words differ in one character if they become the same when a character is left out of one or of both: one was left
  out, added, replaced, or changed places with its neighbour. The first one is taken to be right.

Short words are not varied: too many others are like them. A text is like a string if each word of the string is like
one of its words, wherever they stand; the score of that is below 100, that of the string itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

from pymailsuite.message.search import Needle
from pymailsuite.message.words import folded_words

_SAME: Final = 100
_BEGINNING: Final = 90
_WITHIN: Final = 80
_FORM: Final = 70
_MISTAKEN: Final = 60
_SCATTERED: Final = 0.95
"""The words of a string are less than the string itself."""

_CONTAINED_MIN: Final = 3
_MISTAKEN_MIN: Final = 4
_FORM_MIN: Final = 5
_ENDING: Final = 3
_STEM_MIN: Final = 4
_CHARACTER: Final = 4
"""The most octets of a character."""
_VARIED_MAX: Final = 48
"""Octets; a longer word is none of a language, and neither it nor what is like it is cut by ``message.words``."""


class SimilarWord:
    """A folded word that is looked for."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.octets = word.encode("utf-8", "surrogatepass")
        length, is_short = len(word), len(self.octets) <= _VARIED_MAX
        self.is_varied = length >= _MISTAKEN_MIN and is_short
        self.stem = word[: max(_STEM_MIN, length - _ENDING)] if length >= _FORM_MIN and is_short else ""
        """With what other forms of it begin; empty: they are not looked for."""
        self._shorter = _without_one(word) | {word} if self.is_varied else frozenset()

    @cached_property
    def candidates(self) -> Callable[[bytes], Iterator[re.Match[bytes]]]:
        """Finds words of about its length with its first character, in a list of words between white space."""
        first = self.word[:1].encode("utf-8", "surrogatepass")
        rest = len(self.octets) - len(first)
        word = rb"%b[^ \n]{%d,%d}" % (re.escape(first), max(0, rest - _CHARACTER), rest + _CHARACTER)
        return re.compile(rb"[ \n](%b)(?=[ \n]|\Z)" % word).finditer

    def is_mistaken_for(self, other: str) -> bool:
        """Whether another word differs in one character."""
        if not self.is_varied or abs(len(other) - len(self.word)) > 1 or other[:1] != self.word[:1]:
            return False
        return other in self._shorter or not self._shorter.isdisjoint(_without_one(other))

    def is_form_of(self, other: str) -> bool:
        """Whether another word is a form of the same one."""
        return bool(self.stem) and len(other) <= len(self.word) + _ENDING and other.startswith(self.stem)

    def score(self, words: frozenset[str]) -> int:
        """How much the most similar of some words is like it, up to 100; 0 if none is."""
        word = self.word
        if word in words:
            return _SAME
        if len(word) >= _CONTAINED_MIN:
            containing = [other for other in words if word in other]
            if containing:
                return _BEGINNING if any(other.startswith(word) for other in containing) else _WITHIN
        if any(map(self.is_form_of, words)):
            return _FORM
        return _MISTAKEN if any(map(self.is_mistaken_for, words)) else 0


def _without_one(word: str) -> frozenset[str]:
    return frozenset(word[:place] + word[place + 1 :] for place in range(len(word)))


class SimilarNeedle(Needle):
    """A string to be found in texts that are like it. One without any word is looked for as it is."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        # White space is told from the rest as the comparison does, by Unicode.
        words = {word for part in self.folded.split() for word in folded_words(part)}
        self.words = tuple(map(SimilarWord, sorted(words)))

    def score_of(self, folded: str) -> int:
        """How much a folded text is like the string, up to 100; 0 if it is not."""
        if super().found_in_folded(folded):
            return _SAME
        if not self.words:
            return 0
        words = folded_words(folded)
        total = 0
        for word in self.words:
            score = word.score(words)
            if not score:
                return 0
            total += score
        return int(total / len(self.words) * _SCATTERED)

    def found_in_folded(self, folded: str) -> bool:
        return self.score_of(folded) > 0
