"""ENVELOPE in wire form. Source: RFC 3501 §7.4.2, RFC 9051 §7.5.2."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pymailsuite.message.addresses import raw_addresses
from pymailsuite.message.quoting import nstring, string

_simple = re.compile(
    rb"""
    [ \t]*+
    (?: (?: "([ !#-\[\]-~]{1,200})"
          | ([!#$%&'*+\-/=?^_`{|}~A-Za-z0-9]{1,200}+ (?: [ ] [!#$%&'*+\-/=?^_`{|}~A-Za-z0-9]{1,200}+ ){0,15}) )?+ [ ]?+
        < ([!#$%&'*+\-/=?^_`{|}~A-Za-z0-9.]{1,200}+) @ ([A-Za-z0-9.-]{1,200}+) >
      | ([!#$%&'*+\-/=?^_`{|}~A-Za-z0-9.]{1,200}+) @ ([A-Za-z0-9.-]{1,200}+)
    )
    [ \t]*+ (?: , (?= [^,] ) | \Z )
    """,
    re.VERBOSE,
).match
"""The forms nearly all addresses have, whose pieces go out as they stand; whatever else goes to the parser."""

_REMEMBERED_MAX: Final = 200
"""Address fields up to this length are remembered: a mailbox gets the same To, and a list the same From, all day."""


def _address_list(body: bytes) -> bytes:
    found: list[bytes] = []
    position, size = 0, len(body)
    while position < size:
        match = _simple(body, position)
        if match is None:
            break
        quoted, plain, local_part, domain, bare_local_part, bare_domain = match.groups()
        if bare_domain is not None:
            found.append(b'(NIL NIL "%b" "%b")' % (bare_local_part, bare_domain))
        elif quoted or plain:
            found.append(b'("%b" NIL "%b" "%b")' % (quoted or plain, local_part, domain))
        else:
            found.append(b'(NIL NIL "%b" "%b")' % (local_part, domain))
        position = match.end()
    if position < size:
        found = [
            b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(local_part), nstring(domain))
            for name, route, local_part, domain in raw_addresses(body)
        ]
    return b"(%b)" % b"".join(found) if found else b"NIL"


_remembered_address_list = lru_cache(maxsize=4096)(_address_list)


def address_list(body: bytes) -> bytes:
    """An unfolded address field as IMAP shows it; NIL if it names nobody.

    An address without a domain (``From: root``) has an empty string there: NIL would make it a group.
    """
    return _remembered_address_list(body) if len(body) <= _REMEMBERED_MAX else _address_list(body)


def envelope(found: dict[bytes, bytes]) -> bytes:
    """The ENVELOPE of a message whose header fields are ``found`` (see ``fields.first_fields``)."""
    get = found.get
    author = _addresses(get(b"from"))
    sender, reply_to = get(b"sender"), get(b"reply-to")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(get(b"date")),
        _text(get(b"subject")),
        author,
        # RFC 3501 §7.4.2: the server sets these two to From when they are absent or empty
        author if sender is None else _address_list_or(sender, author),
        author if reply_to is None else _address_list_or(reply_to, author),
        _addresses(get(b"to")),
        _addresses(get(b"cc")),
        _addresses(get(b"bcc")),
        _text(get(b"in-reply-to")),
        _text(get(b"message-id")),
    )


_first_string = re.compile(rb'NIL|"((?:[^"\\]|\\.)*+)"|\{([0-9]++)\}\r\n').match


def date_and_subject(envelope: bytes) -> tuple[bytes | None, bytes | None]:
    """The bodies of Date and Subject in an :func:`envelope`, unfolded; None for a field that is not there."""
    found: list[bytes | None] = []
    position = 1
    for _ in range(2):
        match = _first_string(envelope, position)
        if match is None:
            return None, None  # no envelope of ours
        quoted, size = match.groups()
        position = match.end() + 1
        if size is not None:
            found.append(envelope[match.end() : match.end() + int(size)])
            position += int(size)
        else:
            found.append(re.sub(rb"\\(.)", rb"\1", quoted) if quoted and b"\\" in quoted else quoted)
    return found[0], found[1]


def _text(body: bytes | None) -> bytes:
    return b"NIL" if body is None else string(body)


def _addresses(body: bytes | None) -> bytes:
    return b"NIL" if body is None else address_list(body)


def _address_list_or(body: bytes, default: bytes) -> bytes:
    """As :func:`address_list`, with ``default`` for a field that names nobody."""
    listed = address_list(body)
    return default if listed == b"NIL" else listed
