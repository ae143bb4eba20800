"""Private keys: made, read, and used to sign. Nothing here prints, logs or shows one."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pymailsuite.config.private_file import read_private_file
from pymailsuite.errors import ConfigError
from pymailsuite.policy.dkim.keys import ED25519, RSA, key_name, key_record_text

MIN_RSA_BITS: Final = 1024
"""RFC 8301 §3.2: signers must not use smaller keys."""
MAX_RSA_BITS: Final = 8192
DEFAULT_RSA_BITS: Final = 2048
_SEED_OCTETS: Final = 32


@frozen
class PrivateKey:
    """A key to sign with. ``kind`` is the ``k=`` of its public part."""

    kind: str
    key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The ``a=`` of its signatures."""
        return f"{self.kind}-sha256"

    def sign(self, digest: bytes) -> bytes:
        """The signature of what has the SHA-256 ``digest``."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(digest, PKCS1v15(), Prehashed(SHA256()))
        # RFC 8463 §3: Ed25519 signs the hash, as if it were the message.
        return self.key.sign(digest)

    def pem(self) -> bytes:
        """The key in PKCS #8, PEM, without a pass phrase."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def record_text(self) -> str:
        """The TXT record that publishes its public part."""
        return key_record_text(self.key.public_key())


@frozen
class SigningKey:
    """A private key with the name it is published under. Times are POSIX seconds; ``active_until`` None: for ever."""

    domain: str
    selector: str
    private: PrivateKey
    active_from: float = 0.0
    active_until: float | None = None

    @property
    def name(self) -> str:
        """Where its public part is published."""
        return key_name(self.selector, self.domain)

    def signs_at(self, now: float) -> bool:
        """Whether it is in use at a moment."""
        return self.active_from <= now and (self.active_until is None or now < self.active_until)


def generate_key(kind: str = RSA, bits: int = DEFAULT_RSA_BITS) -> PrivateKey:
    """A new key. A large RSA key takes seconds: call it in a thread. ValueError for a size RFC 8301 rules out."""
    if kind == ED25519:
        return PrivateKey(ED25519, Ed25519PrivateKey.generate())
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    return PrivateKey(RSA, generate_private_key(65537, bits))


def load_private_key(text: bytes) -> PrivateKey:
    """The key in a PEM text, or in base64 the 32 octets of an Ed25519 key. ValueError if there is none to sign with."""
    if b"-----BEGIN" not in text:
        return PrivateKey(ED25519, _ed25519_from_seed(text))
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own text may show parts of what it was given.
        raise ValueError("no private key in PEM without a pass phrase") from None
    if isinstance(key, Ed25519PrivateKey):
        return PrivateKey(ED25519, key)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("neither an RSA nor an Ed25519 key")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits is not one to sign with")
    return PrivateKey(RSA, key)


def _ed25519_from_seed(text: bytes) -> Ed25519PrivateKey:
    try:
        seed = base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        seed = b""
    if len(seed) != _SEED_OCTETS:
        raise ValueError("no private key")
    return Ed25519PrivateKey.from_private_bytes(seed)


def read_key_file(path: Path) -> PrivateKey:
    """The key in a file that only its owner may read (a group may too, if it may not write). ConfigError."""
    text = read_private_file(path)
    try:
        return load_private_key(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def write_key_file(path: Path, private: PrivateKey) -> None:
    """A new file that only its owner may read. FileExistsError: a key is never written over; OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private.pem())
