"""Searches whose results are kept up to date for the client (RETURN (UPDATE)). Source: RFC 5267 §4.3.

A search remembers the UIDs of what it found. The view tells it which messages are new or have other flags; these alone
are searched again, after the changes themselves were reported. Messages that are expunged are told before their
EXPUNGE, while they have their numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from pymailsuite.imap.context import Context
from pymailsuite.imap.replies import CRLF
from pymailsuite.imap.search.replies import compact
from pymailsuite.imap.selected import View
from pymailsuite.interfaces import drained

Pair = tuple[int, Sequence[int]]
"""A context-position (RFC 5267 §4.3.3) and UIDs."""

_FEW = 100
"""UIDs that are taken out of an array one by one."""


class SearchUpdates(ABC):
    """The results of the command ``tag``; ``uid``: they are told as UIDs. ``watches_flags``: a message may begin or
    cease to match when its flags change."""

    def __init__(self, tag: str, *, uid: bool, watches_flags: bool) -> None:
        self.tag = tag
        self._uid = uid
        self._watches_flags = watches_flags
        self._unsure: set[int] = set()
        """Messages that are to be searched again."""

    @property
    def owes_search(self) -> bool:
        """Whether some messages are to be searched again."""
        return bool(self._unsure)

    def note_changed(self, uids: Iterable[int]) -> None:
        """The flags of these have changed."""
        if self._watches_flags:
            self._unsure.update(uids)

    def note_arrived(self, uids: Iterable[int]) -> None:
        """These are new."""
        self._unsure.update(uids)

    def forget(self, view: View, uids: Iterable[int]) -> bytes:
        """These are about to be expunged: what is to be sent before that. Source: RFC 5267 §4.3.4."""
        gone = set(uids)
        self._unsure -= gone
        removed = self._remove(gone)
        return self._line(view, REMOVEFROM=removed) if removed else b""

    async def refresh(self, context: Context, view: View) -> None:
        """Search changed messages again, and say what is other than before. After an error they are searched the next
        time."""
        uids = sorted(uid for uid in self._unsure if view.number_of(uid))
        if uids:
            matching = set(await self._matching(context, view, uids))
            removed = self._remove({uid for uid in uids if uid not in matching})
            added = await self._add(context, view, [uid for uid in uids if uid in matching and not self._has(uid)])
            if removed or added:
                context.out.append(self._line(view, REMOVEFROM=removed, ADDTO=added))
        self._unsure.clear()

    def _line(self, view: View, **items: Sequence[Pair]) -> bytes:
        words = [f'* ESEARCH (TAG "{self.tag}")']
        if self._uid:
            words.append("UID")
        for name, pairs in items.items():
            if pairs:
                told = " ".join(f"{position} {self._as_set(view, uids)}" for position, uids in pairs)
                words.append(f"{name} ({told})")
        return " ".join(words).encode("ascii") + CRLF

    def _as_set(self, view: View, uids: Sequence[int]) -> str:
        return drained(compact(uids if self._uid else list(map(view.number_of, uids))))

    @abstractmethod
    def __len__(self) -> int:
        """How many messages match."""

    @abstractmethod
    def _has(self, uid: int) -> bool: ...

    @abstractmethod
    async def _matching(self, context: Context, view: View, uids: Sequence[int]) -> Sequence[int]:
        """Those of these messages that match now."""

    @abstractmethod
    def _remove(self, uids: set[int]) -> Sequence[Pair]:
        """Take out those that are in."""

    @abstractmethod
    async def _add(self, context: Context, view: View, uids: Sequence[int]) -> Sequence[Pair]:
        """Put in these, which ascend and are not in."""


class FoundUpdates(SearchUpdates):
    """Of SEARCH, whose results are in mailbox order: their position is 0. ``find`` finds among some messages."""

    def __init__(
        self,
        tag: str,
        found: Sequence[int],
        find: Callable[[Context, View, Sequence[int]], Awaitable[Sequence[int]]],
        *,
        uid: bool,
        watches_flags: bool,
    ) -> None:
        super().__init__(tag, uid=uid, watches_flags=watches_flags)
        self._found = array("I", found)
        self._find = find

    def __len__(self) -> int:
        return len(self._found)

    def _has(self, uid: int) -> bool:
        place = bisect_left(self._found, uid)
        return place < len(self._found) and self._found[place] == uid

    async def _matching(self, context: Context, view: View, uids: Sequence[int]) -> Sequence[int]:
        return await self._find(context, view, uids)

    def _remove(self, uids: set[int]) -> Sequence[Pair]:
        gone = sorted(filter(self._has, uids))
        if not gone:
            return ()
        if len(gone) > _FEW:
            self._found = array("I", [uid for uid in self._found if uid not in uids])
        else:
            for uid in gone:
                del self._found[bisect_left(self._found, uid)]
        return ((0, gone),)

    async def _add(self, context: Context, view: View, uids: Sequence[int]) -> Sequence[Pair]:
        if not uids:
            return ()
        is_behind = not self._found or uids[0] > self._found[-1]
        self._found.extend(uids)
        if not is_behind:
            self._found = array("I", sorted(self._found))
        return ((0, uids),)


class SortedUpdates(SearchUpdates):
    """Of SORT: each has its position. ``rows`` are the results in their order, each a UID and what it is sorted by;
    ``read`` reads such rows, and ``key`` orders them."""

    def __init__(
        self,
        tag: str,
        rows: Sequence[tuple[Any, ...]],
        find: Callable[[Context, View, Sequence[int]], Awaitable[Sequence[int]]],
        read: Callable[[Context, View, Sequence[int]], Awaitable[Sequence[tuple[Any, ...]]]],
        key: Callable[[tuple[Any, ...]], Any],
        *,
        uid: bool,
        watches_flags: bool,
    ) -> None:
        super().__init__(tag, uid=uid, watches_flags=watches_flags)
        self._rows = list(rows)
        self._known = {row[0] for row in rows}
        self._find = find
        self._read = read
        self._key = key

    def __len__(self) -> int:
        return len(self._rows)

    def _has(self, uid: int) -> bool:
        return uid in self._known

    async def _matching(self, context: Context, view: View, uids: Sequence[int]) -> Sequence[int]:
        return await self._find(context, view, uids)

    def _remove(self, uids: set[int]) -> Sequence[Pair]:
        gone = uids & self._known
        if not gone:
            return ()
        self._known -= gone
        pairs = _runs([(place + 1, row[0]) for place, row in enumerate(self._rows) if row[0] in gone])
        self._rows = [row for row in self._rows if row[0] not in gone]
        # From the end: what is taken out does not move what is still to be.
        return pairs[::-1]

    async def _add(self, context: Context, view: View, uids: Sequence[int]) -> Sequence[Pair]:
        if not uids:
            return ()
        fresh = await self._read(context, view, uids)
        self._known.update(row[0] for row in fresh)
        self._rows = sorted([*self._rows, *fresh], key=self._key)
        added = set(uids)
        # From the beginning: each is told its position among all that stand before it.
        return _runs([(place + 1, row[0]) for place, row in enumerate(self._rows) if row[0] in added])


def _runs(placed: Sequence[tuple[int, int]]) -> list[Pair]:
    """Positions that ascend, with a UID each: those that follow one another together."""
    runs: list[tuple[int, list[int]]] = []
    for position, uid in placed:
        if runs and runs[-1][0] + len(runs[-1][1]) == position:
            runs[-1][1].append(uid)
        else:
            runs.append((position, [uid]))
    return list(runs)
