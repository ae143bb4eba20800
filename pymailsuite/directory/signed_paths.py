"""Common parts of signed return paths: they are local parts of mailboxes, which hosts on the way may write in lower
case and only this server reads."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from pymailsuite.errors import NoSuchUser

DAY_S: Final = 86_400


_MARK_LENGTH: Final = 8
"""Characters of a signature, of 5 bits each. They take their room from the address that is signed, and whoever guesses
has to do it at our door, where refused recipients are counted."""


class NotOurReturnPath(NoSuchUser):
    """It looks like a return path of ours, and was not made here, or too long ago."""

    text = "Not a return path of ours, or no longer"


def signature(secret: bytes, *parts: str) -> str:
    """40 bits in base 32, the same whatever the case of ``parts``. The first part says what it is for."""
    return _long_signature(secret, *parts)[:_MARK_LENGTH]


def _long_signature(secret: bytes, *parts: str) -> str:
    text = "\0".join(parts).lower().encode("utf-8", "surrogatepass")
    digest = hmac.new(secret, text, hashlib.sha256).digest()
    return base64.b32encode(digest[:8]).decode("ascii").rstrip("=").lower()


def is_signature(given: str, secret: bytes, *parts: str) -> bool:
    """Whether it is that of ``parts``, found out in a time that does not tell where it differs.

    It may have all 64 bits, as those of earlier releases do: paths come back for weeks."""
    expected = _long_signature(secret, *parts)
    if len(given) != len(expected):
        expected = expected[:_MARK_LENGTH]
    return hmac.compare_digest(given.lower().encode("utf-8", "surrogatepass"), expected.encode("ascii"))


def day_of(now: float) -> int:
    """Days since 1970, UTC."""
    return int(now // DAY_S)
