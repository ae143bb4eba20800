"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS: mailboxes by name.

RFC 3501 §6.3.3 to §6.3.10; RFC 6154 §3; RFC 7162 §3.1.7; RFC 7889; RFC 8438.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pymailsuite.errors import NoSuchMailbox
from pymailsuite.imap import values
from pymailsuite.imap.context import Context
from pymailsuite.imap.render import status_line
from pymailsuite.interfaces import Mailbox


async def create(context: Context, command: values.Create) -> bytes:
    """RFC 3501 §6.3.3; the special use is RFC 6154 §3."""
    await context.mail.create_mailbox(command.mailbox, command.special_use)
    return b"OK CREATE completed"


async def delete(context: Context, command: values.Delete) -> bytes:
    """RFC 3501 §6.3.4. If it is the selected one, no mailbox is selected afterwards."""
    view = context.view
    if view is not None and (await context.mail.mailbox(command.mailbox)).mailbox_id == view.mailbox_id:
        await context.mail.delete_mailbox(command.mailbox)
        context.deselect()
        context.out.append(b"* OK [CLOSED] The selected mailbox was deleted\r\n")
    else:
        await context.mail.delete_mailbox(command.mailbox)
    return b"OK DELETE completed"


async def rename(context: Context, command: values.Rename) -> bytes:
    """RFC 3501 §6.3.5. A session that has it selected goes on undisturbed."""
    await context.mail.rename_mailbox(command.old, command.new)
    return b"OK RENAME completed"


async def subscribe(context: Context, command: values.Subscribe) -> bytes:
    """RFC 3501 §6.3.6: the name need not exist."""
    await context.mail.subscribe(command.mailbox)
    return b"OK SUBSCRIBE completed"


async def unsubscribe(context: Context, command: values.Unsubscribe) -> bytes:
    """RFC 3501 §6.3.7."""
    await context.mail.unsubscribe(command.mailbox)
    return b"OK UNSUBSCRIBE completed"


async def status(context: Context, command: values.Status) -> bytes:
    """RFC 3501 §6.3.10, of a mailbox not selected or of the selected one."""
    mailbox = await context.mail.mailbox(command.mailbox)
    if not mailbox.selectable:
        raise NoSuchMailbox("Not a mailbox that can hold messages")
    if "HIGHESTMODSEQ" in command.items:
        context.use_condstore()
    context.out.append(status_reply(mailbox, command.items, context))
    return b"OK STATUS completed"


_ITEMS: Final[dict[str, Callable[[Mailbox], int]]] = {
    "MESSAGES": lambda mailbox: mailbox.messages,
    "UIDNEXT": lambda mailbox: mailbox.uid_next,
    "UIDVALIDITY": lambda mailbox: mailbox.uid_validity,
    "UNSEEN": lambda mailbox: mailbox.unseen,
    "DELETED": lambda mailbox: mailbox.deleted,
    "SIZE": lambda mailbox: mailbox.size,
    "HIGHESTMODSEQ": lambda mailbox: mailbox.highest_modseq,
    # UIDs given since the last claim: more than there are if some of them were expunged unseen.
    "RECENT": lambda mailbox: max(0, min(mailbox.uid_next - mailbox.first_recent, mailbox.messages)),
}


def status_reply(mailbox: Mailbox, items: Sequence[str], context: Context) -> bytes:
    """The STATUS line; of the selected mailbox ``\\Recent`` counts those this session has claimed."""
    view = context.view
    # RFC 7889 §3.1: the limit is the same for all mailboxes.
    limit = context.settings.message_size
    found = {item: limit if item == "APPENDLIMIT" else _ITEMS[item](mailbox) for item in items}
    if "RECENT" in found and view is not None and view.mailbox_id == mailbox.mailbox_id and not view.read_only:
        found["RECENT"] = view.recent_count()
    return status_line(mailbox.name, found)
