"""Verifies that a host is the configured one: by the chain and the names of its certificate, or by its key.

The handshake succeeds with any certificate, which is checked afterwards, so that the error can be explained and the
session be ended with QUIT. Nothing is sent before the check. Source: RFC 8314 §3.1, RFC 6125, RFC 4954 §9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.ssl import CertificateOptions, TLSVersion

from pymailsuite.errors import ConfigError

_FAULTS: Final = {
    7: "its signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself",
    19: "it is signed by nobody we believe",
    20: "it is signed by nobody we believe",
    21: "it is signed by nobody we believe",
    24: "it is signed by one who may not",
    26: "it is not for servers",
}
"""OpenSSL's X509_V_ERR numbers, as text."""


class VerifyingConnection(SSL.Connection):
    """A connection that remembers the first error found in the chain of its peer."""

    chain_fault = ""


def verifying_context(ca_file: Path | None) -> SSL.Context:
    """A context for connections to hosts that must be verified. ``ca_file`` None: the system's authorities.
    ConfigError."""
    context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
    if ca_file is None:
        context.set_default_verify_paths()
    else:
        try:
            context.load_verify_locations(str(ca_file))
        except SSL.Error:
            raise ConfigError(f"relay.relayhost_ca: no usable PEM certificates in {ca_file}") from None
    context.set_verify(SSL.VERIFY_PEER, _note_fault)
    return context


def _note_fault(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, passed: int) -> bool:
    if not passed and isinstance(connection, VerifyingConnection) and not connection.chain_fault:
        connection.chain_fault = _FAULTS.get(error, f"it does not pass (X.509 error {error})")
    return True


def verification_problem(connection: SSL.Connection, names: Sequence[str], keys: Collection[str]) -> str:
    """Why the peer of an established connection is not verified; empty: it is verified.

    One of ``keys`` (SHA-256 of SubjectPublicKeyInfo, hexadecimal) verifies it; without any, a chain to a trusted
    authority and one of ``names``, host names in A-labels or IP addresses."""
    held = connection.get_peer_certificate()
    if held is None:
        return "it has no certificate"
    certificate = held.to_cryptography()
    if keys:
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        found = hashlib.sha256(key).hexdigest()
        return "" if found in keys else f"its key is another: {found}"
    fault = getattr(connection, "chain_fault", "")
    if fault:
        return f"its certificate does not prove it: {fault}"
    if any(_is_for(certificate, name) for name in names):
        return ""
    return f"its certificate is not for {' or '.join(names)}"


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    try:
        if _is_address(name):
            verify_certificate_ip_address(certificate, name)
        else:
            verify_certificate_hostname(certificate, name)
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
