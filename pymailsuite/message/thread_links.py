"""Links between the messages of a thread: numbers that two messages share if they belong together.

RFC 8621 §3: messages belong together if they share a message identifier, whether it is their own, that of what they
reply to or one they refer to, and if their subjects are the same but for marks of replies and white space. A link is a
hash of both, so that a shared link is the only condition to test.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

LINKS_MAX: Final = 50
"""The greatest number of references that are kept: the first, which began the thread, and the last ones."""
_LINK_OCTETS: Final = 8

# msg-id of RFC 5322 §3.6.4, white space and brackets inside apart. Possessive: linear in the field.
identifiers = re.compile(rb"<([^<>\s]{1,998}+)>").findall
"""The message identifiers in a field, without their brackets."""


def thread_links(
    base: str, message_id: bytes | None, in_reply_to: bytes | None, references: bytes | None, otherwise: bytes
) -> tuple[int, bytes]:
    """The link of a message itself, and those of the messages it refers to, as :func:`decode_links` reads them.

    ``base`` is its base subject; the others are unfolded field bodies. ``otherwise`` identifies a message without an
    identifier.
    """
    own = identifiers(message_id) if message_id else None
    key = base.replace(" ", "").encode("utf-8", "replace")
    own_link = _link(key, own[0] if own else message_id or b"\0" + otherwise)
    if not references and not in_reply_to:
        return int.from_bytes(own_link, signed=True), b""
    # Most mail that replies names the same message in both.
    named = identifiers(b"%b %b" % (references or b"", in_reply_to or b""))
    if len(named) > LINKS_MAX:
        named = [named[0], *named[1 - LINKS_MAX :]]
    links = dict.fromkeys([_link(key, one) for one in dict.fromkeys(named)])
    links.pop(own_link, None)
    return int.from_bytes(own_link, signed=True), b"".join(links)


def _link(key: bytes, identifier: bytes) -> bytes:
    return blake2b(b"%b\0%b" % (key, identifier), digest_size=_LINK_OCTETS).digest()


def decode_links(links: bytes) -> list[int]:
    """The numbers in what :func:`thread_links` made."""
    return [
        int.from_bytes(links[place : place + _LINK_OCTETS], signed=True) for place in range(0, len(links), _LINK_OCTETS)
    ]
