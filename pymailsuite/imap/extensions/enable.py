"""ENABLE: a client says that it knows an extension. Source: RFC 5161."""

from __future__ import annotations

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, always
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command

_MOST_CAPABILITIES = 100
"""The greatest number in one ENABLE; far more than exist."""


@frozen
class Enable(Command):
    """``names`` as they were written."""

    names: tuple[str, ...]


def _parse(cursor: Cursor, tag: str) -> Enable:
    # command-any =/ "ENABLE" 1*(SP capability)   ; RFC 5161 §4
    names: list[str] = []
    while not names or not cursor.is_at_end():
        cursor.space()
        if len(names) == _MOST_CAPABILITIES:
            raise PeerError("Too many capabilities")
        names.append(cursor.atom("a capability"))
    return Enable(tag, tuple(names))


async def _enable(context: Context, command: Enable) -> bytes:
    """RFC 5161 §3.1: unknown capabilities are ignored.

    A capability that was on already is listed all the same: another command may have enabled it (RFC 7162 §3.1), and a
    client that does not find it in the list assumes that it is off (RFC 5161 §3.2).
    """
    enables = context.shared.vocabulary.enables
    known = {
        name.upper(): name for name in command.names if name.upper() in enables and not context.hides(name.upper())
    }
    for name in known:
        enables[name](context)
    context.out.append(" ".join(["* ENABLED", *known.values()]).encode("ascii") + replies.CRLF)
    return b"OK ENABLE completed"


ENABLE = ImapExtension(
    "ENABLE", always("ENABLE"), commands=(ImapCommand("ENABLE", AFTER_LOGIN, _enable, _parse),), position=3
)
