"""From keys to conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pymailsuite.imap.search.by_columns import ByFlag, ByKeyword, ByNumber, ByRecent, BySize, ByStoredDate
from pymailsuite.imap.search.by_header import ByHeader, BySentDate, BySubject
from pymailsuite.imap.search.conditions import All, Condition, Negation, TextCondition
from pymailsuite.imap.values import (
    AllOf,
    AnyOf,
    BodyHas,
    DateKind,
    HasDate,
    HasFlag,
    HasKeyword,
    HeaderHas,
    InNumbers,
    IsLarger,
    IsRecent,
    IsSmaller,
    Not,
    SearchProgram,
    TextHas,
)


def _header_condition(key: HeaderHas) -> Condition:
    return BySubject(key) if key.name == "subject" and BySubject.can_tell(key) else ByHeader(key)


def _date_condition(key: HasDate) -> Condition:
    return BySentDate(key) if key.kind is DateKind.SENT else ByStoredDate(key)


_SIMPLE: Final[dict[type[Any], Callable[[Any], Condition]]] = {
    BodyHas: TextCondition,
    HasDate: _date_condition,
    HasFlag: ByFlag,
    HasKeyword: ByKeyword,
    HeaderHas: _header_condition,
    InNumbers: ByNumber,
    IsLarger: BySize,
    IsRecent: lambda _: ByRecent(),
    IsSmaller: BySize,
    TextHas: TextCondition,
}


def condition_of(key: SearchProgram) -> Condition:
    """The condition of a key; a key of an extension is its own condition."""
    if isinstance(key, AllOf):
        return All([condition_of(inner) for inner in key.keys])
    if isinstance(key, AnyOf):
        # a or b is not (not a and not b): the second is asked only of those that the first left over.
        return Negation(All([Negation(condition_of(inner)) for inner in key.keys]))
    if isinstance(key, Not):
        return Negation(condition_of(key.key))
    if isinstance(key, Condition):
        return key
    return _SIMPLE[type(key)](key)
