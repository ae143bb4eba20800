"""Data items that the store has in wire form: none of these costs a Python call for each message.

An item is a piece of a ``%`` template and a function that gives, for all messages of a batch at once, the iterables
that fill it: columns, or chains of maps in C over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from operator import contains
from typing import Any, Final, TypeAlias

from attrs import frozen

from pymailsuite.imap.batch import Batch
from pymailsuite.imap.render import DateTimes, flag_names
from pymailsuite.interfaces import Column

Arguments: TypeAlias = Callable[[Batch], tuple[Iterable[Any], ...]]


@frozen
class Text:
    """``template`` filled, for each message, with one value from each iterable that ``arguments`` gives."""

    template: bytes
    columns: tuple[Column, ...]
    arguments: Arguments


class _FlagTexts(dict[tuple[int, str, bool], bytes]):
    """Each combination of flags in use, rendered once."""

    def __missing__(self, key: tuple[int, str, bool]) -> bytes:
        text = self[key] = flag_names(*key)
        return text


# All 32 combinations of system flags.
_SYSTEM_TEXTS: Final = tuple(flag_names(bits) for bits in range(32))


def flag_texts() -> Arguments:
    """FLAGS, with a cache of its own."""
    texts = _FlagTexts()

    def arguments(batch: Batch) -> tuple[Iterable[Any], ...]:
        system, keywords, recent = batch[Column.SYSTEM_FLAGS], batch[Column.KEYWORDS], batch.recent_uids
        if not recent and not any(keywords):
            return (map(_SYSTEM_TEXTS.__getitem__, system),)
        is_recent: Iterable[bool] = map(contains, repeat(recent), batch.uids) if recent else repeat(False)
        # Not strict: one of the three may be endless.
        return (map(texts.__getitem__, zip(system, keywords, is_recent, strict=False)),)

    return arguments


def internal_dates() -> Arguments:
    """INTERNALDATE, with a cache of its own."""
    dates = DateTimes()
    return lambda batch: dates.columns(batch[Column.INTERNAL_DATE])


def constant(octets: bytes) -> Text:
    """The same for each message."""
    return Text(octets.replace(b"%", b"%%"), (), lambda _: ())


MESSAGE_NUMBER: Final = Text(b"%d", (Column.UID,), lambda batch: (map(batch.numbers, batch.uids),))
"""The sequence number a response begins with."""

MESSAGE_UID: Final = Text(b"%d", (Column.UID,), lambda batch: (batch.uids,))
"""The UID, where it takes the place of the sequence number."""
