"""Sort keys of messages: the first mailbox of From, To and Cc, and its display name.

Source: RFC 5256 §3 (FROM, TO, CC), RFC 5957 §3 (DISPLAYFROM, DISPLAYTO). Keys are case folded, so that they are
compared by code point.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pymailsuite.message.addresses import AddressParser, RawAddress
from pymailsuite.message.charsets import decode_undeclared
from pymailsuite.message.fields import cut_list
from pymailsuite.message.search import fold_text
from pymailsuite.message.text import decode_text, storable

KEY_MAX: Final = 100
"""Characters of a key; more would not change the order that users see."""
_FIELD_MAX: Final = 4096
"""Octets of a field in which its first entry is searched."""
_TOKENS_MAX: Final = 400
_REMEMBERED_MAX: Final = 200
"""Fields up to this length are cached: a mailbox gets the same To, and a list the same From, all day."""

NO_KEYS: Final = ("", "")


def _address_keys(body: bytes) -> tuple[str, str]:
    parser = AddressParser(body if len(body) <= _FIELD_MAX else cut_list(body, _FIELD_MAX), _TOKENS_MAX)
    position = 0
    while position < len(parser.body) and not parser.found:
        position = parser.read(position)
    return _entry_keys(parser.found[0]) if parser.found else NO_KEYS


def _entry_keys(entry: RawAddress) -> tuple[str, str]:
    """The keys of an entry; for a group, which is an entry of ENVELOPE too, both are its name."""
    decode = decode_text if entry.domain is None else decode_undeclared
    mailbox = decode(entry.local_part or b"")
    name = " ".join(decode_text(entry.name).split()) if entry.name else ""
    shown = name or (f"{mailbox}@{decode_undeclared(entry.domain)}" if entry.domain else mailbox)
    return _key(mailbox), _key(shown)


def _key(text: str) -> str:
    return storable(fold_text(text[:KEY_MAX]))[:KEY_MAX]


_remembered_keys = lru_cache(maxsize=4096)(_address_keys)


def address_keys(body: bytes) -> tuple[str, str]:
    """(mailbox, shown name) of the first entry of an unfolded address field; both are empty if it has no address."""
    return _remembered_keys(body) if len(body) <= _REMEMBERED_MAX else _address_keys(body)
