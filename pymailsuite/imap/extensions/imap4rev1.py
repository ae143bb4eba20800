"""IMAP4rev1 itself. Source: RFC 3501."""

from __future__ import annotations

from pymailsuite.imap.commands import (
    append,
    changing,
    connection,
    copying,
    fetching,
    listing,
    mailboxes,
    searching,
    selecting,
)
from pymailsuite.imap.extension import ImapExtension, always
from pymailsuite.imap.fetch.attributes import ATTRIBUTES
from pymailsuite.imap.search.keys import KEYS

IMAP4REV1 = ImapExtension(
    "IMAP4rev1",
    always("IMAP4rev1"),
    commands=(
        *connection.COMMANDS,
        *selecting.COMMANDS,
        *mailboxes.COMMANDS,
        *listing.COMMANDS,
        *append.COMMANDS,
        *searching.COMMANDS,
        *fetching.COMMANDS,
        *changing.COMMANDS,
        *copying.COMMANDS,
    ),
    fetch_attributes=ATTRIBUTES,
    search_keys=KEYS,
    status_items=mailboxes.STATUS_ITEMS,
    position=0,
)
