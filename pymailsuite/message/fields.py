"""The header fields a scan looks at, found in bulk.

One regular expression goes over the block from line end to line end and stops only at the fields that ENVELOPE and
BODYSTRUCTURE show; others cost one comparison of a letter or two. Its repetitions are possessive: no octet is looked
at more than a few times, whatever the input.
"""

from __future__ import annotations

import re
from typing import Final

_ADDRESS_FIELDS: Final = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))
_SHOWN: Final = (
    *(b"date", b"from", b"subject", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"in-reply-to", b"message-id"),
    *(b"content-type", b"content-transfer-encoding", b"content-id", b"content-description"),
    *(b"content-md5", b"content-disposition", b"content-language", b"content-location"),
)


def _any_case(name: bytes) -> bytes:
    """An expression for ``name``: a set for each letter, which is quicker to refuse a line with than IGNORECASE is."""
    return b"".join(b"[%c%c]" % (octet - 32, octet) if chr(octet).isalpha() else b"%c" % octet for octet in name)


_CONTENT: Final = b"content-"
_names = [_any_case(name) for name in _SHOWN if not name.startswith(_CONTENT)]
_rests = [_any_case(name.removeprefix(_CONTENT)) for name in _SHOWN if name.startswith(_CONTENT)]
_names.append(rb"%b(?:%b)" % (_any_case(_CONTENT), b"|".join(_rests)))
# RFC 5322 §4.5 lets white space stand before the colon; the body goes on over the lines folded below it.
_find_fields = re.compile(rb"\n(%b)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)" % b"|".join(_names)).findall


def unfold(text: bytes) -> bytes:
    """Fields without their folds: each on one line that ends in LF. Source: RFC 5322 §2.2.3."""
    return text.replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b"\t")


def first_fields(header: bytes) -> dict[bytes, bytes]:
    """The body of the first field of each name that is shown, names in lower case; unfolded, no white space around.

    Address fields that stand more than once (against RFC 5322 §3.6) are joined by commas, so that none is hidden.
    """
    found: dict[bytes, bytes] = {}
    repeated: dict[bytes, list[bytes]] | None = None
    for name, raw in _find_fields(b"\n" + header):
        key = name.lower()
        body = (unfold(raw) if b"\n" in raw else raw).strip()
        if key not in found:
            found[key] = body
        elif key in _ADDRESS_FIELDS:
            repeated = repeated or {}
            repeated.setdefault(key, [found[key]]).append(body)
    if repeated:
        for key, bodies in repeated.items():
            found[key] = b",".join(bodies)
    return found
