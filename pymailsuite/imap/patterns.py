"""Patterns of LIST and LSUB: ``*`` stands for any characters, ``%`` for any but the delimiter. RFC 3501 §6.3.8.

A pattern with one wildcard is a regular expression. One with more would make that expression try every way to share a
name out among them, so it is matched by walking all ways at once: a set of places in the pattern, kept as the bits of a
number, is moved along with each character of the name. That is linear, whatever the client writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from pymailsuite.values import DELIMITER, INBOX

_WILDCARDS = re.compile(r"[*%]+")


class Patterns:
    """Several patterns under one reference, which is simply put in front of each (RFC 5258 §3)."""

    def __init__(self, reference: str, patterns: Iterable[str]) -> None:
        joined = [_WILDCARDS.sub(_strongest, reference + pattern) for pattern in patterns]
        # RFC 3501 §5.1: INBOX in any case, also where it is only the beginning of a name.
        self._matchers = [_matcher(pattern) for pattern in dict.fromkeys([*joined, *map(_with_inbox, joined)])]
        self._has_inbox = any(_matcher(pattern.upper())(INBOX) for pattern in joined)

    def __call__(self, name: str) -> bool:
        """True if one of them matches the name."""
        if name == INBOX:
            return self._has_inbox
        return any(matches(name) for matches in self._matchers)


def _with_inbox(pattern: str) -> str:
    """The pattern with a first level ``inbox`` in capitals, as it is in names."""
    size = len(INBOX)
    if pattern[:size].upper() == INBOX and pattern[size : size + 1] in ("", "*", "%", DELIMITER):
        return INBOX + pattern[size:]
    return pattern


def _strongest(wildcards: re.Match[str]) -> str:
    """Wildcards that follow each other are one."""
    return "*" if "*" in wildcards[0] else "%"


def _matcher(pattern: str) -> Callable[[str], object]:
    wildcards = pattern.count("*") + pattern.count("%")
    if not wildcards:
        return pattern.__eq__
    if wildcards > 1:
        return _Walk(pattern).matches
    before, wildcard, after = re.split("([*%])", pattern)
    inner = ".*" if wildcard == "*" else f"[^{re.escape(DELIMITER)}]*"
    return re.compile(re.escape(before) + inner + re.escape(after), re.DOTALL).fullmatch


class _Walk:
    """All ways through a pattern at once; bit n is set while the first n characters of it are matched."""

    def __init__(self, pattern: str) -> None:
        self._literals: dict[str, int] = {}
        self._any = self._any_inner = 0
        for place, character in enumerate(pattern):
            if character == "*":
                self._any |= 1 << place
            elif character == "%":
                self._any_inner |= 1 << place
            else:
                self._literals[character] = self._literals.get(character, 0) | 1 << place
        self._end = 1 << len(pattern)

    def matches(self, name: str) -> bool:
        """True if a way leads to the end of both."""
        wildcards = self._any | self._any_inner
        # A wildcard may stand for nothing, so whoever is in front of it is behind it too.
        ways = 1 | (1 & wildcards) << 1
        for character in name:
            stays = self._any if character == DELIMITER else wildcards
            ways = (ways & self._literals.get(character, 0)) << 1 | ways & stays
            ways |= (ways & wildcards) << 1
            if not ways:
                return False
        return bool(ways & self._end)
