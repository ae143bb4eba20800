"""Public keys: records as domains publish them, and what a signature is checked with.

Source: RFC 6376 §3.6.1, RFC 8301 (sizes, no SHA-1), RFC 8463 (Ed25519).
"""

from __future__ import annotations

import base64
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from pymailsuite.policy.dkim.tags import TagError, decode_base64, parse_tags, words
from pymailsuite.policy.short_keys import remember_short

RSA: Final = "rsa"
ED25519: Final = "ed25519"
_PADDING: Final = PKCS1v15()
_HASHED: Final = Prehashed(SHA256())
MAX_EXPONENT_BITS: Final = 64
"""A check takes as long as the exponent is; everybody's is 65537 or 3."""


class KeyRecordError(ValueError):
    """A record no key can be taken from. The text says why."""


@frozen
class KeyRecord:
    """A published key. ``bits`` is the size of an RSA modulus, 256 for Ed25519.

    ``testing`` and ``same_domain`` are the flags ``t=y`` and ``t=s``. ``hashes`` None: any.
    """

    algorithm: str
    key: RSAPublicKey | Ed25519PublicKey = field(repr=False)
    bits: int
    hashes: frozenset[str] | None = None
    testing: bool = False
    same_domain: bool = False

    def verifies(self, signature: bytes, digest: bytes) -> bool:
        """Whether ``signature`` is this key's over what has the SHA-256 ``digest``."""
        try:
            if isinstance(self.key, RSAPublicKey):
                # Not in a thread: to be woken by one costs more than this does for 2,048 bits (0.03 ms); for the 8,192
                # that ``max_rsa_bits`` lets pass it takes 0.3.
                self.key.verify(signature, digest, _PADDING, _HASHED)
            else:
                # RFC 8463 §3: Ed25519 signs the hash, as if it were the message.
                self.key.verify(signature, digest)
        except InvalidSignature:
            return False
        return True


@remember_short(1024, 4096)
def parse_key_record(record: bytes) -> KeyRecord:
    """The key of one TXT record, its strings joined. KeyRecordError, whose text is fit for Authentication-Results."""
    try:
        tags = parse_tags(record)
        if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
            raise KeyRecordError("key record has another version")
        if "p" not in tags:
            raise KeyRecordError("key record has no p=")
        data = decode_base64("p", tags["p"])
    except TagError as error:
        raise KeyRecordError(f"key record: {error}") from None
    if not data:
        raise KeyRecordError("key is revoked")
    if not {"*", "email"} & set(words(tags.get("s", "*"))):
        raise KeyRecordError("key is not for mail")
    algorithm = tags.get("k", RSA)
    if algorithm not in {RSA, ED25519}:
        raise KeyRecordError("key is of an unknown kind")
    key, bits = _ed25519_key(data) if algorithm == ED25519 else _rsa_key(data)
    flags = words(tags.get("t", ""))
    hashes = frozenset(words(tags["h"])) if "h" in tags else None
    return KeyRecord(algorithm, key, bits, hashes, "y" in flags, "s" in flags)


def _rsa_key(data: bytes) -> tuple[RSAPublicKey, int]:
    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRecordError("key is not a public key") from None
    if not isinstance(key, RSAPublicKey):
        raise KeyRecordError("key is not an RSA key")
    if key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS:
        raise KeyRecordError("key has an unreasonable exponent")
    return key, key.key_size


def _ed25519_key(data: bytes) -> tuple[Ed25519PublicKey, int]:
    try:
        return Ed25519PublicKey.from_public_bytes(data), 256
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRecordError("key is not an Ed25519 key") from None


def key_name(selector: str, domain: str) -> str:
    """Where a key is published. Source: RFC 6376 §3.6.2.1."""
    return f"{selector}._domainkey.{domain}"


def key_record_text(key: RSAPublicKey | Ed25519PublicKey) -> str:
    """The TXT record to publish for a key."""
    if isinstance(key, RSAPublicKey):
        data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        kind = RSA
    else:
        data = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        kind = ED25519
    return f"v=DKIM1; k={kind}; p={base64.b64encode(data).decode('ascii')}"
