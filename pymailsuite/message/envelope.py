"""ENVELOPE in wire form. Source: RFC 3501 §7.4.2, RFC 9051 §7.5.2.

A list takes memory and time in proportion to its field: one that would take more is cut, and ends in an empty group
named ``...``, which cannot be mistaken for an address.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pymailsuite.message.addresses import AddressParser, RawAddress
from pymailsuite.message.fields import CUT_MARK, cut_list
from pymailsuite.message.quoting import nstring, string

_simple = re.compile(
    rb"""
    [ \t]*+
    (?: (?: "([ !#-\[\]-~]{1,200})"
          | ([!#$%&'*+\-/=?^_`{|}~A-Za-z0-9]{1,200}+ (?: [ ] [!#$%&'*+\-/=?^_`{|}~A-Za-z0-9]{1,200}+ ){0,15}) )?+ [ ]?+
        < ([!#$%&'*+\-/=?^_`{|}~A-Za-z0-9.]{1,200}+) @ ([A-Za-z0-9.-]{1,200}+) >
      | ([!#$%&'*+\-/=?^_`{|}~A-Za-z0-9.]{1,200}+) @ ([A-Za-z0-9.-]{1,200}+)
        (?: [ ] \( ([!#-'*-\[\]-~]{1,200}+ (?: [ ] [!#-'*-\[\]-~]{1,200}+ ){0,15}) \) )?+
    )
    [ \t]*+ (?: , (?= [^,] ) | \Z )
    """,
    re.VERBOSE,
).match
"""The forms of nearly all addresses, whose pieces are sent as they stand; other forms go to the parser."""

_REMEMBERED_MAX: Final = 200
"""Address fields up to this length are cached: a mailbox gets the same To, and a list the same From, all day."""


_ROOM: Final = 512
_ROOM_RATIO: Final = 4
"""Octets of wire form that a list may take, and that it may take for each octet of the field: the shortest address that
anybody has takes three."""
_COPY_MAX: Final = 4096
"""Octets of a field beyond which its list is given whole only once."""


class Effort:
    """The remaining limit of tokens of irregular addresses to parse in one message."""

    __slots__ = ("tokens",)

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens


def _address_list(body: bytes, tokens: int) -> tuple[bytes, int]:
    """The wire form, and how many of the ``tokens`` it took."""
    found: list[bytes] = []
    position, size = 0, len(body)
    room = _ROOM + _ROOM_RATIO * size
    parser: AddressParser | None = None
    while position < size:
        match = _simple(body, position)
        if match is not None:
            quoted, plain, local_part, domain, bare_local_part, bare_domain, comment = match.groups()
            if quoted or plain:
                found.append(b'("%b" NIL "%b" "%b")' % (quoted or plain, local_part, domain))
            elif comment is not None:
                found.append(b'("%b" NIL "%b" "%b")' % (comment, bare_local_part, bare_domain))
            else:
                found.append(b'(NIL NIL "%b" "%b")' % (local_part or bare_local_part, domain or bare_domain))
            position = match.end()
            continue
        if parser is None:
            parser = AddressParser(body, tokens)
        position = parser.read(position)
        body = parser.body
        for entry in parser.found:
            wire = _entry(entry)
            room -= len(wire)
            if room >= 0 or (entry.domain is None and entry.local_part is None):
                found.append(wire)
        parser.found.clear()
        if parser.cut or room < 0:
            found.append(_CUT)
            break
    return b"(%b)" % b"".join(found) if found else b"NIL", 0 if parser is None else tokens - parser.tokens


def _entry(entry: RawAddress) -> bytes:
    name, route, local_part, domain = entry
    return b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(local_part), nstring(domain))


_CUT: Final = _entry(RawAddress(None, None, CUT_MARK.removesuffix(b":;"), None)) + b"(NIL NIL NIL NIL)"


@lru_cache(maxsize=4096)
def _short_address_list(body: bytes) -> tuple[bytes, int]:
    return _address_list(body, _REMEMBERED_MAX)  # a token has an octet at least


def address_list(body: bytes, effort: Effort) -> bytes:
    """An unfolded address field in IMAP's form; NIL if it has no address.

    An address without a domain (``From: root``) has an empty string there: NIL would make it a group.
    """
    if len(body) <= _REMEMBERED_MAX and effort.tokens > 0:
        wire, taken = _short_address_list(body)
    else:
        wire, taken = _address_list(body, max(effort.tokens, 0))
    if taken:
        effort.tokens -= taken
    return wire


def envelope(found: dict[bytes, bytes], effort: Effort) -> bytes:
    """The ENVELOPE of a message whose header fields are ``found`` (see ``fields.first_fields``)."""
    get = found.get
    author_body = get(b"from")
    author = default = _addresses(author_body, effort)
    if author_body is not None and len(author_body) > _COPY_MAX:
        default = address_list(cut_list(author_body, _COPY_MAX), effort)
    sender, reply_to = get(b"sender"), get(b"reply-to")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(get(b"date")),
        _text(get(b"subject")),
        author,
        # RFC 3501 §7.4.2: the server sets these two to From when they are absent or empty
        default if sender is None else _address_list_or(sender, default, effort),
        default if reply_to is None else _address_list_or(reply_to, default, effort),
        _addresses(get(b"to"), effort),
        _addresses(get(b"cc"), effort),
        _addresses(get(b"bcc"), effort),
        _text(get(b"in-reply-to")),
        _text(get(b"message-id")),
    )


def _text(body: bytes | None) -> bytes:
    return b"NIL" if body is None else string(body)


def _addresses(body: bytes | None, effort: Effort) -> bytes:
    return b"NIL" if body is None else address_list(body, effort)


def _address_list_or(body: bytes, default: bytes, effort: Effort) -> bytes:
    """As :func:`address_list`, with ``default`` for a field without an address."""
    listed = address_list(body, effort)
    return default if listed == b"NIL" else listed
