"""METADATA and METADATA-SERVER: annotations of mailboxes and of the server; LIST-METADATA tells them with the list.

Source: RFC 5464, RFC 9590, RFC 6154 §4. Of the server each user has private annotations; the shared ones are settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pymailsuite.errors import NoPermission, Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, ListReturn, Standing
from pymailsuite.imap.grammar.metadata import GetMetadata, SetMetadata, parse_get, parse_list_return, parse_set
from pymailsuite.imap.render import string
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.interfaces import Mailbox
from pymailsuite.interfaces.annotations import SHARED, SPECIAL_USE, IAnnotations, uses_value
from pymailsuite.interfaces.rights import Right
from pymailsuite.values import AccountId, MailboxId


def _store(context: Context) -> IAnnotations:
    annotations = context.shared.annotations
    if annotations is None:
        raise Refusal("This store keeps no annotations")
    return annotations


def _of_server(context: Context) -> dict[str, bytes]:
    settings = context.settings
    known = {f"{SHARED}/admin": settings.admin_contact, f"{SHARED}/comment": settings.server_comment}
    return {entry: text.encode("utf-8") for entry, text in known.items() if text}


async def _get(context: Context, command: GetMetadata) -> bytes:
    """RFC 5464 §4.2: what is longer than MAXSIZE is left out, and the longest of that is told."""
    by = context.mail.account_id
    if command.mailbox:
        place = await context.place(command.mailbox)
        wire = context.places.form.mailbox(place.wire)
        found: Mapping[str, bytes] = await _store(context).annotations(place.account_id, place.name, by)
    else:
        wire = b'""'
        found = {**await _store(context).annotations(by, None, by), **_of_server(context)}
    told: dict[str, bytes | None] = {}
    longest = 0
    for entry in command.entries:
        names = [name for name in sorted(found) if _is_within(name, entry, command.depth)]
        if not names and command.depth == 0:
            told[entry] = None
        for name in names:
            value = found[name]
            if command.max_size is not None and len(value) > command.max_size:
                longest = max(longest, len(value))
            else:
                told[name] = value
    if told:
        context.out.append(_line(wire, told))
    code = b"[METADATA LONGENTRIES %d] " % longest if longest else b""
    return b"OK " + code + b"GETMETADATA completed"


def _is_within(name: str, entry: str, depth: int | None) -> bool:
    if name == entry:
        return True
    below = name.removeprefix(f"{entry}/")
    return below != name and (depth is None or below.count("/") < depth)


def _line(wire: bytes, values: Mapping[str, bytes | None]) -> bytes:
    """* METADATA mailbox (entry value ...). Source: RFC 5464 §4.4.1."""
    pairs = [b"%b %b" % (entry.encode("ascii"), _value(value)) for entry, value in values.items()]
    return b"* METADATA %b (%b)\r\n" % (wire, b" ".join(pairs))


def _value(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    # value = nstring / literal8
    return b"~{%d}\r\n%b" % (len(value), value) if b"\0" in value else string(value)


async def _set(context: Context, command: SetMetadata) -> bytes:
    """RFC 5464 §4.3: all entries or none."""
    by = context.mail.account_id
    if command.mailbox:
        place = await context.place(command.mailbox)
        await _store(context).annotate(place.account_id, place.name, by, command.values)
    elif any(entry.startswith(SHARED) for entry in command.values):
        raise NoPermission()
    else:
        await _store(context).annotate(by, None, by, command.values)
    return b"OK SETMETADATA completed"


# --- LIST-METADATA

_Found = tuple[tuple[str, ...], AccountId, Mapping[tuple[AccountId, MailboxId], Mapping[str, bytes]]]


async def _look(context: Context, entries: tuple[str, ...]) -> _Found:
    by = context.mail.account_id
    owners = {by}
    if context.shared.sharing is not None:
        owners |= {shared.owner.account_id for shared in await context.places.visible()}
    return entries, by, await _store(context).annotations_of_all(by, sorted(owners), entries)


def _list_line(context: Any, wire: str, mailbox: Mailbox, found: _Found) -> bytes:
    entries, by, values = found
    if Right.READ not in mailbox.rights:
        return b""
    own = dict(values.get((mailbox.account_id, mailbox.mailbox_id), {}))
    if mailbox.special_uses and mailbox.account_id == by:
        own[SPECIAL_USE] = uses_value(mailbox.special_uses)
    return _line(context.places.form.mailbox(wire), {entry: own.get(entry) for entry in entries})


def _capabilities(standing: Standing) -> Iterable[str]:
    return ("METADATA", "METADATA-SERVER") if standing.logged_in and standing.annotates else ()


def _list_capabilities(standing: Standing) -> Iterable[str]:
    return ("LIST-METADATA",) if standing.logged_in and standing.annotates else ()


METADATA: Final = ImapExtension(
    "METADATA",
    _capabilities,
    commands=(
        ImapCommand("GETMETADATA", AFTER_LOGIN, _get, parse_get),
        ImapCommand("SETMETADATA", AFTER_LOGIN, _set, parse_set),
    ),
    position=43,
)
LIST_METADATA: Final = ImapExtension(
    "LIST-METADATA",
    _list_capabilities,
    list_returns=(ListReturn("METADATA", parse_list_return, _list_line, before=_look),),
    position=44,
)
