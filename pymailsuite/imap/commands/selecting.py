"""SELECT, EXAMINE, NOOP, CHECK, CLOSE: opening, watching and closing a mailbox.

RFC 3501 §6.1.2, §6.3.1, §6.3.2, §6.4.1, §6.4.2; RFC 7162 §3.1.2.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pymailsuite.errors import NoPermission
from pymailsuite.imap import replies
from pymailsuite.imap.commands.mailboxes import name_line, uses_of
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar.mailboxes import opening
from pymailsuite.imap.guard import what_all_say
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.selected import View
from pymailsuite.imap.states import AFTER_LOGIN, ANY, SELECTED
from pymailsuite.imap.values import Command, Examine, Select
from pymailsuite.interfaces import Mailbox, Selection
from pymailsuite.interfaces.rights import CHANGING, Right
from pymailsuite.values import SystemFlag


async def _select(context: Context, command: Select) -> bytes:
    """RFC 3501 §6.3.1."""
    await _open(context, command, read_only=False)
    # What rights there are is for the store to know at each command: the view is no other.
    return b"OK [%b] SELECT completed" % (b"READ-WRITE" if context.selected.rights & CHANGING else b"READ-ONLY")


async def _examine(context: Context, command: Examine) -> bytes:
    """RFC 3501 §6.3.2: nothing changes, not even ``\\Recent``."""
    await _open(context, command, read_only=True)
    return b"OK [READ-ONLY] EXAMINE completed"


async def _open(context: Context, command: Select | Examine, read_only: bool) -> None:
    if context.view is not None:
        context.deselect()
        # RFC 7162 §3.2.11: what follows is about the new mailbox.
        context.out.append(b"* OK [CLOSED] Previous mailbox closed\r\n")
    parameters = context.shared.vocabulary.select_parameters
    for parameter, argument in command.parameters.items():
        parameters[parameter].use(context, argument)
    try:
        place = await context.place(command.mailbox)
        context.watch(place.account_id)
        mailbox, view = await _reopened(context, place, read_only) or await _opened(context, place, read_only)
        _tell_opened(context, place, mailbox, view)
        for parameter, argument in command.parameters.items():
            answer = parameters[parameter].answer
            if answer is not None:
                await answer(context, argument)
    except BaseException:
        # RFC 3501 §6.3.1: after a SELECT that failed no mailbox is selected.
        context.deselect()
        raise


def _tell_opened(context: Context, place: MailboxPlace, mailbox: Mailbox, view: View) -> None:
    # A message without \Seen is searched only if there is one; RFC 9051 Appendix E: IMAP4rev2 does not tell it.
    unseen = view.first_unseen() if mailbox.unseen and not (view.uid_only or context.rev2) else 0
    uid_next = max(mailbox.uid_next, view.uids[-1] + 1) if len(view) else mailbox.uid_next
    context.out += [
        replies.flags_lines(view),
        replies.exists(view),
        # RFC 9051 §6.3.2: IMAP4rev2 tells the name.
        name_line(context, place, uses_of(mailbox)) if context.rev2 else b"",
        b"* OK [UNSEEN %d] First unseen message\r\n" % unseen if unseen else b"",
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n"
        b"* OK [UIDNEXT %d] Predicted next UID\r\n" % (mailbox.uid_validity, uid_next),
        replies.highest_modseq(view),
        *what_all_say(context.connection.log, context.shared.vocabulary.opened, context, mailbox),
    ]


async def _opened(context: Context, place: MailboxPlace, read_only: bool) -> tuple[Mailbox, View]:
    selection: Selection = await place.mail.select(place.name, read_only)
    view = View(place.mail, selection.mailbox, read_only, selection.rows)
    if not read_only:
        view.recent = selection.recent
    _begin(context, view)
    return selection.mailbox, view


def _begin(context: Context, view: View) -> None:
    if context.rev2:
        view.forget_recent()
    context.select(view)


async def _reopened(context: Context, place: MailboxPlace, read_only: bool) -> tuple[Mailbox, View] | None:
    """The same from a snapshot, if there is one and it is of this mailbox."""
    snapshot = context.snapshot_of(place)
    if snapshot is None:
        return None
    mailbox: Mailbox = await place.mail.mailbox(place.name)
    if (mailbox.mailbox_id, mailbox.uid_validity, mailbox.selectable) != (
        snapshot.mailbox_id,
        snapshot.uid_validity,
        True,
    ):
        return None
    view = View(place.mail, mailbox, read_only, snapshot)
    _begin(context, view)
    await context.catch_up(claims=mailbox.first_recent < mailbox.uid_next)
    return mailbox, view


async def _noop(context: Context, _: Command) -> bytes:
    """Changes are reported with every command; this one asks the store even without a notice (S131)."""
    await context.sync(expunges=True, ask=True)
    return b"OK NOOP completed"


async def _check(context: Context, _: Command) -> bytes:
    """RFC 3501 §6.4.1: every change is committed before its reply, so there is nothing else to do."""
    await context.sync(expunges=True, ask=True)
    return b"OK CHECK completed"


async def _close(context: Context, _: Command) -> bytes:
    """Expunge without EXPUNGE replies, and deselect. Source: RFC 3501 §6.4.2.

    RFC 7162 §3.2.8: without HIGHESTMODSEQ, since the client does not learn which messages were expunged.
    """
    view = context.selected
    if len(view) and view.allows(Right.EXPUNGE) and (context.stale or view.has_any(SystemFlag.DELETED)):
        # RFC 4314 §4: without the right nothing is expunged, and CLOSE does not fail.
        with suppress(NoPermission):
            # Messages that the client does not know of yet are not expunged.
            await view.mail.expunge(view.mailbox_id, view.uids_of([(0, len(view))]))
    context.deselect()
    return b"OK CLOSE completed"


COMMANDS: Final = (
    ImapCommand("SELECT", AFTER_LOGIN, _select, opening(Select)),
    ImapCommand("EXAMINE", AFTER_LOGIN, _examine, opening(Examine)),
    ImapCommand("NOOP", ANY, _noop),
    ImapCommand("CHECK", SELECTED, _check),
    ImapCommand("CLOSE", SELECTED, _close),
)
