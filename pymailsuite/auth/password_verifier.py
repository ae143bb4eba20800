"""Verifies passwords against stored hashes, without computing a hash when the same password was verified a moment ago.

The memory holds a keyed digest of login name, password and stored hash together. The key lives and dies with the
process, so the memory is of no use to an attacker who reads it later; and since the stored hash is part of it, a
password that was changed finds nothing remembered.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from pymailsuite.auth.passwords import PasswordHashes
from pymailsuite.auth.threads import Threads
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.memory import ExpiringMemory

T = TypeVar("T")


class PasswordVerifier:
    """Verifies passwords in ``threads``; asked the same thing twice at once it hashes once."""

    def __init__(self, settings: AuthSettings, hashes: PasswordHashes, threads: Threads, clock: IReactorTime) -> None:
        self.hashes: Final = hashes
        self._life_s = settings.proved_life
        self._threads = threads
        self._key = os.urandom(hashlib.blake2b.MAX_KEY_SIZE)
        self._proved: ExpiringMemory[bytes, bool] = ExpiringMemory(clock, settings.proved_entries)
        self._asked: dict[bytes, list[Deferred[bool]]] = {}

    def verify(self, login_name: str, password: bytes, stored: str, remember: bool = True) -> Deferred[bool]:
        """Whether ``password`` is the one ``stored`` was made of; fired already if that was proved a moment ago.

        ``remember`` False neither looks at what is remembered nor adds to it. Fails with UnusableHash or
        TemporaryFailure (too many logins wait).
        """
        digest = self._digest(login_name, password, stored)
        if remember and self._proved.get(digest):
            return succeed(True)
        waiter: Deferred[bool] = Deferred()
        waiters = self._asked.get(digest)
        if waiters is not None:
            waiters.append(waiter)
            return waiter
        self._asked[digest] = [waiter]
        self._threads.run(self.hashes.verify, stored, password).addBoth(self._judged, digest, remember)
        return waiter

    def verify_nobody(self, login_name: str, password: bytes) -> Deferred[bool]:
        """False, after as much work as a proof takes: for names without an account, or without a password. Two equal
        requests at once are worked on once here, too, or a client could tell the cases apart.
        """
        return self.verify(login_name, password, self.hashes.nobodys, remember=False)

    def run(self, function: Callable[..., T], *args: object) -> Deferred[T]:
        """Run a blocking function in the same threads."""
        return self._threads.run(function, *args)

    def _judged(self, result: bool | Failure, digest: bytes, remember: bool) -> None:
        waiters = self._asked.pop(digest)
        if result is True and remember:
            self._proved.put(digest, True, self._life_s)
        for waiter in waiters:
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)

    def _digest(self, login_name: str, password: bytes, stored: str) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in (login_name.encode("utf-8", "surrogatepass"), stored.encode("utf-8", "surrogatepass"), password):
            # With its length in front no part can reach into the next.
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()
