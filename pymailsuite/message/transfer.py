"""Content-Transfer-Encoding undone, and done to parts of our own. Source: RFC 2045 §6, RFC 3516 (BINARY)."""

from __future__ import annotations

import binascii
from typing import Final

from pymailsuite.message.text import decode_base64

IDENTITY: Final = frozenset(("", "7bit", "8bit", "binary"))
_LINE_MAX: Final = 998
"""Octets of a line without its end. Source: RFC 5322 §2.1.1."""
_UUENCODED: Final = frozenset(("x-uuencode", "uuencode", "x-uue", "uue"))


def decode_transfer(octets: bytes, encoding: str) -> bytes | None:
    """A body without its transfer encoding (lower case); None if that encoding is not known.

    Damaged bodies are decoded as far as they go, never an error. Source: RFC 3516 §4.3 answers None with UNKNOWN-CTE.
    """
    if encoding in IDENTITY:
        return octets
    if encoding == "base64":
        return decode_base64(octets)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(octets)
    if encoding in _UUENCODED:
        return _decode_uuencoded(octets)
    return None


def _decode_uuencoded(octets: bytes) -> bytes:
    decoded: list[bytes] = []
    inside = False
    for line in octets.splitlines():
        if not inside:
            inside = line.startswith(b"begin ")
        elif line.strip() == b"end":
            break
        elif line:
            # Some encoders write a wrong last character or none: what the length octet promises is taken.
            digits = (((line[0] - 32) & 63) * 4 + 2) // 3
            try:
                decoded.append(binascii.a2b_uu(line[: digits + 1]))
            except binascii.Error:
                break
    return b"".join(decoded)


def is_seven_bit(octets: bytes) -> bool:
    """Whether every host takes the octets as they are: ASCII in lines that are not too long and end in CRLF.

    Source: RFC 2045 §2.7."""
    if not octets.isascii() or b"\0" in octets:
        return False
    lines = octets.split(b"\r\n")
    return len(max(lines, key=len)) <= _LINE_MAX and not any(b"\r" in line or b"\n" in line for line in lines)


def encode_text(octets: bytes) -> tuple[str, bytes]:
    """Text for every host, and how it was encoded: ``7bit`` if it can be as it is, else ``quoted-printable``."""
    if is_seven_bit(octets):
        return "7bit", octets
    # Line by line, or a CR or LF that stands alone would pass for the end of a line.
    encoded = [binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n") for line in octets.split(b"\r\n")]
    return "quoted-printable", b"\r\n".join(encoded)
