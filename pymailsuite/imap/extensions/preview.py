"""PREVIEW: the beginning of a message's text, for lists of messages. Source: RFC 8970."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pymailsuite.imap.batch import Batch
from pymailsuite.imap.extension import FetchAttribute, ImapExtension, after_login
from pymailsuite.imap.fetch import Text
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.interfaces import Column
from pymailsuite.message.quoting import string

# "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]   ; RFC 8970 §6. What else may follow in brackets is of FETCH.
_LAZY = re.compile(rb" \(LAZY(?: LAZY)*\)", re.IGNORECASE)


def _modifiers(cursor: Cursor) -> None:
    """LAZY changes nothing: all previews are there."""
    cursor.try_match(_LAZY)


def _previews(batch: Batch) -> tuple[Iterable[Any], ...]:
    return ([string(text.encode("utf-8")) for text in batch[Column.PREVIEW]],)


PREVIEW = ImapExtension(
    "PREVIEW",
    after_login("PREVIEW"),
    fetch_attributes=(
        FetchAttribute("PREVIEW", lambda _: Text(b"PREVIEW %b", (Column.PREVIEW,), _previews), _modifiers),
    ),
    position=23,
)
