"""Password hashes: argon2id in PHC string form. Pure and slow on purpose; never to be called in the reactor thread.

A stored hash may come from elsewhere and be anything. A hash that would make the library accept any password, or work
for minutes, is refused before the library sees it. Every refusal costs the same, whatever parameters the hash was made
with, and whether there was one at all: after a cheap hash the rest of the work is done for nothing.
"""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from argon2.low_level import hash_secret_raw
from attrs import frozen

from pymailsuite.config.sections.auth import AuthSettings

_SALT_OCTETS: Final = 16
_HASH_OCTETS: Final = 32
_MOST_LANES: Final = 16
_LEAST_KIB: Final = 8
"""The least memory of argon2. Source: RFC 9106 §3.1."""

_NUMBER = "([1-9][0-9]{0,9})"
_PHC_STRING: Final = re.compile(
    # A salt of 8 octets and a digest of 16 at least: a shorter one would be right for too many passwords, an empty one
    # for all.
    rf"\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?m={_NUMBER},t={_NUMBER},p={_NUMBER}"
    r"\$[A-Za-z0-9+/]{11,128}\$[A-Za-z0-9+/]{22,172}"
)


class UnusableHash(ValueError):
    """A stored hash that is no argon2 string, or one that costs more than is allowed; nobody can log in with it."""


@frozen
class Cost:
    """What computing a hash takes: KiB of memory, passes over it, lanes."""

    memory_kib: int
    passes: int
    lanes: int

    @property
    def work(self) -> int:
        """KiB times passes: the time it takes is nearly in proportion to that."""
        return self.memory_kib * self.passes


def cost_of(stored: str) -> Cost:
    """The parameters of a stored hash. UnusableHash if it has not exactly the form of one."""
    found = _PHC_STRING.fullmatch(stored)
    if found is None:
        raise UnusableHash("not an argon2 hash")
    return Cost(*map(int, found.groups()))


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
        self._own = Cost(settings.argon2_memory_kib, settings.argon2_time_cost, settings.argon2_parallelism)
        self._most_memory_kib = max(settings.argon2_most_memory_kib, self._own.memory_kib)
        self._most_work = max(settings.argon2_most_work_mib * 1024, self._own.work)
        self._dearest = self._own.work
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
        """True if ``stored`` is a hash of ``password``. UnusableHash.

        Blocks likewise; if the answer is not True, for as long as the dearest hash takes that was seen here.
        """
        work = 0
        try:
            work = self._checked_work(stored)
            if self._hasher.verify(stored, prepare_password(password)):
                return True
        except VerifyMismatchError:
            pass
        except (Argon2Error, InvalidHashError) as error:
            self._work_in_vain(self._dearest)
            raise UnusableHash(f"not an argon2 hash: {error}") from None
        except UnusableHash:
            self._work_in_vain(self._dearest)
            raise
        self._work_in_vain(self._dearest - work)
        return False

    def _checked_work(self, stored: str) -> int:
        cost = cost_of(stored)
        if cost.memory_kib > self._most_memory_kib or cost.work > self._most_work or cost.lanes > _MOST_LANES:
            raise UnusableHash(f"costs too much: {cost.memory_kib} KiB, {cost.passes} passes, {cost.lanes} lanes")
        self._dearest = max(self._dearest, cost.work)
        return cost.work

    def _work_in_vain(self, work: int) -> None:
        if work < _LEAST_KIB:
            return
        passes = -(-work // self._own.memory_kib)
        memory_kib = max(work // passes, _LEAST_KIB)
        hash_secret_raw(b"", bytes(_SALT_OCTETS), passes, memory_kib, 1, _HASH_OCTETS, Type.ID)

    def is_stale(self, stored: str) -> bool:
        """True if ``stored`` (which ``verify`` accepted) was made with other parameters than ours."""
        return self._hasher.check_needs_rehash(stored)
