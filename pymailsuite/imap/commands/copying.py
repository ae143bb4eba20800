"""COPY and MOVE: messages into another mailbox. COPY takes all of them or none, MOVE each message.

RFC 3501 §6.4.7, RFC 4315 (COPYUID), RFC 6851 (MOVE).
"""

from __future__ import annotations

from pymailsuite.errors import LimitReached, NoSuchMailbox, ReadOnly
from pymailsuite.imap import replies, values
from pymailsuite.imap.context import Context
from pymailsuite.imap.selected import Cut, View
from pymailsuite.interfaces import Copied
from pymailsuite.values import UidSet


async def copy(context: Context, command: values.Copy) -> bytes:
    """RFC 3501 §6.4.7."""
    view = context.selected
    spans = view.places(command.numbers)
    if not spans:
        return b"OK Nothing to copy"
    if sum(stop - start for start, stop in spans) > context.settings.copy_messages:
        raise LimitReached("Too many messages in one COPY")
    uids = view.uids_of(spans)
    try:
        copied: Copied = await context.mail.copy(view.mailbox_id, uids, command.mailbox)
    except NoSuchMailbox as error:
        raise replies.TryCreate(cause=error.public) from None
    await context.arrived_in(command.mailbox)
    return b"OK " + _copyuid(copied) + b"COPY completed"


async def move(context: Context, command: values.Move) -> bytes:
    """RFC 6851 §3.1: COPYUID comes untagged, before the EXPUNGEs."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    cut = Cut(view.places(command.numbers))
    if cut.is_empty:
        return b"OK Nothing to move"
    # RFC 6851 §3.3: each message is moved or it is not; what was moved before an error has been told by then. UIDs, for
    # places change with each step.
    steps = []
    while spans := cut.take(context.settings.step_messages):
        steps.append(view.uids_of(spans))
    for uids in steps:
        await _move(context, view, uids, command.mailbox)
        if context.view is not view:
            break
    # RFC 7162 §3.2.8 (as for EXPUNGE).
    code = b"[HIGHESTMODSEQ %d] " % view.modseq if context.condstore else b""
    return b"OK " + code + b"MOVE completed"


async def _move(context: Context, view: View, uids: UidSet, target: str) -> None:
    try:
        moved: Copied = await context.mail.move(view.mailbox_id, uids, target)
    except NoSuchMailbox as error:
        raise replies.TryCreate(cause=error.public) from None
    if moved.source:
        context.out.append(b"* OK " + _copyuid(moved) + b"Moved\r\n")
        view.note_expunged(moved.source)
    await context.sync_behind(expunges=True, ask=target == view.name)


def _copyuid(copied: Copied) -> bytes:
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
