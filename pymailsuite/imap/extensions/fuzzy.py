"""SEARCH=FUZZY: searches that are not to be taken literally, and how relevant what they find is. Source: RFC 6203.

FUZZY varies the keys that look for strings; others are what they always are (§5). ``message.similar`` says what is like
a string, ``search.relevancy`` what messages score. The sort criterion RELEVANCY is among those of SORT.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from pymailsuite.errors import PeerError
from pymailsuite.imap.extension import ImapExtension, SearchKey, SearchReturn, after_login
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.search import Relevancy
from pymailsuite.imap.values import RELEVANCY, AllOf, AnyOf, BodyHas, HeaderHas, Not, SearchProgram, TextHas


def _fuzzy(program: SearchProgram) -> SearchProgram:
    if isinstance(program, AllOf):
        return AllOf(tuple(map(_fuzzy, program.keys)))
    if isinstance(program, AnyOf):
        return AnyOf(tuple(map(_fuzzy, program.keys)))
    if isinstance(program, Not):
        return Not(_fuzzy(program.key))
    # An empty string asks whether there is such a field.
    if isinstance(program, HeaderHas | BodyHas | TextHas) and program.text:
        return evolve(program, fuzzy=True)
    return program


def _parse(keys: KeyReader) -> SearchProgram:
    # search-key =/ "FUZZY" SP search-key   ; RFC 6203 §7
    return _fuzzy(keys.key())


def _check(context: Any, command: Any) -> None:
    # RFC 6203 §4: not without a FUZZY key
    if not Relevancy(command.program).is_defined:
        raise PeerError("RELEVANCY without a FUZZY key for a string")


FUZZY = ImapExtension(
    "SEARCH=FUZZY",
    after_login("SEARCH=FUZZY"),
    search_keys=(SearchKey("FUZZY", _parse),),
    search_returns=(SearchReturn(RELEVANCY, before=_check),),
    position=44,
)
