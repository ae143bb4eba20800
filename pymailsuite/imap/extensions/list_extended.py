"""LIST-EXTENDED, LIST-STATUS, CHILDREN: options of LIST. Source: RFC 5258, RFC 5819, RFC 3348."""

from __future__ import annotations

from typing import Final

from pymailsuite.imap.commands.mailboxes import note_items, status_reply
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapExtension, ListReturn, ListSelection, after_login
from pymailsuite.imap.grammar.mailboxes import parse_status_items
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.interfaces import Mailbox
from pymailsuite.interfaces.rights import Right


def _is_subscribed(_: str, mailbox: Mailbox | None, subscribed: bool) -> bool:
    del mailbox  # RFC 5258 §3.1: a subscribed name need not exist.
    return subscribed


def _parse_status(cursor: Cursor) -> tuple[str, ...]:
    # status-option = "STATUS" SP "(" status-att *(SP status-att) ")"   ; RFC 5819 §4
    cursor.space()
    return parse_status_items(cursor)


def _status_line(context: Context, wire: str, mailbox: Mailbox, items: tuple[str, ...]) -> bytes:
    # RFC 5819 §2: nothing for a mailbox of which STATUS would be refused.
    return status_reply(context, wire, mailbox, items) if Right.READ in mailbox.rights else b""


CHILDREN: Final = ImapExtension("CHILDREN", after_login("CHILDREN"), list_returns=(ListReturn("CHILDREN"),), position=7)

LIST_EXTENDED: Final = ImapExtension(
    "LIST-EXTENDED",
    after_login("LIST-EXTENDED"),
    # list-select-base-opt = "SUBSCRIBED";  list-select-independent-opt = "REMOTE"   ; RFC 5258 §6
    list_selections=(
        ListSelection("SUBSCRIBED", _is_subscribed),
        ListSelection("REMOTE"),
        ListSelection("RECURSIVEMATCH"),
    ),
    list_returns=(ListReturn("SUBSCRIBED"),),
    position=16,
)

LIST_STATUS: Final = ImapExtension(
    "LIST-STATUS",
    after_login("LIST-STATUS"),
    list_returns=(ListReturn("STATUS", _parse_status, _status_line, note_items),),
    position=17,
)
