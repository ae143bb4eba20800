"""PARTIAL: SEARCH and UID FETCH by pages. Source: RFC 9394. ``imap.search.replies`` makes the reply of SEARCH."""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.errors import PeerError
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import FetchModifier, ImapExtension, SearchReturn, after_login
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.selected import Cut, Spans
from pymailsuite.imap.values import PARTIAL as NAME
from pymailsuite.imap.values import Fetch, PartialRange

# partial-range-first = nz-number ":" nz-number;  partial-range-last = MINUS nz-number ":" MINUS nz-number   ; §4
_RANGE: Final = re.compile(rb"(-?)([1-9][0-9]{0,9}):\1([1-9][0-9]{0,9})(?![0-9])")
_UINT32: Final = 2**32 - 1


def _range(cursor: Cursor) -> PartialRange:
    cursor.space()
    match = cursor.match(_RANGE, "a range of results such as 1:100 or -1:-100")
    first, last = int(match[2]), int(match[3])
    if max(first, last) > _UINT32:
        raise PeerError("Number too large")
    return PartialRange(-first, -last) if match[1] else PartialRange(first, last)


async def _check_uid(_: Context, command: Fetch) -> None:
    if not command.uid:
        raise PeerError("PARTIAL is a modifier of UID FETCH")


def _narrow(_: Context, spans: Spans, page: PartialRange) -> Spans:
    start, stop = page.of(sum(stop - start for start, stop in spans))
    cut = Cut(spans)
    cut.take(start)
    return cut.take(max(stop - start, 0))


PARTIAL = ImapExtension(
    "PARTIAL",
    after_login("PARTIAL"),
    # modifier-partial = "PARTIAL" SP partial-range   ; RFC 9394 §4
    search_returns=(SearchReturn(NAME, _range),),
    # RFC 9394 §3.3: of the messages that the other modifiers leave over.
    fetch_modifiers=(FetchModifier("PARTIAL", _range, _narrow, before=_check_uid, is_last=True),),
    position=26,
)
