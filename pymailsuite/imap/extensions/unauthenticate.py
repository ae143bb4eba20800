"""UNAUTHENTICATE: log out, and keep the connection for another login. Source: RFC 8437."""

from __future__ import annotations

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command


async def _unauthenticate(context: Context, _: Command) -> bytes:
    """A selected mailbox is left as by UNSELECT; TLS stays. RFC 8437 §3: the capabilities are others from now on."""
    context.unauthenticate()
    return b"OK [CAPABILITY " + context.capabilities() + b"] Logged out"


UNAUTHENTICATE = ImapExtension(
    "UNAUTHENTICATE",
    after_login("UNAUTHENTICATE"),
    commands=(ImapCommand("UNAUTHENTICATE", AFTER_LOGIN, _unauthenticate),),
    position=24,
)
