"""LIST-MYRIGHTS: the own rights with the list of mailboxes. Source: RFC 8440."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pymailsuite.imap.extension import ImapExtension, ListReturn, Standing
from pymailsuite.imap.extensions.acl import my_rights_line
from pymailsuite.interfaces import Mailbox
from pymailsuite.interfaces.rights import SHOWN


def _line(context: Any, wire: str, mailbox: Mailbox, _: None) -> bytes:
    # RFC 8440 §2: nothing where MYRIGHTS would be refused.
    return my_rights_line(context, wire, mailbox.rights) if mailbox.rights & SHOWN else b""


def _capabilities(standing: Standing) -> Iterable[str]:
    return ("LIST-MYRIGHTS",) if standing.logged_in and standing.shares else ()


# return-option =/ "MYRIGHTS"   ; RFC 8440 §4
LIST_MYRIGHTS: Final = ImapExtension(
    "LIST-MYRIGHTS", _capabilities, list_returns=(ListReturn("MYRIGHTS", line=_line),), position=31
)
