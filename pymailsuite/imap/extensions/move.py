"""MOVE: messages into another mailbox, each by itself. Source: RFC 6851."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from pymailsuite.errors import NoSuchMailbox, ReadOnly
from pymailsuite.imap import replies
from pymailsuite.imap.commands.copying import copying_to, copyuid
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.messages import parse_copy
from pymailsuite.imap.message_limit import tell_limit, within_limit
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.progress import Progress
from pymailsuite.imap.selected import Cut, View, count_of
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Copy
from pymailsuite.interfaces import Copied


async def _move(context: Context, command: Copy) -> bytes:
    """RFC 6851 §3.1: COPYUID comes untagged, before the EXPUNGEs."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    spans, limited = within_limit(context, view, view.places(command.numbers))
    cut = Cut(spans)
    if cut.is_empty:
        return b"OK Nothing to move"
    # RFC 6851 §3.3: each message is moved or it is not; moves before an error have been reported by then. UIDs, since
    # places change with each step.
    steps = []
    while step := cut.take(context.settings.step_messages):
        steps.append(view.uids_of(step))
    place = await context.place(command.mailbox)
    move = copying_to(context, place, move=True)
    progress = Progress(context, command.tag, count_of(spans))
    for number, uids in enumerate(steps, 1):
        await _move_some(context, view, move(uids), place)
        progress.note(number * context.settings.step_messages)
        if context.view is not view:
            break
    tell_limit(context, limited)
    # RFC 7162 §3.2.8 (as for EXPUNGE).
    code = b"[HIGHESTMODSEQ %d] " % view.modseq if context.condstore else b""
    return b"OK " + code + b"MOVE completed"


async def _move_some(context: Context, view: View, moving: Awaitable[Copied], place: MailboxPlace) -> None:
    try:
        moved = await moving
    except NoSuchMailbox as error:
        raise replies.TryCreate(cause=error.public) from None
    if moved.source:
        context.out.append(b"* OK " + copyuid(moved) + b"Moved\r\n")
        view.note_expunged(moved.source)
    await context.sync_behind(expunges=True, ask=view.is_at(place.account_id, place.name))


# move = "MOVE" SP sequence-set SP mailbox   ; RFC 6851 §5: as COPY
MOVE = ImapExtension(
    "MOVE",
    after_login("MOVE"),
    commands=(
        ImapCommand("MOVE", SELECTED, _move, parse_copy),
        ImapCommand("UID MOVE", SELECTED, _move, partial(parse_copy, uid=True)),
    ),
    position=10,
)
