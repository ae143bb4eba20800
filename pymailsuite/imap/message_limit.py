"""The greatest number of messages that one command processes (MESSAGELIMIT, SAVELIMIT). Source: RFC 9738.

A command that names more processes those with the highest UIDs, and says down to which it came; one that must process
all of them or none refuses.
"""

from __future__ import annotations

from pymailsuite.imap.context import Context
from pymailsuite.imap.replies import CRLF, TooManyMessages
from pymailsuite.imap.selected import Spans, View, count_of


def within_limit(context: Context, view: View, spans: Spans) -> tuple[Spans, bytes]:
    """The places that a command may process, and the response code for its OK, with a space behind it: nothing, if
    these are all."""
    limit = context.settings.message_limit
    if not limit or len(view) <= limit or count_of(spans) <= limit:
        return spans, b""
    kept = last_of(spans, limit)
    return kept, b"[MESSAGELIMIT %d %d] " % (limit, view.uids[kept[0][0]])


def tell_limit(context: Context, code: bytes) -> None:
    """Say it untagged, for a command whose OK has another response code."""
    if code:
        context.out.append(b"* NO " + code + b"Not all messages were processed" + CRLF)


def check_all(view: View, spans: Spans, limit: int) -> None:
    """TooManyMessages if a command that processes all or none names more messages."""
    if limit and count_of(spans) > limit:
        raise TooManyMessages(limit, view.uids[last_of(spans, limit)[0][0]])


def last_of(spans: Spans, count: int) -> Spans:
    """The last ``count`` places, at least one."""
    kept: Spans = []
    for start, stop in reversed(spans):
        first = max(start, stop - count)
        kept.append((first, stop))
        count -= stop - first
        if not count:
            break
    return kept[::-1]
