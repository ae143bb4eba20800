"""FETCH: from data items to columns, and from rows to responses. Source: RFC 3501 §6.4.5 and §7.4.2, RFC 3516.

The plan is made in the reactor, the rendering runs in a reader thread; what is too long to be read at once comes as
:data:`Pieces`, a generator that :func:`write_pieces` runs between a reader and a writer with back-pressure.
"""

from pymailsuite.imap.batch import Slice
from pymailsuite.imap.fetch.plan import FetchPlan, OctetsGone, Response, Unanswered, compile_fetch, write_pieces
from pymailsuite.imap.fetch.sections import Pieces

__all__ = ["FetchPlan", "OctetsGone", "Pieces", "Response", "Slice", "Unanswered", "compile_fetch", "write_pieces"]
