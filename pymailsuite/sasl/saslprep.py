"""SASLprep: one form for all ways of typing the same password. Source: RFC 4013."""

from __future__ import annotations

import stringprep
import unicodedata
from typing import Final

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """The form that clients of SCRAM use too. ValueError for text that has none.

    Code points that Unicode 3.2 has not assigned are kept, as in a query (RFC 3454 §7): passwords of today have them.
    """
    if text.isascii() and text.isprintable():
        return text
    spaced = (" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    prepared = unicodedata.normalize("NFKC", "".join(spaced))
    if any(in_table(c) for in_table in _PROHIBITED for c in prepared):
        raise ValueError("characters that SASLprep prohibits")
    # RFC 3454 §6: text from right to left has none from left to right in it, and begins and ends with its own kind.
    if any(map(stringprep.in_table_d1, prepared)) and (
        any(map(stringprep.in_table_d2, prepared))
        or not stringprep.in_table_d1(prepared[0])
        or not stringprep.in_table_d1(prepared[-1])
    ):
        raise ValueError("text of both directions")
    return prepared
