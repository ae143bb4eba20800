"""The flags of a message as sessions hold them: one shared object for each combination in use.

A mailbox of 100,000 messages has a few dozen combinations of flags. Each is kept once in the process, with its wire
form made once, and lives as long as a session refers to it; a message costs a session one pointer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from weakref import WeakValueDictionary

from pymailsuite.imap.render import flag_names
from pymailsuite.values import FlagChange, Flags, SystemFlag

SYSTEM_FLAGS: Final = flag_names(sum(SystemFlag)).decode("ascii")
"""All system flags as FLAGS lists them."""


class FlagState:
    """One combination of flags. ``text`` is the text between the parentheses of FLAGS, without ``\\Recent``."""

    __slots__ = ("__weakref__", "keywords", "recent_text", "system", "text")

    def __init__(self, system: int, keywords: str) -> None:
        self.system = system
        self.keywords = keywords
        self.text = flag_names(system, keywords).decode("ascii")
        self.recent_text = flag_names(system, keywords, recent=True).decode("ascii")

    def after(self, change: FlagChange, flags: Flags) -> tuple[int, frozenset[str]]:
        """These flags after ``change``: system bits, and keywords in lower case."""
        keywords = frozenset(self.keywords.lower().split())
        named = frozenset(keyword.lower() for keyword in flags.keywords)
        if change is FlagChange.REPLACE:
            return int(flags.system), named
        if change is FlagChange.ADD:
            return self.system | flags.system, keywords | named
        return self.system & ~flags.system, keywords - named


_states: WeakValueDictionary[tuple[int, str], FlagState] = WeakValueDictionary()


def flag_state(system: int, keywords: str) -> FlagState:
    """The one object for this combination; ``keywords`` as :attr:`Column.KEYWORDS` gives them."""
    state = _states.get((system, keywords))
    if state is None:
        state = _states[system, keywords] = FlagState(system, keywords)
    return state


class StateByFlags(dict[tuple[int, str], FlagState]):
    """:func:`flag_state` for many messages, without a Python call for all but the first of each combination."""

    def __missing__(self, key: tuple[int, str]) -> FlagState:
        state = self[key] = flag_state(*key)
        return state


def flag_states(rows: Iterable[tuple[int, int, str, int]]) -> list[FlagState]:
    """The states of rows (uid, system_flags, keywords, modseq)."""
    found = StateByFlags()
    return [found[row[1:3]] for row in rows]
