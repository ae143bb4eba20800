"""ACL: who may do what with a mailbox. Source: RFC 4314; RFC 2086, which older clients speak.

The namespace profile ``courier`` is for clients that expect Courier's server: there the letters are those of RFC 2086,
in quotes, and SELECT tells the own rights. Letters of both RFCs are taken in either profile.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from attrs import frozen

from pymailsuite.errors import PeerError, Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, Standing
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.naming import COURIER
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.render import astring, string
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command
from pymailsuite.interfaces import Mailbox
from pymailsuite.interfaces.rights import ALL_RIGHTS, NO_RIGHTS, Rights
from pymailsuite.interfaces.sharing import OWNER, AclEntry, Identifier, IdentifierKind, IMailSharing, RightsChange


@frozen
class AclCommand(Command):
    """GETACL and MYRIGHTS."""

    mailbox: str


@frozen
class IdentifierCommand(AclCommand):
    """DELETEACL and LISTRIGHTS: the identifier as the client wrote it, and without the sign whom it stands for."""

    written: str
    identifier: Identifier
    is_negative: bool


@frozen
class SetAcl(IdentifierCommand):
    """SETACL."""

    change: RightsChange
    rights: Rights


# --- grammar


def _parse_mailbox(cursor: Cursor, tag: str) -> AclCommand:
    # getacl = "GETACL" SP mailbox;  myrights = "MYRIGHTS" SP mailbox   ; RFC 4314 §7
    cursor.space()
    return AclCommand(tag, cursor.mailbox())


def _parse_identifier(cursor: Cursor, tag: str) -> IdentifierCommand:
    # deleteacl = "DELETEACL" SP mailbox SP identifier;  listrights = "LISTRIGHTS" SP mailbox SP identifier
    cursor.space()
    name = cursor.mailbox()
    cursor.space()
    return IdentifierCommand(tag, name, *_identifier(cursor))


def _identifier(cursor: Cursor) -> tuple[str, Identifier, bool]:
    # identifier = astring; RFC 4314 §2: one with "-" in front has negative rights
    try:
        written = cursor.astring("an identifier").decode("utf-8")
        return written, Identifier.parse(written.removeprefix("-")), written.startswith("-")
    except ValueError:
        raise PeerError("Not an identifier") from None


def _parse_set(cursor: Cursor, tag: str) -> SetAcl:
    # setacl = "SETACL" SP mailbox SP identifier SP mod-rights;  mod-rights = astring
    cursor.space()
    name = cursor.mailbox()
    cursor.space()
    identifier = _identifier(cursor)
    cursor.space()
    text = cursor.astring("rights").decode("latin-1")
    change = RightsChange(text[:1]) if text[:1] in {"+", "-"} else RightsChange.REPLACE
    try:
        rights = Rights.parse(text.removeprefix(change.value))
    except ValueError:
        # RFC 4314 §3.1: a right that the server does not know of is an error of the client.
        raise PeerError("Unknown right") from None
    return SetAcl(tag, name, *identifier, change, rights)


# --- replies


def _is_courier(context: Context) -> bool:
    return context.places.naming.profile is COURIER


def _shown(context: Context, rights: Rights) -> bytes:
    """Rights as this client is to see them."""
    if _is_courier(context):
        return string(rights.rfc2086.encode("ascii"))
    return astring(rights.with_obsolete.encode("ascii"))


def _told(context: Context, word: bytes, wire: str, *rest: bytes) -> bytes:
    form = context.places.form
    name = form.quoted(wire) if _is_courier(context) else form.mailbox(wire)
    return b"* %b\r\n" % b" ".join([word, name, *rest])


def _identifier_told(context: Context, written: str) -> bytes:
    octets = written.encode("utf-8")
    return string(octets) if _is_courier(context) else astring(octets)


# --- commands


async def _asked(context: Context, name: str) -> tuple[IMailSharing, MailboxPlace]:
    sharing = context.shared.sharing
    if sharing is None:
        raise Refusal("This server shares no mailboxes")
    return sharing, await context.place(name)


async def _set(context: Context, command: SetAcl) -> bytes:
    """RFC 4314 §3.1."""
    await _change(context, command, command.change, command.rights)
    return b"OK SETACL completed"


async def _delete(context: Context, command: IdentifierCommand) -> bytes:
    """RFC 4314 §3.2."""
    await _change(context, command, RightsChange.REPLACE, NO_RIGHTS)
    return b"OK DELETEACL completed"


async def _change(context: Context, command: IdentifierCommand, change: RightsChange, rights: Rights) -> None:
    sharing, place = await _asked(context, command.mailbox)
    entry = AclEntry(command.identifier, rights, command.is_negative)
    await sharing.set_rights(place.account_id, place.name, context.mail.account_id, entry, change)


async def _get(context: Context, command: AclCommand) -> bytes:
    """RFC 4314 §3.3."""
    sharing, place = await _asked(context, command.mailbox)
    words: list[bytes] = []
    for entry in await sharing.acl(place.account_id, place.name, context.mail.account_id):
        sign = "-" if entry.negative else ""
        words += [_identifier_told(context, f"{sign}{entry.identifier}"), _shown(context, entry.rights)]
    context.out.append(_told(context, b"ACL", place.wire, *words))
    return b"OK GETACL completed"


async def _list(context: Context, command: IdentifierCommand) -> bytes:
    """RFC 4314 §3.4: the owner has all rights in any case, each of them can be given to others by itself."""
    sharing, place = await _asked(context, command.mailbox)
    await sharing.acl(place.account_id, place.name, context.mail.account_id)
    words: Iterable[bytes]
    is_owner = command.identifier == OWNER
    if command.identifier.kind is IdentifierKind.USER:
        named = await sharing.owner(command.identifier.name)
        is_owner = named is not None and named.account_id == place.account_id
    if is_owner and not command.is_negative:
        words = [_shown(context, ALL_RIGHTS)]
    else:
        letters = ALL_RIGHTS.rfc2086 if _is_courier(context) else ALL_RIGHTS.with_obsolete
        quote = string if _is_courier(context) else astring
        words = [string(b""), *(quote(letter.encode("ascii")) for letter in letters)]
    told = _identifier_told(context, command.written)
    context.out.append(_told(context, b"LISTRIGHTS", place.wire, told, *words))
    return b"OK LISTRIGHTS completed"


async def _mine(context: Context, command: AclCommand) -> bytes:
    """RFC 4314 §3.5."""
    sharing, place = await _asked(context, command.mailbox)
    rights = await sharing.my_rights(place.account_id, place.name, context.mail.account_id)
    context.out.append(my_rights_line(context, place.wire, rights))
    return b"OK MYRIGHTS completed"


def my_rights_line(context: Context, wire: str, rights: Rights) -> bytes:
    """MYRIGHTS of the mailbox that the client calls ``wire``. Source: RFC 4314 §3.8."""
    return _told(context, b"MYRIGHTS", wire, _shown(context, rights))


def _opened(context: Any, opened: Mailbox) -> bytes:
    """S104: as Courier tells it."""
    if context.shared.sharing is None or not _is_courier(context):
        return b""
    return b"* OK [MYRIGHTS %b] ACL\r\n" % _shown(context, opened.rights)


def _capabilities(standing: Standing) -> Iterable[str]:
    # RFC 4314 §4: RIGHTS= names the rights that RFC 2086 does not have.
    if not (standing.logged_in and standing.shares):
        return ()
    return ("ACL", "ACL2=UNION") if standing.settings.namespace == COURIER.name else ("ACL", "RIGHTS=texk")


ACL: Final = ImapExtension(
    "ACL",
    _capabilities,
    commands=(
        ImapCommand("SETACL", AFTER_LOGIN, _set, _parse_set),
        ImapCommand("DELETEACL", AFTER_LOGIN, _delete, _parse_identifier),
        ImapCommand("GETACL", AFTER_LOGIN, _get, _parse_mailbox),
        ImapCommand("LISTRIGHTS", AFTER_LOGIN, _list, _parse_identifier),
        ImapCommand("MYRIGHTS", AFTER_LOGIN, _mine, _parse_mailbox),
    ),
    opened=_opened,
    position=30,
)
