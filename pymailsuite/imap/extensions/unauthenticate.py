"""UNAUTHENTICATE: log out, and keep the connection for another login. Source: RFC 8437."""

from __future__ import annotations

from pymailsuite.errors import Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.proxy.dialogue import FRONT_ENDS
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command


async def _unauthenticate(context: Context, _: Command) -> bytes:
    """A selected mailbox is left as by UNSELECT; TLS stays. RFC 8437 §3: the capabilities are others from now on."""
    if context.proxy_ttl < FRONT_ENDS:
        # The front end keeps the accounts of logins, and throttles them.
        raise Refusal("This connection comes from a front end, where you may log in again")
    context.unauthenticate()
    return b"OK [CAPABILITY " + context.capabilities() + b"] Logged out"


UNAUTHENTICATE = ImapExtension(
    "UNAUTHENTICATE",
    after_login("UNAUTHENTICATE"),
    commands=(ImapCommand("UNAUTHENTICATE", AFTER_LOGIN, _unauthenticate),),
    position=24,
)
