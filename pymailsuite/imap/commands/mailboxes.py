"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS: mailboxes by name.

RFC 3501 §6.3.3 to §6.3.10; RFC 6154 §3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymailsuite.errors import MailboxHasChildren, NoPermission, NoSuchMailbox, Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, StatusItem
from pymailsuite.imap.grammar.mailboxes import one_mailbox, parse_create, parse_rename, parse_status
from pymailsuite.imap.guard import what_all_say
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.render import list_line, status_line
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Create, Delete, Rename, Status, Subscribe, Unsubscribe
from pymailsuite.interfaces import Mailbox
from pymailsuite.interfaces.rights import Right
from pymailsuite.values import DELIMITER


async def _create(context: Context, command: Create) -> bytes:
    """RFC 3501 §6.3.3; special uses are RFC 6154 §3."""
    # RFC 3501 §6.3.3: a delimiter at the end says that inferiors will follow; the name is without it.
    place = await context.places.find_new(command.mailbox.removesuffix(context.places.form.delimiter))
    mailbox: Mailbox = await place.mail.create_mailbox(place.name, *(command.special_uses or (None,)))
    say_normalized(context, place, uses_of(mailbox))
    codes = what_all_say(context.connection.log, context.shared.vocabulary.created, context, mailbox)
    return " ".join(["OK", *codes, "CREATE completed"]).encode("ascii")


async def _delete(context: Context, command: Delete) -> bytes:
    """RFC 3501 §6.3.4. If it is the selected one, no mailbox is selected afterwards."""
    view = context.view
    place = await context.place(command.mailbox)
    if not context.places.naming.profile.leaves_levels:
        await _check_no_inferiors(place)
    is_selected = view is not None and view.is_of(await place.mail.mailbox(place.name))
    await place.mail.delete_mailbox(place.name)
    if is_selected:
        context.deselect()
        context.out.append(b"* OK [CLOSED] The selected mailbox was deleted\r\n")
    say_normalized(context, place, ["\\NonExistent"])
    return b"OK DELETE completed"


async def _check_no_inferiors(place: MailboxPlace) -> None:
    """MailboxHasChildren if there are any. One that is made at this moment gets a ``\\Noselect`` level above it."""
    below = place.name + DELIMITER
    if any(mailbox.name.startswith(below) for mailbox in await place.mail.mailboxes()):
        raise MailboxHasChildren()


async def _rename(context: Context, command: Rename) -> bytes:
    """RFC 3501 §6.3.5. A session that has it selected goes on undisturbed."""
    old, new = await context.place(command.old), await context.places.find_new(command.new)
    if old.account_id != new.account_id:
        raise Refusal("A mailbox cannot be moved to another account")
    await old.mail.rename_mailbox(old.name, new.name)
    if context.rev2 and (old.was_normalized or new.was_normalized):
        # RFC 9051 §6.3.6: the existing name as it was written, whichever of the two was normalized.
        context.out.append(list_line(context.places.form, new.wire, (), old_name=old.asked))
    return b"OK RENAME completed"


async def _subscribe(context: Context, command: Subscribe) -> bytes:
    """RFC 3501 §6.3.6: the name need not exist."""
    await context.mail.subscribe(context.places.subscription(command.mailbox))
    return b"OK SUBSCRIBE completed"


async def _unsubscribe(context: Context, command: Unsubscribe) -> bytes:
    """RFC 3501 §6.3.7."""
    await context.mail.unsubscribe(context.places.subscription(command.mailbox))
    return b"OK UNSUBSCRIBE completed"


async def _status(context: Context, command: Status) -> bytes:
    """RFC 3501 §6.3.10, of a mailbox not selected or of the selected one."""
    place = await context.place(command.mailbox)
    mailbox = await place.mail.mailbox(place.name)
    if not mailbox.selectable:
        raise NoSuchMailbox("Not a mailbox that can hold messages")
    if Right.READ not in mailbox.rights:
        raise NoPermission()
    note_items(context, command.items)
    for name in command.items:
        first = context.shared.vocabulary.status_items[name].first
        if first is not None:
            mailbox = await first(place.mail, mailbox)
    context.out.append(status_reply(context, place.wire, mailbox, command.items))
    return b"OK STATUS completed"


def uses_of(mailbox: Mailbox) -> list[str]:
    """The special uses of a mailbox, as attributes of LIST."""
    return [use.value for use in mailbox.special_uses]


def name_line(context: Context, place: MailboxPlace, attributes: Iterable[str] = ()) -> bytes:
    """The LIST line of a mailbox that a command has named; with the name of the command if that was another form of it.

    Source: RFC 9051 §6.3.9.7.
    """
    old_name = place.asked if place.was_normalized else None
    return list_line(context.places.form, place.wire, attributes, old_name=old_name)


def say_normalized(context: Context, place: MailboxPlace, attributes: Iterable[str] = ()) -> None:
    """Tell a client of IMAP4rev2 that a mailbox has another name than it wrote. Source: RFC 9051 §6.3.4, §6.3.5."""
    if context.rev2 and place.was_normalized:
        context.out.append(name_line(context, place, attributes))


def note_items(context: Context, items: Iterable[str]) -> None:
    """Note that the client has asked for these items: some have a further effect."""
    for name in items:
        asked = context.shared.vocabulary.status_items[name].asked
        if asked is not None:
            asked(context)


def status_reply(context: Context, wire: str, mailbox: Mailbox, items: Iterable[str]) -> bytes:
    """The STATUS line of a mailbox that the client calls ``wire``."""
    known = context.shared.vocabulary.status_items
    return status_line(context.places.form, wire, {name: known[name].value(context, mailbox) for name in items})


def _recent(context: Context, mailbox: Mailbox) -> int:
    """For the selected mailbox the number that this session has claimed; otherwise the number of UIDs assigned since
    the last claim, which is too high if some of these messages were expunged unseen."""
    view = context.view
    if view is not None and view.is_of(mailbox) and not view.read_only:
        return view.recent_count()
    return max(0, min(mailbox.uid_next - mailbox.first_recent, mailbox.messages))


COMMANDS: Final = (
    ImapCommand("CREATE", AFTER_LOGIN, _create, parse_create),
    ImapCommand("DELETE", AFTER_LOGIN, _delete, one_mailbox(Delete)),
    ImapCommand("RENAME", AFTER_LOGIN, _rename, parse_rename),
    ImapCommand("SUBSCRIBE", AFTER_LOGIN, _subscribe, one_mailbox(Subscribe)),
    ImapCommand("UNSUBSCRIBE", AFTER_LOGIN, _unsubscribe, one_mailbox(Unsubscribe)),
    ImapCommand("STATUS", AFTER_LOGIN, _status, parse_status),
)

# status-att = "MESSAGES" / "RECENT" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN";  DELETED: RFC 9051 §6.3.11
STATUS_ITEMS: Final = (
    StatusItem("MESSAGES", lambda _, mailbox: mailbox.messages),
    StatusItem("RECENT", _recent),
    StatusItem("UIDNEXT", lambda _, mailbox: mailbox.uid_next),
    StatusItem("UIDVALIDITY", lambda _, mailbox: mailbox.uid_validity),
    StatusItem("UNSEEN", lambda _, mailbox: mailbox.unseen),
    StatusItem("DELETED", lambda _, mailbox: mailbox.deleted),
)
