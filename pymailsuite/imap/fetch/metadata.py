"""Data items that come from the store as they are sent: no item of these costs a Python call for each message.

An item is a piece of a ``%`` template and a function that gives, for all messages of a batch at once, the iterables
that fill it: columns, or chains of maps in C over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from operator import contains
from typing import Any, Final, TypeAlias

from attrs import frozen

from pymailsuite.imap.batch import Batch
from pymailsuite.imap.render import DateTimes, date_time, flag_names
from pymailsuite.imap.values import Datum
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


def _flags() -> Arguments:
    texts = _FlagTexts()

    def arguments(batch: Batch) -> tuple[Iterable[Any], ...]:
        system, keywords, recent = batch[Column.SYSTEM_FLAGS], batch[Column.KEYWORDS], batch.recent_uids
        if not recent and not any(keywords):
            return (map(_SYSTEM_TEXTS.__getitem__, system),)
        is_recent: Iterable[bool] = map(contains, repeat(recent), batch.uids) if recent else repeat(False)
        # Not strict: one of the three may be endless.
        return (map(texts.__getitem__, zip(system, keywords, is_recent, strict=False)),)

    return arguments


def _internal_date() -> Arguments:
    dates = DateTimes()
    return lambda batch: dates.columns(batch[Column.INTERNAL_DATE])


def _save_date() -> Arguments:
    # NIL where the mailbox has no save date for the message: RFC 8514 §4.2
    return lambda batch: ([b"NIL" if seconds is None else date_time(seconds) for seconds in batch[Column.SAVE_DATE]],)


def _plain(column: Column) -> Callable[[], Arguments]:
    return lambda: lambda batch: (batch[column],)


# msg-att-dynamic and msg-att-static of RFC 3501 §9; MODSEQ: RFC 7162 §7; SAVEDATE: RFC 8514 §4.2
_TEXTS: Final[Mapping[Datum, tuple[bytes, tuple[Column, ...], Callable[[], Arguments]]]] = {
    Datum.UID: (b"UID %d", (Column.UID,), _plain(Column.UID)),
    Datum.FLAGS: (b"FLAGS (%b)", (Column.SYSTEM_FLAGS, Column.KEYWORDS), _flags),
    Datum.INTERNALDATE: (b"INTERNALDATE %b%b%b", (Column.INTERNAL_DATE,), _internal_date),
    Datum.SIZE: (b"RFC822.SIZE %d", (Column.SIZE,), _plain(Column.SIZE)),
    Datum.ENVELOPE: (b"ENVELOPE %b", (Column.ENVELOPE,), _plain(Column.ENVELOPE)),
    Datum.BODY: (b"BODY %b", (Column.BODY,), _plain(Column.BODY)),
    Datum.BODYSTRUCTURE: (b"BODYSTRUCTURE %b", (Column.BODYSTRUCTURE,), _plain(Column.BODYSTRUCTURE)),
    Datum.MODSEQ: (b"MODSEQ (%d)", (Column.MODSEQ,), _plain(Column.MODSEQ)),
    Datum.SAVEDATE: (b"SAVEDATE %b", (Column.SAVE_DATE,), _save_date),
}


def text_of(datum: Datum) -> Text:
    """The item as one plan uses it, with caches of its own."""
    template, columns, arguments = _TEXTS[datum]
    return Text(template, columns, arguments())


def constant(octets: bytes) -> Text:
    """The same for each message."""
    return Text(octets.replace(b"%", b"%%"), (), lambda _: ())


MESSAGE_NUMBER: Final = Text(b"%d", (Column.UID,), lambda batch: (map(batch.numbers, batch.uids),))
"""The sequence number a response begins with."""
