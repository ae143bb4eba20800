"""NAMESPACE: the prefixes of mailbox names. Source: RFC 2342."""

from __future__ import annotations

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.naming import Namespace
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command


async def _namespace(context: Context, _: Command) -> bytes:
    """Each namespace has one prefix at most. Source: RFC 2342 §5."""
    context.out.append(b"* NAMESPACE %b\r\n" % b" ".join([_told(context, namespace) for namespace in Namespace]))
    return b"OK NAMESPACE completed"


def _told(context: Context, namespace: Namespace) -> bytes:
    # Namespace = nil / "(" 1*( "(" string SP (<"> QUOTED_CHAR <"> / nil) ...")" ) ")"   ; RFC 2342 §6
    places = context.places
    prefix = places.naming.prefix_of(namespace)
    if prefix is None:
        return b"NIL"
    return b'((%b "%b"))' % (places.form.quoted(prefix), places.form.delimiter.encode("ascii"))


NAMESPACE = ImapExtension(
    "NAMESPACE", after_login("NAMESPACE"), commands=(ImapCommand("NAMESPACE", AFTER_LOGIN, _namespace),), position=6
)
