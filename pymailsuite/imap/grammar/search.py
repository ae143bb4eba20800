"""SEARCH. Source: RFC 3501 §6.4.4 and §9, RFC 4731 (RETURN)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.grammar.tokens import Cursor, text_decoder
from pymailsuite.imap.values import PARTIAL, SAVE, AllOf, Command, Search, SearchProgram, UnknownCharset

# Looked for before any search key; neither word is one.
_RETURN = re.compile(rb"RETURN ++(?=\()", re.IGNORECASE)
_ONCE = frozenset({"ALL", PARTIAL})
_CHARSET = re.compile(rb"CHARSET ++", re.IGNORECASE)


def parse_search(cursor: Cursor, tag: str, uid: bool = False) -> Command:
    """search = "SEARCH" [search-return-opts] SP search-program   ; RFC 4731 §3.1, RFC 4466 §2.6.

    search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)

    UnknownCharset: the strings cannot be decoded; with SAVE the command says so.
    """
    if not uid:
        cursor.expect_numbers_allowed()
    cursor.space()
    returns = search_returns(cursor)
    charset = _charset(cursor)
    try:
        return Search(tag, _program(cursor, charset), returns, charset, uid)
    except UnknownCharset as error:
        if returns is None or SAVE not in returns:
            raise
        cursor.skip_rest()
        return Search(tag, AllOf(), returns, charset, uid, error)


def search_program(cursor: Cursor) -> tuple[SearchProgram, str | None]:
    """search-program, and the charset that it names. UnknownCharset: the strings cannot be decoded."""
    charset = _charset(cursor)
    return _program(cursor, charset), charset


def _charset(cursor: Cursor) -> str | None:
    if not cursor.try_match(_CHARSET):
        return None
    charset = cursor.astring("a charset").decode("ascii", "replace")
    cursor.space()
    return charset


def search_returns(cursor: Cursor) -> Mapping[str, Any] | None:
    """search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"; None if there are none.

    The space before it was read, and the one behind it is.
    """
    if not cursor.try_match(_RETURN):
        return None
    # RFC 9394 §3.1: a page, and only one.
    returns = cursor.named(cursor.words.search_returns, "return option", least=0, once=_ONCE) or {"ALL": None}
    if {"ALL", PARTIAL} <= returns.keys():
        raise PeerError("ALL and PARTIAL exclude each other")  # RFC 9394 §3.1
    cursor.space()
    return returns


def parse_search_criteria(cursor: Cursor) -> SearchProgram:
    """search-criteria = charset 1*(SP search-key)   ; RFC 5256 §5, for SORT and THREAD.

    UnknownCharset: the strings cannot be decoded.
    """
    charset = cursor.astring("a charset").decode("ascii", "replace")
    cursor.space()
    return _program(cursor, charset)


def _program(cursor: Cursor, charset: str | None) -> SearchProgram:
    # search-key *(SP search-key)
    keys = KeyReader(cursor, text_decoder(charset))
    program = [keys.key()]
    while not cursor.is_at_end():
        cursor.space()
        program.append(keys.key())
    return program[0] if len(program) == 1 else AllOf(tuple(program))
