"""NAMESPACE: the prefixes of mailbox names. Source: RFC 2342."""

from __future__ import annotations

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command
from pymailsuite.values import DELIMITER


async def _namespace(context: Context, _: Command) -> bytes:
    """One personal namespace without a prefix; others' and shared ones do not exist. Source: RFC 2342 §5."""
    context.out.append(f'* NAMESPACE (("" "{DELIMITER}")) NIL NIL\r\n'.encode("ascii"))
    return b"OK NAMESPACE completed"


NAMESPACE = ImapExtension(
    "NAMESPACE", after_login("NAMESPACE"), commands=(ImapCommand("NAMESPACE", AFTER_LOGIN, _namespace),), position=6
)
