"""ID: the names and versions of client and server. Source: RFC 2971."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, always
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.render import string
from pymailsuite.imap.states import ANY
from pymailsuite.imap.values import Command


@frozen
class Id(Command):
    """``params`` None for ``NIL``."""

    params: Mapping[str, str | None] | None = None


def _parse(cursor: Cursor, tag: str) -> Id:
    # id = "ID" SP id_params_list;  id_params_list = "(" *(string SP nstring) ")" / nil   ; RFC 2971 §4
    cursor.space()
    if not cursor.sees(b"("):
        if cursor.try_word() != "NIL":
            raise PeerError("Expected a list of fields or NIL")
        return Id(tag)
    params: dict[str, str | None] = {}
    for _ in cursor.listed(cursor.limits.id_pairs, "fields"):
        # Departs from RFC 2971: some clients send atoms here too.
        name = cursor.astring("a field name")
        cursor.space()
        value = cursor.nstring()
        # The client's parameters are shown to people, and tell which defects are to be lived with.
        params[name.decode("utf-8", "replace")] = None if value is None else value.decode("utf-8", "replace")
    return Id(tag, params)


async def _identify(context: Context, command: Id) -> bytes:
    """The client's parameters go to the log, the server's come from a setting.

    A client for which there is a profile (``imap.quirks``) is sent its capabilities, if they were others before.
    """
    if command.params:
        context.connection.log.info("{event} {client}", event="imap.client_identified", client=dict(command.params))
        if context.identified(command.params):
            context.out.append(b"* CAPABILITY " + context.capabilities() + replies.CRLF)
    fields = context.shared.id_fields
    listed = b" ".join([string(word.encode("utf-8")) for pair in fields.items() for word in pair])
    context.out.append(b"* ID " + (b"(" + listed + b")" if listed else b"NIL") + replies.CRLF)
    return b"OK ID completed"


ID = ImapExtension("ID", always("ID"), commands=(ImapCommand("ID", ANY, _identify, _parse),), position=2)
