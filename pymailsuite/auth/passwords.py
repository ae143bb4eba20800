"""Password hashes: argon2id in PHC string form. Pure and slow on purpose; never to be called in the reactor thread."""

from __future__ import annotations

import base64
import os
import unicodedata
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from pymailsuite.config.sections.auth import AuthSettings

_SALT_OCTETS: Final = 16
_HASH_OCTETS: Final = 32


class UnusableHash(ValueError):
    """A stored hash that is no argon2 string; nobody can log in with it."""


def prepare_password(password: bytes) -> bytes:
    """The octets to hash for a password: one form for all ways of typing the same text.

    UTF-8 is brought to NFC with every kind of space as U+0020 (OpaqueString, RFC 8265 §4.2.2). Octets that are no
    UTF-8 stay as they are.
    """
    # Departs from RFC 8265 §4.2.2: control characters are kept; refusing them could only lock somebody out.
    if password.isascii():
        return password
    try:
        text = password.decode("utf-8")
    except UnicodeDecodeError:
        return password
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return unicodedata.normalize("NFC", spaced).encode("utf-8")


class PasswordHashes:
    """Makes and verifies hashes with the parameters of the settings."""

    def __init__(self, settings: AuthSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
            hash_len=_HASH_OCTETS,
            salt_len=_SALT_OCTETS,
            type=Type.ID,
        )
        # Well-formed and of no password, so that verifying it takes as long as verifying a real one.
        salt, digest = (
            base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (_SALT_OCTETS, _HASH_OCTETS)
        )
        self.nobodys: Final = (
            f"$argon2id$v=19$m={settings.argon2_memory_kib},t={settings.argon2_time_cost},"
            f"p={settings.argon2_parallelism}${salt}${digest}"
        )

    def hash(self, password: bytes | str) -> str:
        """A new hash, in PHC string form. Blocks for as long as the parameters make it."""
        octets = password.encode("utf-8") if isinstance(password, str) else password
        return self._hasher.hash(prepare_password(octets))

    def verify(self, stored: str, password: bytes) -> bool:
        """True if ``stored`` is a hash of ``password``. UnusableHash. Blocks likewise."""
        try:
            return self._hasher.verify(stored, prepare_password(password))
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError, UnicodeEncodeError) as error:
            raise UnusableHash(f"not an argon2 hash: {error}") from None

    def is_stale(self, stored: str) -> bool:
        """True if ``stored`` (which ``verify`` accepted) was made with other parameters than ours."""
        return self._hasher.check_needs_rehash(stored)
