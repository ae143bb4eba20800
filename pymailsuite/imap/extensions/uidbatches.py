"""UIDBATCHES: the UIDs between which batches of equally many messages are. Source: RFC 10022.

The view has all UIDs, so the answer costs no read. Batches are counted from the newest message; each ends where the
next one begins, and the last one at UID 1.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.selected import View
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command

_LEAST_MESSAGES: Final = 500
"""Messages in a batch that a client may ask for at least."""
# batch-range = nz-number ":" nz-number
_RANGE: Final = re.compile(rb" ([1-9][0-9]{0,9}):([1-9][0-9]{0,9})(?![0-9])")


@frozen
class UidBatches(Command):
    """``first`` and ``last`` are numbers of batches, counted from 1; last is None for all that there are."""

    size: int
    first: int = 1
    last: int | None = None


def _parse(cursor: Cursor, tag: str) -> UidBatches:
    # uidbatches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]
    cursor.space()
    size = cursor.nz_number()
    match = cursor.try_match(_RANGE)
    if match is None:
        return UidBatches(tag, size)
    first, last = int(match[1]), int(match[2])
    if first > last:
        raise PeerError("Batches are named from the first to the last")
    return UidBatches(tag, size, first, last)


async def _uid_batches(context: Context, command: UidBatches) -> bytes:
    if command.size < _LEAST_MESSAGES:
        raise replies.TooFewMessages()
    view = context.selected
    limit = context.settings.message_limit
    # RFC 10022: each batch must be one that a command may name under MESSAGELIMIT.
    size = min(command.size, limit) if limit else command.size
    most = -(-len(view) // size)
    last = most if command.last is None else min(command.last, most)
    if last - command.first >= context.settings.uid_batches:
        raise replies.TooManyBatches()
    ranges = [_range(view, size, number) for number in range(command.first, last + 1)]
    told = " ".join([f'* UIDBATCHES (TAG "{command.tag}")', ",".join(ranges)]).rstrip()
    context.out.append(told.encode("ascii") + replies.CRLF)
    return b"OK UIDBATCHES completed"


def _range(view: View, size: int, number: int) -> str:
    """``HIGH:LOW`` of the batch of that number. The first batch begins with the newest message."""
    newest = len(view) - 1 - (number - 1) * size
    older = newest - size
    return f"{view.uids[newest]}:{view.uids[older] + 1 if older >= 0 else 1}"


UIDBATCHES = ImapExtension(
    "UIDBATCHES",
    after_login("UIDBATCHES"),
    commands=(ImapCommand("UIDBATCHES", SELECTED, _uid_batches, _parse),),
    position=29,
)
