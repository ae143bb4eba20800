"""UNSELECT: leave a mailbox, and expunge nothing. Source: RFC 3691."""

from __future__ import annotations

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command


async def _unselect(context: Context, _: Command) -> bytes:
    context.deselect()
    return b"OK UNSELECT completed"


UNSELECT = ImapExtension(
    "UNSELECT", after_login("UNSELECT"), commands=(ImapCommand("UNSELECT", SELECTED, _unselect),), position=8
)
