"""SELECT, EXAMINE, NOOP, CHECK, CLOSE, UNSELECT, IDLE: a mailbox opened, watched and left.

RFC 3501 §6.1.2, §6.3.1, §6.3.2, §6.4.1, §6.4.2; RFC 3691; RFC 2177; RFC 7162 §3.1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymailsuite.imap import replies, values
from pymailsuite.imap.selected import View
from pymailsuite.values import SystemFlag

if TYPE_CHECKING:
    from pymailsuite.imap.session import Session


async def select(session: Session, command: values.Select) -> bytes:
    """RFC 3501 §6.3.1."""
    await _open(session, command.mailbox, command.condstore, read_only=False)
    return b"OK [READ-WRITE] SELECT completed"


async def examine(session: Session, command: values.Examine) -> bytes:
    """RFC 3501 §6.3.2: nothing changes, not even ``\\Recent``."""
    await _open(session, command.mailbox, command.condstore, read_only=True)
    return b"OK [READ-ONLY] EXAMINE completed"


async def _open(session: Session, name: str, condstore: bool, read_only: bool) -> None:
    if session.view is not None:
        session.deselect()
        # RFC 7162 §3.2.11: what follows is about the new mailbox.
        session.out.append(b"* OK [CLOSED] Previous mailbox closed\r\n")
    if condstore:
        session.use_condstore()
    selection = await session.mail.select(name, read_only)
    view = View(selection, read_only)
    session.select(view)
    # A message without \Seen is looked for only if there is one.
    unseen = view.first_unseen() if selection.mailbox.unseen else 0
    session.out += [
        replies.flags_lines(view),
        replies.exists(view),
        b"* OK [UNSEEN %d] First unseen message\r\n" % unseen if unseen else b"",
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n"
        b"* OK [UIDNEXT %d] Predicted next UID\r\n"
        b"* OK [HIGHESTMODSEQ %d] Highest mod-sequence\r\n"
        % (selection.mailbox.uid_validity, selection.mailbox.uid_next, view.modseq),
    ]


async def noop(session: Session, _: values.Noop) -> bytes:
    """What is new is told with every command; this one asks the store even if nothing was announced (S131)."""
    await session.sync(expunges=True, ask=True)
    return b"OK NOOP completed"


async def check(session: Session, _: values.Check) -> bytes:
    """RFC 3501 §6.4.1: every change is on the disk before it is answered, so there is nothing else to do."""
    await session.sync(expunges=True, ask=True)
    return b"OK CHECK completed"


async def close(session: Session, _: values.Close) -> bytes:
    """Expunge without a word, and leave. Source: RFC 3501 §6.4.2."""
    view = session.selected
    if len(view) and not view.read_only and (session.stale or view.has_any(SystemFlag.DELETED)):
        # Those the client does not know of yet are left alone.
        await session.mail.expunge(view.mailbox_id, view.uids_of([(0, len(view))]))
    session.deselect()
    return b"OK CLOSE completed"


async def unselect(session: Session, _: values.Unselect) -> bytes:
    """Leave, and expunge nothing. Source: RFC 3691."""
    session.deselect()
    return b"OK UNSELECT completed"


async def idle(session: Session, command: values.Idle) -> None:
    """Until DONE the client is told what happens, as it happens. Source: RFC 2177."""
    session.begin_idle(command.tag.encode("ascii"))
    session.out.append(b"+ idling\r\n")
