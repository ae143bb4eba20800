"""SPECIAL-USE and CREATE-SPECIAL-USE: the purposes of mailboxes. Source: RFC 6154.

LIST tells the special use in any case (``commands.listing``), and USE is a parameter of CREATE.
"""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, ListReturn, ListSelection, after_login
from pymailsuite.interfaces import Mailbox


def _has_use(_: str, mailbox: Mailbox | None, subscribed: bool) -> bool:
    del subscribed
    return mailbox is not None and bool(mailbox.special_uses)


SPECIAL_USE = ImapExtension(
    "SPECIAL-USE",
    after_login("SPECIAL-USE", "CREATE-SPECIAL-USE"),
    list_selections=(ListSelection("SPECIAL-USE", _has_use),),
    list_returns=(ListReturn("SPECIAL-USE"),),
    position=15,
)
