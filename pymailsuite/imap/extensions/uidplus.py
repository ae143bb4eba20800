"""UIDPLUS: UID EXPUNGE. Source: RFC 4315. APPENDUID and COPYUID are told by APPEND, COPY and MOVE."""

from __future__ import annotations

from attrs import frozen

from pymailsuite.errors import ReadOnly
from pymailsuite.imap.commands.changing import expunge_some
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.message_limit import tell_limit, within_limit
from pymailsuite.imap.selected import count_of
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command, SequenceSet
from pymailsuite.values import SystemFlag


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
    spans = view.places(command.uids)
    limit = context.settings.message_limit
    if limit and count_of(spans) > limit:
        # RFC 9738: those without ``\Deleted`` do not count.
        spans, limited = within_limit(context, view, view.having(spans, SystemFlag.DELETED))
        tell_limit(context, limited)
    return await expunge_some(context, view.uids_of(spans), b"UID EXPUNGE")


UIDPLUS = ImapExtension(
    "UIDPLUS",
    after_login("UIDPLUS"),
    commands=(ImapCommand("UID EXPUNGE", SELECTED, _uid_expunge, _parse),),
    position=9,
)
