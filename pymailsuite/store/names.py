"""The stored form of names that come from outside."""

from __future__ import annotations

import hashlib

_LONGEST_NAME = 200


def stored_name(name: str) -> str:
    """Shorten a name, and remove characters that cannot be stored (PostgreSQL's text has no NUL)."""
    if len(name) <= _LONGEST_NAME and "\0" not in name and name.isprintable():
        return name
    return "blake2b:" + hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
