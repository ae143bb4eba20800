"""Header blocks cut into fields, in bulk.

The whole block is unfolded at once and cut at its line ends; the only step per field is one ``partition``. A line that
is no field (an mbox ``From`` line, garbage) belongs to the header and is passed over.
"""

from __future__ import annotations

from typing import Final

_ADDRESS_FIELDS: Final = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))
_NAMES_REMEMBERED: Final = 4096


class _FieldNames(dict[bytes, bytes]):
    """Field names as they stand to lower case, without the white space RFC 5322 §4.5 lets stand before the colon."""

    def __missing__(self, name: bytes) -> bytes:
        key = name.rstrip(b" \t").lower()
        if len(self) < _NAMES_REMEMBERED and len(name) < 64:
            self[name] = key
        return key


_key = _FieldNames()


def unfold(text: bytes) -> bytes:
    """Fields without their folds: each on one line that ends in LF. Source: RFC 5322 §2.2.3."""
    return text.replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b"\t")


def first_fields(header: bytes) -> dict[bytes, bytes]:
    """The unfolded body of the first field of each name, names in lower case; white space around bodies is left.

    Address fields that stand more than once (against RFC 5322 §3.6) are joined by commas, so that none is hidden.
    """
    found: dict[bytes, bytes] = {}
    repeated: dict[bytes, list[bytes]] | None = None
    for line in unfold(header).split(b"\n"):
        name, colon, body = line.partition(b":")
        key = _key[name]
        if key in found:
            if key in _ADDRESS_FIELDS:
                repeated = repeated or {}
                repeated.setdefault(key, [found[key]]).append(body)
        elif colon:
            found[key] = body
    if repeated:
        for key, bodies in repeated.items():
            found[key] = b",".join(bodies)
    return found
