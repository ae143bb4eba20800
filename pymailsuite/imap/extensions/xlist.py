"""XLIST: LIST with the uses of mailboxes, INBOX among them, for clients from before SPECIAL-USE.

It was made for Gmail and is no standard, so it is offered only where ``[imap] xlist`` or the profile of a client asks
for it. A client that sends it all the same is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pymailsuite.imap.commands.listing import NAMES_A_STEP, attributes_of, in_turns, levels_above, listed_mailboxes
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, Standing
from pymailsuite.imap.grammar.mailboxes import parse_lsub
from pymailsuite.imap.patterns import Patterns
from pymailsuite.imap.render import list_line
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Lsub
from pymailsuite.interfaces import Mailbox, Steps
from pymailsuite.values import INBOX, SpecialUse

_NAMES: Final = {
    SpecialUse.ALL.value: "\\AllMail",
    SpecialUse.FLAGGED.value: "\\Starred",
    SpecialUse.JUNK.value: "\\Spam",
}
"""The attributes that have other names here."""


async def _xlist(context: Context, command: Lsub) -> bytes:
    matches = Patterns(command.reference, (command.pattern,), context.places.form.delimiter)
    mailboxes = await listed_mailboxes(context, matches)
    context.out += await in_turns(context, len(mailboxes), _lines(context, matches, mailboxes))
    return b"OK XLIST completed"


def _lines(context: Context, matches: Patterns, mailboxes: Mapping[str, Mailbox]) -> Steps[list[bytes]]:
    form = context.places.form
    parents = yield from levels_above(mailboxes, form.delimiter)
    out: list[bytes] = []
    for place, (name, mailbox) in enumerate(mailboxes.items()):
        if place % NAMES_A_STEP == 0:
            yield
        if matches(name):
            attributes = attributes_of(mailbox, name in parents, is_extended=False)
            attributes = [_NAMES.get(attribute, attribute) for attribute in attributes]
            attributes += ["\\Inbox"] if name == INBOX else []
            out.append(list_line(form, name, attributes, response="XLIST"))
    return out


def _offered(standing: Standing) -> tuple[str, ...]:
    return ("XLIST",) if standing.settings.xlist and standing.logged_in else ()


XLIST: Final = ImapExtension(
    # Its arguments are those of LSUB.
    "XLIST",
    _offered,
    commands=(ImapCommand("XLIST", AFTER_LOGIN, _xlist, parse_lsub),),
    position=41,
)
