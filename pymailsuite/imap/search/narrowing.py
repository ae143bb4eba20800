"""What a search program asks of the text index: a query that holds for every message the program can match.

The index only excludes messages. So a key that it cannot decide says nothing, a conjunction asks what its keys ask, and
a disjunction asks only if each of its keys does. What a negation says of its key is no use: that a message may hold a
string does not say that it does.
"""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.imap.values import AllOf, AnyOf, BodyHas, HeaderHas, SearchProgram, TextHas
from pymailsuite.interfaces.text_index import AllHold, AnyHolds, HoldsSimilar, HoldsWords, TextField, TextQuery
from pymailsuite.message.similar import SimilarNeedle
from pymailsuite.message.words import FIELD_OF_NAME, LOOKED_FOR_MIN, words_of_needle

_BODY: Final = (TextField.BODY,)
_TEXT: Final = (TextField.BODY, TextField.HEADER)
_HEADER: Final = (TextField.HEADER,)
# ftext   ; RFC 5322 §3.6.8: by another name a part of a field can be meant.
_IS_FIELD_NAME = re.compile(r"[!-9;-~]+").fullmatch


def narrowing(program: SearchProgram) -> TextQuery | None:
    """The query for a program; None if the index can exclude no message."""
    if isinstance(program, AllOf | AnyOf):
        queries = tuple(map(narrowing, program.keys))
        known = tuple(query for query in queries if query is not None)
        if isinstance(program, AllOf):
            return AllHold(known) if known else None
        return AnyHolds(known) if known and len(known) == len(queries) else None
    if isinstance(program, BodyHas):
        return _holds(_BODY, program)
    if isinstance(program, TextHas):
        return _holds(_TEXT, program)
    if isinstance(program, HeaderHas) and _IS_FIELD_NAME(program.name):
        own = FIELD_OF_NAME.get(program.name)
        return _holds(_HEADER if own is None else (own,), program)
    return None


def _holds(fields: tuple[TextField, ...], key: BodyHas | TextHas | HeaderHas) -> TextQuery | None:
    words = words_of_needle(key.text)
    if not words:
        return None
    if key.fuzzy:
        similar = [word for word in SimilarNeedle(key.text).words if len(word.octets) >= LOOKED_FOR_MIN]
        return AllHold(tuple(HoldsSimilar(fields, word.word) for word in similar))
    return HoldsWords(fields, words)
