"""STATUS=SIZE: the octets of a mailbox. Source: RFC 8438."""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, StatusItem, after_login

STATUS_SIZE = ImapExtension(
    "STATUS=SIZE",
    after_login("STATUS=SIZE"),
    status_items=(StatusItem("SIZE", lambda _, mailbox: mailbox.size),),
    position=18,
)
