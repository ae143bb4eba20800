"""SELECT, EXAMINE, NOOP, CHECK, CLOSE, UNSELECT, IDLE: a mailbox opened, watched and left.

RFC 3501 §6.1.2, §6.3.1, §6.3.2, §6.4.1, §6.4.2; RFC 3691; RFC 2177; RFC 7162 §3.1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymailsuite.imap import replies, values
from pymailsuite.imap.selected import View
from pymailsuite.interfaces import Mailbox, Selection
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
    session.watch()
    try:
        mailbox, view = await _reopened(session, name, read_only) or await _opened(session, name, read_only)
    except BaseException:
        # RFC 3501 §6.3.1: after a SELECT that failed no mailbox is selected.
        session.deselect()
        raise
    # A message without \Seen is looked for only if there is one.
    unseen = view.first_unseen() if mailbox.unseen else 0
    uid_next = max(mailbox.uid_next, view.uids[-1] + 1) if len(view) else mailbox.uid_next
    session.out += [
        replies.flags_lines(view),
        replies.exists(view),
        b"* OK [UNSEEN %d] First unseen message\r\n" % unseen if unseen else b"",
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n"
        b"* OK [UIDNEXT %d] Predicted next UID\r\n" % (mailbox.uid_validity, uid_next),
        replies.highest_modseq(view),
    ]


async def _opened(session: Session, name: str, read_only: bool) -> tuple[Mailbox, View]:
    selection: Selection = await session.mail.select(name, read_only)
    view = View(selection.mailbox, read_only, selection.rows)
    if not read_only:
        view.recent = selection.recent
    session.select(view)
    return selection.mailbox, view


async def _reopened(session: Session, name: str, read_only: bool) -> tuple[Mailbox, View] | None:
    """The same from a snapshot, if there is one and it is of this mailbox."""
    snapshot = session.snapshot_of(name)
    if snapshot is None:
        return None
    mailbox: Mailbox = await session.mail.mailbox(name)
    if (mailbox.mailbox_id, mailbox.uid_validity, mailbox.selectable) != (
        snapshot.mailbox_id,
        snapshot.uid_validity,
        True,
    ):
        return None
    view = View(mailbox, read_only, snapshot)
    session.select(view)
    await session.catch_up(claims=mailbox.first_recent < mailbox.uid_next)
    return mailbox, view


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
