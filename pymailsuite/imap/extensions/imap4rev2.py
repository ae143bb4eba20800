"""IMAP4rev2, and UTF8=ACCEPT, which is a part of it that clients may enable alone. Source: RFC 9051, RFC 6855.

A client of both versions enables IMAP4rev2 (RFC 9051 §6.3.1), and then replies differ from those of IMAP4rev1:

- SEARCH is answered by ESEARCH (``commands.searching``);
- nothing is told of ``\\Recent``: no RECENT, no flag;
- SELECT tells the name by LIST, and not the first unseen message (``commands.selecting``);
- names of mailboxes are in UTF-8, and what was normalized in them is told by OLDNAME (``imap.places``).

All else that the version has are extensions of IMAP4rev1, which are offered to every client.
"""

from __future__ import annotations

from typing import Final

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapExtension, after_login, always


def _use_utf8(context: Context) -> None:
    context.use_utf8()


def _use_rev2(context: Context) -> None:
    context.use_rev2()


UTF8_ACCEPT: Final = ImapExtension(
    "UTF8=ACCEPT", after_login("UTF8=ACCEPT"), enables={"UTF8=ACCEPT": _use_utf8}, position=4
)
IMAP4REV2: Final = ImapExtension("IMAP4rev2", always("IMAP4rev2"), enables={"IMAP4REV2": _use_rev2}, position=0)
