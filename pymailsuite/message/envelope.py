"""ENVELOPE in wire form. Source: RFC 3501 §7.4.2, RFC 9051 §7.5.2."""

from __future__ import annotations

from pymailsuite.message.addresses import raw_addresses
from pymailsuite.message.fields import unfold
from pymailsuite.message.quoting import nstring, string


def _text(found: dict[bytes, bytes], name: bytes) -> bytes:
    body = found.get(name)
    return b"NIL" if body is None else string(unfold(body))


def address_list(body: bytes | None) -> bytes:
    """An address field as IMAP shows it; NIL if the field is absent or names nobody.

    An address without a domain (``From: root``) has an empty string there: NIL would make it a group.
    """
    if body is None:
        return b"NIL"
    entries = raw_addresses(body)
    if not entries:
        return b"NIL"
    return b"(%b)" % b"".join(
        [
            b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(local_part), nstring(domain))
            for name, route, local_part, domain in entries
        ]
    )


def envelope(found: dict[bytes, bytes]) -> bytes:
    """The ENVELOPE of a message whose header fields are ``found`` (see ``fields.first_fields``)."""
    get = found.get
    author = address_list(get(b"from"))
    sender = address_list(get(b"sender"))
    reply_to = address_list(get(b"reply-to"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(found, b"date"),
        _text(found, b"subject"),
        author,
        # RFC 3501 §7.4.2: the server sets these two to From when they are absent or empty
        author if sender == b"NIL" else sender,
        author if reply_to == b"NIL" else reply_to,
        address_list(get(b"to")),
        address_list(get(b"cc")),
        address_list(get(b"bcc")),
        _text(found, b"in-reply-to"),
        _text(found, b"message-id"),
    )
