"""SEARCH: from keys to columns, and from rows to UIDs. Source: RFC 3501 §6.4.4.

A plan is made in the reactor and matched in a reader thread; run its ``stages`` in turn, each among what the one before
found. A stage that is ``view_only`` is matched on the selected view's rows. Messages too long to be read with their row
are :meth:`SearchPlan.long_rows`; :func:`next_slice` leads :meth:`SearchPlan.match_long` through each.
"""

from pymailsuite.imap.search.batch import SearchBatch, SearchContext
from pymailsuite.imap.search.conditions import Condition, Cost
from pymailsuite.imap.search.plan import VIEW_COLUMNS, LongMatch, SearchPlan, asks_modseq, compile_search, next_slice
from pymailsuite.imap.search.relevancy import Relevancy
from pymailsuite.imap.search.replies import concerned, render_esearch, render_search, told_modseq

__all__ = [
    "VIEW_COLUMNS",
    "Condition",
    "Cost",
    "LongMatch",
    "Relevancy",
    "SearchBatch",
    "SearchContext",
    "SearchPlan",
    "asks_modseq",
    "compile_search",
    "concerned",
    "next_slice",
    "render_esearch",
    "render_search",
    "told_modseq",
]
