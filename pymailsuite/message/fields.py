"""Header blocks cut into fields, in bulk.

One regular expression tiles a whole block: each match is a field with its folded lines, or one line that is no field
(an mbox ``From`` line, garbage), which belongs to the header and is passed over. Every repetition in it is possessive,
so that no input makes it look at an octet more than twice.
"""

from __future__ import annotations

import re

_FIELD = re.compile(
    rb"""
    ([^\s:]++) [ \t]*+ :                            # field-name; RFC 5322 4.5 lets white space stand before the colon
    ( [^\n]*+ (?: \n [ \t] [^\n]*+ )*+ ) \n?+       # the body and the lines folded below it
    | [^\n]*+ \n                                    # a line that is no field
    | [^\n]++ \Z                                    # the same without an end
    """,
    re.VERBOSE,
)
_findall = _FIELD.findall
_FOLD = re.compile(rb"\r*\n")


def raw_fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """(name, body) of each field of a block, in order: the name as it stands, the body raw from after the colon, its
    folds in it, with or without its final CR. A line that is no field gives an empty name."""
    found: list[tuple[bytes, bytes]] = _findall(header)
    return found


def unfold(body: bytes) -> bytes:
    """A field body on one line, white space at both ends removed. Source: RFC 5322 §2.2.3."""
    if b"\n" in body:
        body = _FOLD.sub(b"", body)
    return body.strip()


_ADDRESS_FIELDS = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))


def first_fields(header: bytes) -> dict[bytes, bytes]:
    """The raw body of the first field of each name, names in lower case.

    Address fields that stand more than once (against RFC 5322 §3.6) are joined by commas, so that none is hidden.
    """
    found: dict[bytes, bytes] = {}
    repeated: dict[bytes, list[bytes]] = {}
    for name, body in _findall(header):
        key = name.lower()
        if key not in found:
            found[key] = body
        elif key in _ADDRESS_FIELDS:
            repeated.setdefault(key, [found[key]]).append(body)
    for key, bodies in repeated.items():
        found[key] = b",".join(bodies)
    found.pop(b"", None)
    return found
