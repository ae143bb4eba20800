"""Login names and passwords as clients send them."""

from __future__ import annotations

from typing import Final

from pymailsuite.errors import PeerError

MAX_NAME: Final = 1020
"""Octets of an identity: RFC 4616 §2 lets a server stop at 255 characters, each up to four octets of UTF-8."""

MAX_PASSWORD: Final = 1020
"""Octets of a password, by the same rule."""


def checked_name(octets: bytes) -> str:
    """A login name as text. PeerError if it is none."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PeerError("Login name is not UTF-8") from None
    # Controls in a name can only serve to forge a log line or a header; no RFC 8265 identifier has any.
    if not 0 < len(octets) <= MAX_NAME or any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
        raise PeerError("Malformed login name")
    return text


def checked_password(octets: bytes) -> bytes:
    """A password in UTF-8, as it is. PeerError if it is none."""
    if not 0 < len(octets) <= MAX_PASSWORD or b"\0" in octets:
        raise PeerError("Malformed password")
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PeerError("Password is not UTF-8") from None
    return octets
