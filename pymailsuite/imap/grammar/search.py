"""SEARCH. Source: RFC 3501 §6.4.4 and §9, RFC 4731 (RETURN), RFC 5032 (OLDER, YOUNGER), RFC 7162 (MODSEQ), RFC 8514."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor, text_decoder
from pymailsuite.imap.values import (
    AllOf,
    AnyOf,
    BodyHas,
    Command,
    DateKind,
    DateRelation,
    HasDate,
    HasFlag,
    HasKeyword,
    HasModSeq,
    HeaderHas,
    InNumbers,
    IsLarger,
    IsRecent,
    IsSmaller,
    IsYounger,
    KnowsSaveDate,
    Not,
    Search,
    SearchKey,
    TextHas,
)
from pymailsuite.values import SystemFlag

# search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT"   ; RFC 4731 §3.1
_RETURNS: Final = frozenset({"MIN", "MAX", "ALL", "COUNT"})

# Looked for before any search key; neither word is one.
_RETURN = re.compile(rb"RETURN ++(?=\()", re.IGNORECASE)
_CHARSET = re.compile(rb"CHARSET ++", re.IGNORECASE)

_SEEN = HasFlag(SystemFlag.SEEN)
_BARE: Final[dict[str, SearchKey]] = {
    "ALL": AllOf(),
    "NEW": AllOf((IsRecent(), Not(_SEEN))),
    "OLD": Not(IsRecent()),
    "RECENT": IsRecent(),
    "SAVEDATESUPPORTED": KnowsSaveDate(),
    **{flag.name: HasFlag(flag) for flag in SystemFlag if flag.name},
    **{f"UN{flag.name}": Not(HasFlag(flag)) for flag in SystemFlag},
}
_FIELDS: Final = {"BCC": "bcc", "CC": "cc", "FROM": "from", "SUBJECT": "subject", "TO": "to"}
_DATES: Final = {kind.value + relation.value: (kind, relation) for kind in DateKind for relation in DateRelation}
# entry-name = DQUOTE "/flags/" attr-flag DQUOTE;  entry-type-req = "priv" / "shared" / "all"   ; RFC 7162 §7
_ENTRY = re.compile(rb'"/flags/(?:\\\\)?[^\x00-\x20\x7f-\xff(){%*"\\\]]++" ++(?:priv|shared|all) ++', re.IGNORECASE)


def parse_search(cursor: Cursor, tag: str, uid: bool = False) -> Command:
    """search = "SEARCH" [search-return-opts] SP search-program   ; RFC 4731 §3.1, RFC 4466 §2.6.

    search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)

    UnknownCharset: the strings cannot be decoded.
    """
    cursor.space()
    returns = None
    charset = None
    if cursor.try_match(_RETURN):
        # search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
        returns = frozenset([cursor.word("a return option") for _ in cursor.listed(10, "return options")])
        if not returns <= _RETURNS:
            raise PeerError("Unknown return option")
        returns = returns or frozenset({"ALL"})
        cursor.space()
    if cursor.try_match(_CHARSET):
        charset = cursor.astring("a charset").decode("ascii", "replace")
        cursor.space()
    keys = _Keys(cursor, text_decoder(charset))
    program = [keys.key(0)]
    while not cursor.is_at_end():
        cursor.space()
        program.append(keys.key(0))
    return Search(tag, program[0] if len(program) == 1 else AllOf(tuple(program)), returns, charset, uid)


class _Keys:
    """Reads search keys, counting them and how deep they stand."""

    def __init__(self, cursor: Cursor, decode: Callable[[bytes], str]) -> None:
        self._cursor = cursor
        self._decode = decode
        self._left = cursor.limits.search_keys

    def key(self, depth: int) -> SearchKey:
        """search-key, at ``depth`` keys within each other."""
        cursor = self._cursor
        if depth > cursor.limits.search_depth:
            raise PeerError("Search keys too deep")
        self._left -= 1
        if self._left < 0:
            raise PeerError("Too many search keys")
        if cursor.try_take(b"("):
            return self._parenthesis(depth)
        numbers = cursor.try_sequence_set(uid=False)
        if numbers is not None:
            return InNumbers(numbers)
        word = cursor.word("a search key")
        if word in _BARE:
            return _BARE[word]
        cursor.space()
        if word == "NOT":
            return Not(self.key(depth + 1))
        if word == "OR":
            first = self.key(depth + 1)
            cursor.space()
            return AnyOf((first, self.key(depth + 1)))
        if word in _FIELDS:
            return HeaderHas(_FIELDS[word], self._text())
        if word in _DATES:
            return HasDate(*_DATES[word], cursor.date())
        if word in _ARGUMENTS:
            return _ARGUMENTS[word](self)
        raise PeerError("Unknown search key")

    def _parenthesis(self, depth: int) -> SearchKey:
        # "(" search-key *(SP search-key) ")"
        self._cursor.skip_spaces()
        keys = [self.key(depth + 1)]
        while not self._cursor.try_close():
            keys.append(self.key(depth + 1))
        return keys[0] if len(keys) == 1 else AllOf(tuple(keys))

    def _text(self) -> str:
        return self._decode(self._cursor.astring())

    def _header(self) -> SearchKey:
        # "HEADER" SP header-fld-name SP astring
        name = self._cursor.astring("a field name").decode("utf-8", "replace")
        self._cursor.space()
        return HeaderHas(name.lower().rstrip(": "), self._text())

    def _body(self) -> SearchKey:
        return BodyHas(self._text())

    def _whole_text(self) -> SearchKey:
        return TextHas(self._text())

    def _keyword(self) -> SearchKey:
        return HasKeyword(self._cursor.atom("a keyword"))

    def _unkeyword(self) -> SearchKey:
        return Not(self._keyword())

    def _larger(self) -> SearchKey:
        return IsLarger(self._cursor.number64())

    def _smaller(self) -> SearchKey:
        return IsSmaller(self._cursor.number64())

    def _uid(self) -> SearchKey:
        return InNumbers(self._cursor.sequence_set(uid=True))

    def _younger(self) -> SearchKey:
        return IsYounger(self._cursor.nz_number())  # RFC 5032 §4: nz-number

    def _older(self) -> SearchKey:
        return Not(self._younger())

    def _mod_seq(self) -> SearchKey:
        # search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer   ; RFC 7162 §7
        self._cursor.try_match(_ENTRY)
        return HasModSeq(self._cursor.mod_sequence())


_ARGUMENTS: Final[dict[str, Callable[[_Keys], SearchKey]]] = {
    "BODY": _Keys._body,
    "HEADER": _Keys._header,
    "KEYWORD": _Keys._keyword,
    "LARGER": _Keys._larger,
    "MODSEQ": _Keys._mod_seq,
    "OLDER": _Keys._older,
    "SMALLER": _Keys._smaller,
    "TEXT": _Keys._whole_text,
    "UID": _Keys._uid,
    "UNKEYWORD": _Keys._unkeyword,
    "YOUNGER": _Keys._younger,
}
