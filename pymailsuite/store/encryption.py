"""Encryption of the few values in the store that a reader of the database or of a backup must not see.

A sealed value is ``sealed1:``, the identifier of its key, a nonce, and the octets encrypted with AES-GCM (NIST SP
800-38D); its place in the store is authenticated with it, so that a value moved elsewhere does not decrypt. Values that
were written without a key are read as they are.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room.

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.logger import Logger

from pymailsuite.config.private_file import read_private_file
from pymailsuite.errors import ConfigError, TemporaryFailure
from pymailsuite.store.transaction import Transaction

log = Logger()

_MARK: Final = b"sealed1:"
"""Neither a key in PEM or base64 nor, but once in 2 to the 64, a random secret begins so."""
_KEY_OCTETS: Final = 32
_ID_OCTETS: Final = 8
_NONCE_OCTETS: Final = 12


class CannotDecrypt(TemporaryFailure):
    """A secret in the store that was encrypted with a missing key, or was changed."""

    text = "Secret cannot be decrypted"


def _key_id(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=_ID_OCTETS, person=b"pymailsuite key").digest()


class Encryption:
    """With the first of ``keys``, 32 octets each, new values are encrypted; those encrypted with the others are read.
    Without any key values are written as they are.

    ``reread`` returns the present keys, None if they are the same; it is called when a key is missing. In database
    threads.
    """

    def __init__(self, keys: Sequence[bytes] = (), reread: Callable[[], Sequence[bytes] | None] = lambda: None) -> None:
        self._reread = reread
        self._use(keys)

    def _use(self, keys: Sequence[bytes]) -> None:
        # Replaced in one assignment, as several threads use it; the first key encrypts.
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}

    def _cipher(self, key_id: bytes) -> AESGCM | None:
        if key_id not in self._ciphers:
            keys = self._reread()
            if keys is not None:
                self._use(keys)
        return self._ciphers.get(key_id)

    @property
    def key_name(self) -> str:
        """The identifier of the encrypting key; empty: there is none."""
        return next(iter(self._ciphers), b"").hex()

    def sealed(self, octets: bytes, *place: str) -> bytes:
        """``octets`` encrypted for ``place``: a table, and the key of a row."""
        first = next(iter(self._ciphers.items()), None)
        if first is None:
            return octets
        key_id, cipher = first
        nonce = os.urandom(_NONCE_OCTETS)
        return _MARK + key_id + nonce + cipher.encrypt(nonce, octets, _associated(place))

    def opened(self, kept: bytes, *place: str) -> bytes:
        """The octets of a value stored in ``place``. CannotDecrypt."""
        if not kept.startswith(_MARK):
            return kept
        start = len(_MARK) + _ID_OCTETS
        key_id, nonce, sealed = kept[len(_MARK) : start], kept[start : start + _NONCE_OCTETS], kept[start:]
        cipher = self._cipher(key_id)
        where = " of ".join(place[::-1])
        if cipher is None:
            raise CannotDecrypt(cause=f"{where}: [store] encryption_keys has no key {key_id.hex()}")
        try:
            return cipher.decrypt(nonce, sealed[_NONCE_OCTETS:], _associated(place))
        except (InvalidTag, ValueError):
            raise CannotDecrypt(cause=f"{where}: it was changed, or belongs elsewhere") from None

    def lacks_key_of(self, kept: bytes) -> bool:
        """Whether a stored value is encrypted with a missing key."""
        return kept.startswith(_MARK) and self._cipher(bytes.fromhex(key_name_of(kept))) is None

    def is_current(self, kept: bytes) -> bool:
        """Whether a stored value is encrypted as a new one would be."""
        return key_name_of(kept) == self.key_name


def key_name_of(kept: bytes) -> str:
    """The name of the key that a stored value is encrypted with; empty: it is not encrypted."""
    start = len(_MARK)
    return kept[start : start + _ID_OCTETS].hex() if kept.startswith(_MARK) else ""


def missing_keys_txn(txn: Transaction, encryption: Encryption) -> list[str]:
    """The names of missing keys that values in the store are encrypted with."""
    start = len(_MARK) + _ID_OCTETS
    tables = (("private_key", "signing_keys"), ("secret", "secrets"), ("secret", "retired_secrets"))
    starts = " UNION ".join(f"SELECT substr({column}, 1, {start}) FROM {table}" for column, table in tables)
    found = [bytes(value) for (value,) in txn.rows(starts)]
    return sorted(key_name_of(value) for value in found if encryption.lacks_key_of(value))


def _associated(place: Sequence[str]) -> bytes:
    return "\0".join(place).encode("utf-8")


class _KeyFile:
    """The keys of a file, base64, one a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def keys(self) -> list[bytes]:
        """All of them. ConfigError."""
        self._seen = self._state()
        keys = []
        for number, line in enumerate(read_private_file(self._path).splitlines(), 1):
            text = line.partition(b"#")[0].strip()
            if not text:
                continue
            try:
                key = base64.b64decode(text, validate=True)
            except binascii.Error:
                key = b""
            if len(key) != _KEY_OCTETS:
                raise ConfigError(f"{self._path}: line {number} is not a key of {_KEY_OCTETS} octets in base64")
            keys.append(key)
        if not keys:
            raise ConfigError(f"{self._path}: there is no key in it")
        return keys

    def changed_keys(self) -> list[bytes] | None:
        """The present keys; None if the file is unchanged since it was read last, or cannot be used."""
        if self._state() == self._seen:
            return None
        try:
            return self.keys()
        except ConfigError as error:
            log.error("{event}: {reason}", event="store.encryption_keys_unusable", reason=str(error))
            return None

    def _state(self) -> tuple[int, int, int] | None:
        try:
            state = self._path.stat()
        except OSError:
            return None
        # Of the three timestamps only this one changes with the mode too.
        return state.st_ino, state.st_ctime_ns, state.st_size


def read_encryption(path: Path | None) -> Encryption:
    """Encryption with the keys of a file, which may be changed later; none if there is no file. ConfigError."""
    if path is None:
        return Encryption()
    file = _KeyFile(path)
    return Encryption(file.keys(), file.changed_keys)


def add_encryption_key(path: Path) -> str:
    """Put a new key before those in a file, which is created if missing; returns the key's name. ConfigError,
    OSError."""
    there = read_private_file(path) if path.exists() else b""
    key = secrets.token_bytes(_KEY_OCTETS)
    new = path.with_name(f"{path.name}.new")
    # The owner of an existing file of that name could read the keys written into it.
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(base64.b64encode(key) + b"\n" + there)
        file.flush()
        os.fsync(file.fileno())
        if there:
            kept = path.stat()
            os.fchmod(file.fileno(), kept.st_mode & 0o777)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), kept.st_uid, kept.st_gid)
    os.replace(new, path)
    return _key_id(key).hex()
