"""UIDPLUS: UID EXPUNGE. Source: RFC 4315. APPENDUID and COPYUID are told by APPEND, COPY and MOVE."""

from __future__ import annotations

from attrs import frozen

from pymailsuite.errors import ReadOnly
from pymailsuite.imap.commands.changing import expunge_some
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command, SequenceSet


@frozen
class UidExpunge(Command):
    """RFC 4315 §2.1."""

    uids: SequenceSet


def _parse(cursor: Cursor, tag: str) -> UidExpunge:
    # uid-expunge = "UID" SP "EXPUNGE" SP sequence-set   ; RFC 4315 §4
    cursor.space()
    return UidExpunge(tag, cursor.sequence_set(uid=True))


async def _uid_expunge(context: Context, command: UidExpunge) -> bytes:
    """Expunge among these messages only."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    return await expunge_some(context, view.uids_of(view.places(command.uids)), b"UID EXPUNGE")


UIDPLUS = ImapExtension(
    "UIDPLUS",
    after_login("UIDPLUS"),
    commands=(ImapCommand("UID EXPUNGE", SELECTED, _uid_expunge, _parse),),
    position=9,
)
