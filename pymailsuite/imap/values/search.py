"""The keys of SEARCH, a value for each kind. Source: RFC 3501 §6.4.4."""

from __future__ import annotations

import datetime
import enum
from typing import TypeAlias

from attrs import frozen

from pymailsuite.imap.values.numbers import SequenceSet
from pymailsuite.values import SystemFlag


class DateKind(enum.Enum):
    """The date of a message that a SEARCH key tests. Source: RFC 3501 §6.4.4, RFC 8514 §4.3."""

    INTERNAL = ""
    SENT = "SENT"
    SAVED = "SAVED"


class DateRelation(enum.Enum):
    """The relation to the given date, time and zone disregarded."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@frozen
class AllOf:
    """All of the keys match; of none: every message (``ALL``)."""

    keys: tuple[SearchProgram, ...] = ()


@frozen
class AnyOf:
    """At least one of the keys matches (``OR``)."""

    keys: tuple[SearchProgram, ...]


@frozen
class Not:
    """The key does not match."""

    key: SearchProgram


@frozen
class InNumbers:
    """The message's sequence number, or UID, is in the set."""

    numbers: SequenceSet


@frozen
class HasFlag:
    """The system flag is set."""

    flag: SystemFlag


@frozen
class HasKeyword:
    """The keyword is set, whatever its case."""

    keyword: str


@frozen
class IsRecent:
    """``\\Recent`` is this session's."""


@frozen
class HasDate:
    """The date is before, on or since ``date``. A message without that date matches nothing."""

    kind: DateKind
    relation: DateRelation
    date: datetime.date


@frozen
class IsLarger:
    """RFC822.SIZE is greater than ``octets``."""

    octets: int


@frozen
class IsSmaller:
    """RFC822.SIZE is less than ``octets``."""

    octets: int


# With ``fuzzy`` a text that is like the given one is enough (RFC 6203).


@frozen
class HeaderHas:
    """A header field of that name (lower case) holds the text, both decoded; "" asks for the field alone."""

    name: str
    text: str
    fuzzy: bool = False


@frozen
class BodyHas:
    """The body holds the text, decoded."""

    text: str
    fuzzy: bool = False


@frozen
class TextHas:
    """Header or body holds the text, decoded."""

    text: str
    fuzzy: bool = False


class ConditionKey:
    """A key that is its own condition: the value of an extension's key. Derive from ``search.Condition``."""


SearchProgram: TypeAlias = (
    AllOf
    | AnyOf
    | Not
    | InNumbers
    | HasFlag
    | HasKeyword
    | IsRecent
    | HasDate
    | IsLarger
    | IsSmaller
    | HeaderHas
    | BodyHas
    | TextHas
    | ConditionKey
)
