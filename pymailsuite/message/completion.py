"""The changes that a submission server makes to the header of a message. Source: RFC 6409 §8.

Fields are added in front and removed as octets; all others stay as they came.
"""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.message.trace import date_field, message_id
from pymailsuite.values import Address

# RFC 5322 §4.5 lets white space stand before the colon; the body goes on over the lines folded below it.
_remove_blind: Final = re.compile(
    rb"\n(?:resent-)?bcc[ \t]*+(?:\r?\n[ \t]++)*+:[^\n]*+(?:\n[ \t][^\n]*+)*+", re.IGNORECASE
).sub
_has_from: Final = re.compile(rb"\nfrom[ \t]*+(?:\r?\n[ \t]++)*+:").search
_has_date: Final = re.compile(rb"\ndate[ \t]*+:").search
_has_message_id: Final = re.compile(rb"\nmessage-id[ \t]*+:").search


def lacks_from(header: bytes) -> bool:
    """Whether there is no From field."""
    return _has_from(b"\n" + header.lower()) is None


def completed(header: bytes, now: float, hostname: str, author: Address | None = None) -> bytes:
    """A header with its missing fields added, and without those for blind copies.

    ``header`` goes up to its empty line and may be empty; ``now``, for Date, is POSIX seconds; ``hostname`` is for
    Message-ID. ``author`` is the author of a message without From; None: the field stays missing. Sources: RFC 6409
    §8.1 to §8.3, RFC 5322 §3.6.3.
    """
    # In lower case first: an expression that ignores case looks at every octet by itself.
    lowered = b"\n" + header.lower()
    added = []
    if _has_date(lowered) is None:
        added.append(date_field(now))
    if author is not None and _has_from(lowered) is None:
        added.append(b"From: %b\r\n" % str(author).encode("utf-8"))
    if _has_message_id(lowered) is None:
        added.append(b"Message-ID: %b\r\n" % message_id(hostname).encode("ascii"))
    if b"bcc" in lowered:
        header = _remove_blind(b"", b"\n" + header)[1:]
    return b"".join((*added, header)) if added else header
