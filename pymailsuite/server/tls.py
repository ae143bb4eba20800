"""TLS on our listeners: the certificate from files, or a self-signed one of our own making.

Not in a room of its own: only ``server.service`` makes contexts, and the protocols are given one.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import idna
from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.tls import TlsSettings
from pymailsuite.errors import ConfigError

log = Logger()

_PEM_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL)
_MINIMUM: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_OPTIONS: Final = (
    SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_QUERY_MTU
)

# Mail clients of one vendor refuse certificates that are valid for longer.
_SELF_SIGNED_FOR: Final = timedelta(days=825)
_SELF_SIGNED_AGAIN_BEFORE_END: Final = timedelta(days=30)


@frozen
class CertificateFiles:
    """PEM files: the certificate with its chain, and the private key (which may be the same file)."""

    certificate: Path
    private_key: Path


def certificate_files(settings: TlsSettings, hostname: str, tls_dir: Path) -> CertificateFiles:
    """The files ``[tls]`` names, or else self-signed ones in ``tls_dir``, made now if they are missing or ending."""
    if settings.certificate is not None:
        return CertificateFiles(settings.certificate, settings.private_key or settings.certificate)
    files = CertificateFiles(tls_dir / "certificate.pem", tls_dir / "key.pem")
    if not _is_usable(files, hostname):
        make_self_signed(files, [hostname, "localhost", "127.0.0.1", "::1"])
        log.info("{event} file={file}", event="tls.self_signed_made", file=str(files.certificate))
    return files


def _is_usable(files: CertificateFiles, hostname: str) -> bool:
    """Whether the self-signed certificate is there, is for this host and will be valid for a while."""
    if not (files.certificate.exists() and files.private_key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ends = certificate.not_valid_after_utc - _SELF_SIGNED_AGAIN_BEFORE_END
    return _a_label(hostname) in names.get_values_for_type(x509.DNSName) and datetime.now(UTC) < ends


def _a_label(name: str) -> str:
    return name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")


def make_self_signed(files: CertificateFiles, names: Sequence[str]) -> None:
    """Write a certificate for these host names and IP addresses, and its key, which only the owner may read."""
    key = ec.generate_private_key(ec.SECP256R1())
    common_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _a_label(names[0])[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(common_name)
        .issuer_name(common_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour back: a client whose clock is slow may come at once.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _SELF_SIGNED_FOR)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.private_key.parent.mkdir(parents=True, exist_ok=True)
    _write_new(files.private_key, private, 0o600)
    _write_new(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(_a_label(name))


def _write_new(path: Path, octets: bytes, mode: int) -> None:
    """Replace the file as a whole, never open to others even for a moment."""
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(octets)
    scratch.replace(path)


@frozen
class Pem:
    """The contents of the files of a certificate."""

    files: CertificateFiles
    certificate: bytes
    private_key: bytes = field(repr=False)


class _NotOursToReadError(ConfigError):
    """A file only another user may read."""


def read_pem(files: CertificateFiles, earlier: Pem | None = None) -> Pem:
    """Read the files. ConfigError naming the setting whose file cannot be read.

    ``earlier`` is taken if these very files were read before and may not be now: root read them, and has become another
    user since.
    """
    try:
        return Pem(files, _read(files.certificate, "tls.certificate"), _read(files.private_key, "tls.private_key"))
    except _NotOursToReadError:
        if earlier is None or earlier.files != files:
            raise
        return earlier


_NAMES_TOLD: Final = 8
"""Of the ALPN names of a client that is refused."""


class ForeignProtocol(SSL.Error):
    """A client asked by ALPN for protocols of which this service speaks none."""


@frozen
class TlsService:
    """The parameters of TLS that one service has of its own.

    ``protocols`` are its ALPN names, the preferred one first. A client that names none is served; one that names others
    only is refused with the alert ``no_application_protocol``, so that nothing said to one service can be brought to
    another (RFC 7301 §3.2). ``session_tickets``: a client that comes back may skip half of the handshake.
    """

    protocols: tuple[bytes, ...]
    session_tickets: bool = True

    def select(self, _: SSL.Connection, offered: list[bytes]) -> bytes:
        """The protocol that is spoken. ForeignProtocol, which OpenSSL makes the alert of."""
        for protocol in self.protocols:
            if protocol in offered:
                return protocol
        names = b", ".join(offered[:_NAMES_TOLD]).decode("ascii", "backslashreplace")
        log.info("{event}: the client speaks {protocols}", event="tls.alpn_refused", protocols=names)
        # In the form of OpenSSL's own errors, which Twisted looks into.
        raise ForeignProtocol([("SSL routines", "", "no application protocol")])


SMTP_TLS: Final = (b"smtp", b"esmtp")
"""No ALPN name of SMTP is registered; these are what servers and clients of the field use."""
IMAP_TLS: Final = (b"imap",)
POP3_TLS: Final = (b"pop3",)
HTTP_TLS: Final = (b"http/1.1", b"http/1.0")


def make_context(settings: TlsSettings, pem: Pem, service: TlsService) -> SSL.Context:
    """The context for connections of a service. ConfigError naming the setting whose file cannot be used.

    All is set before the first connection is made from it: OpenSSL does not want a context changed that is in use.
    """
    files = pem.files
    blocks = _PEM_CERTIFICATE.findall(pem.certificate)
    if not blocks:
        raise ConfigError(f"tls.certificate: no PEM certificate in {files.certificate}")
    try:
        certificate, *chain = [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError:
        raise ConfigError(f"tls.certificate: not a usable PEM certificate: {files.certificate}") from None
    try:
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, pem.private_key, passphrase=b"")
    except (crypto.Error, ValueError):
        raise ConfigError(f"tls.private_key: no usable PEM private key in {files.private_key}") from None
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(_MINIMUM[settings.minimum])
    context.set_options(_OPTIONS)
    if not (settings.session_tickets and service.session_tickets):
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # A session of one context is never resumed in another, whatever the client brings.
    context.set_session_id(secrets.token_bytes(16))
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        context.use_certificate(certificate)
        for issuer in chain:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(key)
        context.check_privatekey()
    except SSL.Error:
        raise ConfigError(f"tls.private_key: {files.private_key} is not the key of {files.certificate}") from None
    context.set_alpn_select_callback(service.select)
    try:
        context.set_cipher_list(settings.ciphers.encode())
    except SSL.Error:
        raise ConfigError(f"tls.ciphers: OpenSSL knows none of {settings.ciphers!r}") from None
    return context


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        kind = _NotOursToReadError if isinstance(error, PermissionError) else ConfigError
        raise kind(f"{setting}: {path}: {error.strerror or error}") from None


class Renewal(Enum):
    """The result of looking at the files of the certificate."""

    UNCHANGED = "unchanged"
    RENEWED = "renewed"
    FAILED = "failed"


class ServerTls:
    """The certificate of the server, and the TLS of each service made from it.

    Its files are looked at once a minute and read if they changed. If the new ones cannot be used (half written, or
    readable by root only) the old certificate stays in use, the log says so, and they are read again at the next look.
    """

    _LOOK_EVERY_S: Final = 60.0

    def __init__(
        self,
        settings: TlsSettings,
        files: CertificateFiles,
        seconds: Callable[[], float],
        earlier: Pem | None = None,
    ) -> None:
        self.settings: Final = settings
        self._files = files
        self._seconds = seconds
        self._looked_at = seconds()
        self._stamp = self._stamp_now()
        self._fault = ""
        self.pem = read_pem(files, earlier)
        """What is in use."""
        make_context(settings, self.pem, TlsService(()))

    def _stamp_now(self) -> tuple[float, ...]:
        # A file in a folder that is not ours to look into is as good as none.
        return tuple(
            os.path.getmtime(path) if os.path.exists(path) else 0.0
            for path in (self._files.certificate, self._files.private_key)
        )

    def for_service(self, protocols: tuple[bytes, ...], *, session_tickets: bool = True) -> ServiceTls:
        """The TLS of one service, which speaks these protocols."""
        return ServiceTls(self, TlsService(protocols, session_tickets))

    def look(self) -> None:
        """Look at the files, if the last look was long ago."""
        if self._seconds() - self._looked_at >= self._LOOK_EVERY_S:
            self.renew()

    def renew(self) -> Renewal:
        """Look at the files now, and use new ones."""
        self._looked_at = self._seconds()
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return Renewal.UNCHANGED
        try:
            pem = read_pem(self._files)
            make_context(self.settings, pem, TlsService(()))
        except ConfigError as error:
            if error.public != self._fault:
                self._fault = error.public
                log.error("{event} {reason}", event="tls.renewal_failed", reason=error.public)
            return Renewal.FAILED
        self._stamp, self._fault, self.pem = stamp, "", pem
        log.info("{event} file={file}", event="tls.renewed", file=str(self._files.certificate))
        return Renewal.RENEWED


@implementer(IOpenSSLServerConnectionCreator)
class ServiceTls:
    """The TLS of one service: contexts of its own, so that no session ticket of another service is taken by it."""

    def __init__(self, tls: ServerTls, service: TlsService) -> None:
        self._tls = tls
        self._service = service
        self._made_from = tls.pem
        self._context = make_context(tls.settings, tls.pem, service)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """TLS for a new connection."""
        return SSL.Connection(self.context(), None)

    def context(self) -> SSL.Context:
        """The context for a new connection."""
        self._tls.look()
        pem = self._tls.pem
        if pem is not self._made_from:
            self._context, self._made_from = make_context(self._tls.settings, pem, self._service), pem
        return self._context
