"""What binds a login to the TLS connection that it is made on. Source: RFC 5056."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

_EXPORTER: Final = b"EXPORTER-Channel-Binding"
_EXPORTED_OCTETS: Final = 32
_TOO_WEAK: Final = (hashes.MD5, hashes.SHA1)


def channel_binding(connection: SSL.Connection, kind: str) -> bytes | None:
    """The data of a type of channel binding; None for a type that there is not, or not on this connection.

    ``tls-unique`` is not there: it is undefined in TLS 1.3, and in earlier versions sound only with an extension of TLS
    that cannot be asked about (RFC 9266 §3).
    """
    if kind == "tls-exporter":
        # RFC 9266 §2: before TLS 1.3 it is sound only with the same extension.
        if connection.get_protocol_version() < SSL.TLS1_3_VERSION:
            return None
        return connection.export_keying_material(_EXPORTER, _EXPORTED_OCTETS, b"")
    if kind == "tls-server-end-point":
        return _end_point(connection)
    return None


def _end_point(connection: SSL.Connection) -> bytes | None:
    """The hash of the server's certificate, by the algorithm of its signature. Source: RFC 5929 §4.1."""
    certificate = connection.get_certificate()
    if certificate is None:
        return None
    parsed = certificate.to_cryptography()
    try:
        algorithm = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        # Ed25519 and the like hash by themselves; what stands for that here nobody has said.
        return None
    digest = hashes.Hash(hashes.SHA256() if isinstance(algorithm, _TOO_WEAK) else algorithm)
    digest.update(parsed.public_bytes(Encoding.DER))
    return digest.finalize()
