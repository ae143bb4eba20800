"""The flags of very many messages, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import itemgetter
from typing import overload

FlagRow = tuple[int, int, str, int]
"""uid, system_flags, keywords, modseq"""


class FlagRows(Sequence[FlagRow]):
    """Rows (uid, system_flags, keywords, modseq) by ascending UID, made on access.

    ``combinations`` are the different system flags and keywords, and ``numbers`` has for each message the place of its
    own among them: whoever takes the columns needs no object for each message.
    """

    __slots__ = ("combinations", "modseqs", "numbers", "uids")

    def __init__(
        self, uids: array[int], combinations: Sequence[tuple[int, str]], numbers: Sequence[int], modseqs: array[int]
    ) -> None:
        self.uids = uids
        self.combinations = combinations
        self.numbers = numbers
        self.modseqs = modseqs

    @staticmethod
    def of(rows: Sequence[FlagRow]) -> FlagRows:
        """The columns of these rows."""
        if isinstance(rows, FlagRows):
            return rows
        if len(rows) == 1:
            # Most commands are about one message.
            ((uid, system_flags, keywords, modseq),) = rows
            return FlagRows(array("I", (uid,)), ((system_flags, keywords),), (0,), array("Q", (modseq,)))
        flags = [row[1:3] for row in rows]
        places = {combination: place for place, combination in enumerate(dict.fromkeys(flags))}
        return FlagRows(
            array("I", map(itemgetter(0), rows)),
            list(places),
            [places[combination] for combination in flags],
            array("Q", map(itemgetter(3), rows)),
        )

    def only(self, chosen: Sequence[bool]) -> FlagRows:
        """The rows for which there is True."""
        if all(chosen):
            return self
        return FlagRows(
            array("I", compress(self.uids, chosen)),
            self.combinations,
            list(compress(self.numbers, chosen)),
            array("Q", compress(self.modseqs, chosen)),
        )

    def __len__(self) -> int:
        return len(self.uids)

    def __iter__(self) -> Iterator[FlagRow]:
        return self._rows(slice(None))

    @overload
    def __getitem__(self, place: int) -> FlagRow: ...

    @overload
    def __getitem__(self, place: slice) -> list[FlagRow]: ...

    def __getitem__(self, place: int | slice) -> FlagRow | list[FlagRow]:
        if isinstance(place, slice):
            return list(self._rows(place))
        return self.uids[place], *self.combinations[self.numbers[place]], self.modseqs[place]

    def _rows(self, some: slice) -> Iterator[FlagRow]:
        numbers = self.numbers[some]
        columns = [[values[number] for number in numbers] for values in zip(*self.combinations, strict=True)]
        return zip(self.uids[some], *columns, self.modseqs[some], strict=True) if columns else iter(())
