"""Patterns of LIST and LSUB: ``*`` stands for any characters, ``%`` for any but the delimiter. RFC 3501 §6.3.8.

One pattern with one wildcard is a regular expression. With more wildcards that expression would backtrack over every
division of a name among them, so the pattern is matched as an automaton: a set of places in the pattern, kept as the
bits of a number, advances with each character of the name. Many patterns run together, as if they were one. That is
linear for any pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pymailsuite.values import DELIMITER, INBOX

_WILDCARDS = re.compile(r"[*%]+")


class Patterns:
    """Several patterns under one reference, which is simply put in front of each (RFC 5258 §3)."""

    def __init__(self, reference: str, patterns: Iterable[str], delimiter: str = DELIMITER) -> None:
        joined = [_WILDCARDS.sub(_strongest, reference + pattern) for pattern in patterns]
        # RFC 3501 §5.1: INBOX in any case, also where it is only the beginning of a name.
        distinct = dict.fromkeys([*joined, *(_with_inbox(pattern, delimiter) for pattern in joined)])
        self._names = frozenset(pattern for pattern in distinct if not _WILDCARDS.search(pattern))
        self._wild = [pattern for pattern in distinct if pattern not in self._names]
        self._matchers = _matchers(self._wild, delimiter)
        inbox = [pattern.upper() for pattern in joined]
        self._has_inbox = INBOX in inbox or any(matches(INBOX) for matches in _matchers(inbox, delimiter))

    def __call__(self, name: str) -> bool:
        """True if one of them matches the name."""
        if name == INBOX:
            return self._has_inbox
        return name in self._names or any(matches(name) for matches in self._matchers)

    def reach(self, prefix: str) -> bool:
        """False if no name that begins so can match, and no name that ``prefix`` begins with."""
        return any(name.startswith(prefix) or prefix.startswith(name) for name in self._names) or any(
            start.startswith(prefix) or prefix.startswith(start)
            for start in (_WILDCARDS.split(pattern, maxsplit=1)[0] for pattern in self._wild)
        )


def _with_inbox(pattern: str, delimiter: str) -> str:
    """The pattern with a first level ``inbox`` in capitals, as it is in names."""
    size = len(INBOX)
    if pattern[:size].upper() == INBOX and pattern[size : size + 1] in ("", "*", "%", delimiter):
        return INBOX + pattern[size:]
    return pattern


def _strongest(wildcards: re.Match[str]) -> str:
    """Wildcards that follow each other are one."""
    return "*" if "*" in wildcards[0] else "%"


def _matchers(patterns: Sequence[str], delimiter: str) -> list[Callable[[str], object]]:
    """Functions of which one returns a true value if one of the patterns matches."""
    if len(patterns) == 1 and len(_WILDCARDS.findall(patterns[0])) == 1:
        before, wildcard, after = re.split("([*%])", patterns[0])
        inner = ".*" if wildcard == "*" else f"[^{re.escape(delimiter)}]*"
        return [re.compile(re.escape(before) + inner + re.escape(after), re.DOTALL).fullmatch]
    walks: list[_Walk] = []
    for pattern in patterns:
        if not walks or walks[-1].size > _PLACES_A_WALK:
            walks.append(_Walk(delimiter))
        walks[-1].add(pattern)
    return [walk.matches for walk in walks]


_PLACES_A_WALK: Final = 2048
"""Each step of a walk costs by its length, and so does each place that is added."""


class _Walk:
    """All states of some patterns at once; a bit for each place of each pattern, its end included."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._literals: dict[str, int] = {}
        self._any = self._any_inner = self._starts = self._ends = 0
        self.size = 0
        """Places of all patterns."""

    def add(self, pattern: str) -> None:
        """Add a pattern without adjacent wildcards."""
        self._starts |= 1 << self.size
        for place, character in enumerate(pattern, self.size):
            if character == "*":
                self._any |= 1 << place
            elif character == "%":
                self._any_inner |= 1 << place
            else:
                self._literals[character] = self._literals.get(character, 0) | 1 << place
        self.size += len(pattern)
        self._ends |= 1 << self.size
        self.size += 1

    def matches(self, name: str) -> bool:
        """True if the name leads to the end of a pattern."""
        wildcards = self._any | self._any_inner
        delimiter = self._delimiter
        # A wildcard may match nothing, so the place before it implies the place after it.
        ways = self._starts | (self._starts & wildcards) << 1
        for character in name:
            stays = self._any if character == delimiter else wildcards
            ways = (ways & self._literals.get(character, 0)) << 1 | ways & stays
            ways |= (ways & wildcards) << 1
            if not ways:
                return False
        return bool(ways & self._ends)
