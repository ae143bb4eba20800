"""What signed return paths have in common: they are mailboxes' local parts, which hosts on the way may write in lower
case and nobody but us reads."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from pymailsuite.errors import NoSuchUser

DAY_S: Final = 86_400


class NotOurReturnPath(NoSuchUser):
    """It looks like a return path of ours, and was not made here, or too long ago."""

    text = "Not a return path of ours, or no longer"


def signature(secret: bytes, *parts: str) -> str:
    """64 bits in base 32, the same whatever the case of ``parts``. The first part says what it is for."""
    text = "\0".join(parts).lower().encode("utf-8", "surrogatepass")
    digest = hmac.new(secret, text, hashlib.sha256).digest()
    return base64.b32encode(digest[:8]).decode("ascii").rstrip("=").lower()


def is_signature(given: str, expected: str) -> bool:
    """Whether they are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.lower().encode("utf-8", "surrogatepass"), expected.encode("ascii"))


def day_of(now: float) -> int:
    """Days since 1970, UTC."""
    return int(now // DAY_S)
