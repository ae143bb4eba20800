"""COPY: messages into another mailbox, all of them or none.

RFC 3501 §6.4.7, RFC 4315 (COPYUID).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from pymailsuite.errors import NoSuchMailbox
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar.messages import parse_copy
from pymailsuite.imap.message_limit import check_all
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Copy
from pymailsuite.interfaces import Copied
from pymailsuite.values import UidSet


async def _copy(context: Context, command: Copy) -> bytes:
    """RFC 3501 §6.4.7."""
    view = context.selected
    spans = view.places(command.numbers)
    if not spans:
        return b"OK Nothing to copy"
    check_all(view, spans, context.settings.copy_messages)
    check_all(view, spans, context.settings.message_limit)
    uids = view.uids_of(spans)
    place = await context.place(command.mailbox)
    try:
        copied: Copied = await copying_to(context, place)(uids)
    except NoSuchMailbox as error:
        raise replies.TryCreate(cause=error.public) from None
    await context.arrived_in(place)
    return b"OK " + copyuid(copied) + b"COPY completed"


def copying_to(context: Context, place: MailboxPlace, *, move: bool = False) -> Callable[[UidSet], Awaitable[Copied]]:
    """What copies messages of the selected mailbox to this place, or moves them, by their UIDs."""
    view = context.selected
    mail = view.mail
    if place.account_id == mail.account_id:
        within = mail.move if move else mail.copy
        return lambda uids: within(view.mailbox_id, uids, place.name)
    sharing = context.shared.sharing
    assert sharing is not None, "a place in another account"
    across = sharing.move if move else sharing.copy
    source, user = mail.account_id, context.mail.account_id
    return lambda uids: across(user, source, view.mailbox_id, uids, place.account_id, place.name)


def copyuid(copied: Copied) -> bytes:
    """The response code, with a space after it, or nothing if nothing was copied. Source: RFC 4315 §3."""
    if not copied.source:
        return b""
    source, target = _as_set(copied.source), _as_set(copied.target)
    return f"[COPYUID {copied.uid_validity} {source} {target}] ".encode("ascii")


def _as_set(uids: tuple[int, ...]) -> str:
    """UIDs in the order given, runs written as ranges: the two sets of COPYUID pair up in order (RFC 4315 §3)."""
    runs: list[list[int]] = []
    for uid in uids:
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(f"{low}:{high}" if low < high else str(low) for low, high in runs)


COMMANDS: Final = (
    ImapCommand("COPY", SELECTED, _copy, parse_copy),
    ImapCommand("UID COPY", SELECTED, _copy, partial(parse_copy, uid=True)),
)
