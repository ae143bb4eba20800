"""COPY and MOVE: messages into another mailbox, all of them or none.

RFC 3501 §6.4.7, RFC 4315 (COPYUID), RFC 6851 (MOVE).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymailsuite.errors import NoSuchMailbox, ReadOnly
from pymailsuite.imap import replies, values
from pymailsuite.interfaces import Copied

if TYPE_CHECKING:
    from pymailsuite.imap.session import Session


async def copy(session: Session, command: values.Copy) -> bytes:
    """RFC 3501 §6.4.7."""
    view = session.selected
    uids = view.uids_of(view.places(command.numbers))
    if not uids:
        return b"OK Nothing to copy"
    try:
        copied: Copied = await session.mail.copy(view.mailbox_id, uids, command.mailbox)
    except NoSuchMailbox as error:
        raise replies.TryCreate(cause=error.public) from None
    await session.arrived_in(command.mailbox)
    return b"OK " + _copyuid(copied) + b"COPY completed"


async def move(session: Session, command: values.Move) -> bytes:
    """RFC 6851 §3.1: COPYUID comes untagged, before the EXPUNGEs."""
    view = session.selected
    if view.read_only:
        raise ReadOnly()
    uids = view.uids_of(view.places(command.numbers))
    if not uids:
        return b"OK Nothing to move"
    try:
        moved: Copied = await session.mail.move(view.mailbox_id, uids, command.mailbox)
    except NoSuchMailbox as error:
        raise replies.TryCreate(cause=error.public) from None
    if moved.source:
        session.out.append(b"* OK " + _copyuid(moved) + b"Moved\r\n")
        view.note_expunged(moved.source)
    await session.sync(expunges=True, ask=command.mailbox == view.name)
    # RFC 7162 §3.2.8 (as for EXPUNGE).
    code = b"[HIGHESTMODSEQ %d] " % view.modseq if session.condstore else b""
    return b"OK " + code + b"MOVE completed"


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
