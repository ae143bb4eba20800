"""ESEARCH: the result options of SEARCH. Source: RFC 4731. ``imap.search.replies`` makes the reply."""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, SearchReturn, after_login

# search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT"   ; RFC 4731 §3.1
_RETURNS = tuple(map(SearchReturn, ("MIN", "MAX", "ALL", "COUNT")))

ESEARCH = ImapExtension("ESEARCH", after_login("ESEARCH"), search_returns=_RETURNS, position=12)
