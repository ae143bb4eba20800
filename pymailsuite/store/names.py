"""Names that strangers choose, as they are kept."""

from __future__ import annotations

import hashlib

_LONGEST_NAME = 200


def stored_name(name: str) -> str:
    """No stranger decides how much we keep, or that it cannot be kept (PostgreSQL's text takes no NUL)."""
    if len(name) <= _LONGEST_NAME and "\0" not in name and name.isprintable():
        return name
    return "blake2b:" + hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
