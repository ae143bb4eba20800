"""The octets that IMAP URLs name: messages of the client's own mailboxes, and sections of them. Source: RFC 4469 §3.

They are read in pieces, so that neither a message nor a section is ever in memory whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from pymailsuite.errors import NoSuchMailbox, PeerError, Refusal
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.grammar.urls import MessageUrl, parse_url
from pymailsuite.imap.values import Section, SectionText
from pymailsuite.interfaces import Column, Mailbox, MessageRow
from pymailsuite.message.headers import FieldSelector
from pymailsuite.message.parts import decode_parts
from pymailsuite.values import MAX_CHUNK, MailboxId, Uid, UidSet

_COLUMNS: Final = (Column.SIZE, Column.PREFIX_SIZE, Column.PARTS)
_HEADERS: Final = frozenset({SectionText.HEADER, SectionText.FIELDS, SectionText.FIELDS_NOT})


class BadUrl(Refusal):
    """A URL names nothing that the client may read: ``NO [BADURL ...]``. Source: RFC 4469 §4.2."""

    text = "The URL names no message of yours"

    def __init__(self, url: bytes, *, cause: str = "") -> None:
        super().__init__(cause=cause)
        words = replies.text(url.decode("ascii", "replace")).decode("ascii")
        self.imap_code = f"BADURL {words.replace(']', '%5D')}"


async def octets_of(context: Context, octets: bytes) -> AsyncIterator[bytes]:
    """The octets that a URL names, in pieces. BadUrl if there are none, or no longer."""
    try:
        url = parse_url(octets, context.shared.vocabulary)
    except PeerError as error:
        raise BadUrl(octets, cause=error.public) from None
    mail, mailbox_id = await _mailbox(context, url, octets)
    uid = Uid(url.uid)

    def place(rows: Sequence[MessageRow]) -> tuple[int, int] | None:
        return _place(url.section, rows[0]) if rows else None

    found = await mail.read_messages(mailbox_id, UidSet.of([uid]), _COLUMNS, place)
    if found is None:
        raise BadUrl(octets, cause="no such message or section")
    start, stop = found
    selector = None
    if url.section.fields:
        selector = FieldSelector(url.section.fields, url.section.text is SectionText.FIELDS_NOT)
    else:
        start = min(start + url.first, stop)
        stop = stop if url.count is None else min(start + url.count, stop)
    skipped, left = url.first, url.count
    for at in range(start, stop, MAX_CHUNK):
        last = min(at + MAX_CHUNK, stop)
        piece: bytes = await mail.read_octets(mailbox_id, uid, at, last)
        if len(piece) < last - at:
            raise BadUrl(octets, cause="the message is gone")
        if selector is None:
            yield piece
            continue
        chosen = selector.feed(piece) + (selector.finish() if last == stop else b"")
        some = chosen[skipped : None if left is None else skipped + left]
        skipped = max(0, skipped - len(chosen))
        left = None if left is None else left - len(some)
        yield some


async def _mailbox(context: Context, url: MessageUrl, octets: bytes) -> tuple[Any, MailboxId]:
    """The mail and the mailbox that a URL is about."""
    if url.host and url.host.lower() != context.shared.hostname.lower():
        raise BadUrl(octets, cause="another server")
    if url.user and url.user.lower() != context.login_name.lower():
        raise BadUrl(octets, cause="another user")
    if url.mailbox is None:
        if context.view is None:
            raise BadUrl(octets, cause="no mailbox is selected")
        return context.view.mail, context.view.mailbox_id
    try:
        place = await context.place(url.mailbox)
        mailbox: Mailbox = await place.mail.mailbox(place.name)
    except NoSuchMailbox:
        raise BadUrl(octets, cause="no such mailbox") from None
    if not mailbox.selectable or url.uid_validity not in {None, mailbox.uid_validity}:
        raise BadUrl(octets, cause="another UIDVALIDITY")
    return place.mail, mailbox.mailbox_id


def _place(section: Section, row: MessageRow) -> tuple[int, int] | None:
    """Where a section begins and ends among the octets of a message."""
    size, prefix_size, parts = row
    path, text = section.path, section.text
    if not path and text is SectionText.ALL:
        return 0, size
    kind = "HEADER" if text in _HEADERS else text.value
    found = decode_parts(parts).section(path, kind)
    if found is None:
        return None
    # The lines of ours in front belong to the header of the message.
    start = found[0] + prefix_size if path or kind == "TEXT" else 0
    return start, found[1] + prefix_size
