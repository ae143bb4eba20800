"""The keys of RFC 3501 §6.4.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pymailsuite.imap.extension import SearchKey
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.values import (
    AllOf,
    AnyOf,
    BodyHas,
    DateKind,
    DateRelation,
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
from pymailsuite.values import SystemFlag


def _not(keys: KeyReader) -> SearchProgram:
    return Not(keys.key())


def _or(keys: KeyReader) -> SearchProgram:
    first = keys.key()
    keys.cursor.space()
    return AnyOf((first, keys.key()))


def _header(keys: KeyReader) -> SearchProgram:
    # "HEADER" SP header-fld-name SP astring
    name = keys.cursor.astring("a field name").decode("utf-8", "replace")
    keys.cursor.space()
    return HeaderHas(name.lower().rstrip(": "), keys.text())


def _field(name: str) -> Callable[[KeyReader], SearchProgram]:
    return lambda keys: HeaderHas(name, keys.text())


def date_keys(kind: DateKind) -> tuple[SearchKey, ...]:
    """The three keys about one date of a message: SINCE, SENTSINCE, SAVEDSINCE and so on."""
    return tuple(_date_key(kind, relation) for relation in DateRelation)


def _date_key(kind: DateKind, relation: DateRelation) -> SearchKey:
    return SearchKey(kind.value + relation.value, lambda keys: HasDate(kind, relation, keys.cursor.date()))


_FLAGS: Final = [(flag.name, HasFlag(flag)) for flag in SystemFlag if flag.name]
_SEEN: Final = HasFlag(SystemFlag.SEEN)

# search-key   ; RFC 3501 §9
KEYS: Final = (
    SearchKey("ALL", bare=AllOf()),
    SearchKey("NEW", bare=AllOf((IsRecent(), Not(_SEEN)))),
    SearchKey("OLD", bare=Not(IsRecent())),
    SearchKey("RECENT", bare=IsRecent()),
    *(SearchKey(name, bare=has_flag) for name, has_flag in _FLAGS),
    *(SearchKey(f"UN{name}", bare=Not(has_flag)) for name, has_flag in _FLAGS),
    SearchKey("NOT", _not),
    SearchKey("OR", _or),
    *(SearchKey(name.upper(), _field(name)) for name in ("bcc", "cc", "from", "subject", "to")),
    *date_keys(DateKind.INTERNAL),
    *date_keys(DateKind.SENT),
    SearchKey("BODY", lambda keys: BodyHas(keys.text())),
    SearchKey("HEADER", _header),
    SearchKey("KEYWORD", lambda keys: HasKeyword(keys.cursor.atom("a keyword"))),
    SearchKey("UNKEYWORD", lambda keys: Not(HasKeyword(keys.cursor.atom("a keyword")))),
    SearchKey("LARGER", lambda keys: IsLarger(keys.cursor.number64())),
    SearchKey("SMALLER", lambda keys: IsSmaller(keys.cursor.number64())),
    SearchKey("TEXT", lambda keys: TextHas(keys.text())),
    SearchKey("UID", lambda keys: InNumbers(keys.cursor.sequence_set(uid=True))),
)
