"""FETCH: from data items to columns, and from rows to responses. Source: RFC 3501 §6.4.5 and §7.4.2, RFC 3516.

The plan is made in the reactor, the rendering runs in a reader thread; a response too long to be read at once comes as
:data:`Pieces`, a generator that :func:`write_pieces` runs between a reader and a writer with back-pressure. For a
response much larger than the message :func:`some_pieces` renders a bounded amount at a time, for
:func:`write_in_steps`.
"""

from pymailsuite.imap.batch import Slice
from pymailsuite.imap.fetch.metadata import Text
from pymailsuite.imap.fetch.plan import (
    FLAGS,
    MODSEQ,
    UID,
    FetchCompiler,
    FetchPlan,
    OctetsGone,
    Response,
    Some,
    Unanswered,
    some_pieces,
    write_in_steps,
    write_pieces,
)
from pymailsuite.imap.fetch.sections import Pieces, SectionItem

__all__ = [
    "FLAGS",
    "MODSEQ",
    "UID",
    "FetchCompiler",
    "FetchPlan",
    "OctetsGone",
    "Pieces",
    "Response",
    "SectionItem",
    "Slice",
    "Some",
    "Text",
    "Unanswered",
    "some_pieces",
    "write_in_steps",
    "write_pieces",
]
