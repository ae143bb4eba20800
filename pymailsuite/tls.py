"""TLS on our listeners: the certificate from files, or a self-signed one of our own making.

Not in a room of its own: only the composition makes contexts, the protocols are handed one and ask no questions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
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
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.tls import TlsSettings
from pymailsuite.errors import ConfigError

log = Logger()

_PEM_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL)
_MINIMUM: Final = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}

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
    """What stands in the files of a certificate."""

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


def load_options(settings: TlsSettings, pem: Pem, *, resumes: bool = True) -> CertificateOptions:
    """What Twisted needs to speak TLS. ConfigError naming the setting whose file cannot be used.

    Each context made of it has ticket keys and a session id context of its own (RFC 5077 §5.6). ``resumes`` False: it
    gives out no tickets and remembers no session, whatever the settings say.
    """
    files = pem.files
    blocks = _PEM_CERTIFICATE.findall(pem.certificate)
    if not blocks:
        raise ConfigError(f"tls.certificate: no PEM certificate in {files.certificate}")
    try:
        certificate, *chain = [crypto.load_certificate(crypto.FILETYPE_PEM, block) for block in blocks]
    except crypto.Error:
        raise ConfigError(f"tls.certificate: not a usable PEM certificate: {files.certificate}") from None
    try:
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, pem.private_key, passphrase=b"")
    except (crypto.Error, ValueError):
        raise ConfigError(f"tls.private_key: no usable PEM private key in {files.private_key}") from None
    ciphers = None
    if settings.ciphers:
        try:
            SSL.Context(SSL.TLS_METHOD).set_cipher_list(settings.ciphers.encode())
        except SSL.Error:
            raise ConfigError(f"tls.ciphers: OpenSSL knows none of {settings.ciphers!r}") from None
        ciphers = AcceptableCiphers.fromOpenSSLCipherString(settings.ciphers)
    options = CertificateOptions(
        privateKey=key,
        certificate=certificate,
        extraCertChain=chain,
        raiseMinimumTo=_MINIMUM[settings.minimum],
        acceptableCiphers=ciphers,
        enableSessions=resumes,
        enableSessionTickets=resumes and settings.session_tickets,
    )
    try:
        options.getContext()
    except SSL.Error:
        raise ConfigError(f"tls.private_key: {files.private_key} is not the key of {files.certificate}") from None
    return options


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        kind = _NotOursToReadError if isinstance(error, PermissionError) else ConfigError
        raise kind(f"{setting}: {path}: {error.strerror or error}") from None


_MX: Final = "smtp"
"""The service whose clients are other mail servers."""


class ServerTls:
    """Makes contexts, and notices a renewed certificate: files are looked at once a minute and read if they changed.

    Every service has a context of its own: a session or ticket of one is never good for another, where its client would
    skip the proof that it speaks to the right one.
    If the new files cannot be used (half written, or readable by root only) the old certificate stays in use and the
    log says so.
    """

    _LOOK_EVERY_S: Final = 60.0

    def __init__(
        self,
        settings: TlsSettings,
        files: CertificateFiles,
        seconds: Callable[[], float],
        earlier: Pem | None = None,
    ) -> None:
        self._settings = settings
        self._files = files
        self._seconds = seconds
        self._looked_at = seconds()
        self._stamp = self._stamp_now()
        self.pem = read_pem(files, earlier)
        """What is in use."""
        # Made at once, so that what cannot be used is known at the start.
        self._options = {_MX: self._load(_MX, self.pem)}

    def of_service(self, service: str) -> ServiceTls:
        """What the ports of a service use, with STARTTLS or from the first octet."""
        return ServiceTls(self, service)

    def _load(self, service: str, pem: Pem) -> CertificateOptions:
        return load_options(self._settings, pem, resumes=service != _MX or self._settings.mx_session_tickets)

    def _stamp_now(self) -> tuple[float, ...]:
        # A file in a folder that is not ours to look into is as good as none.
        return tuple(
            os.path.getmtime(path) if os.path.exists(path) else 0.0
            for path in (self._files.certificate, self._files.private_key)
        )

    def context(self, service: str) -> SSL.Context:
        """What a new connection of a service is made from."""
        now = self._seconds()
        if now - self._looked_at >= self._LOOK_EVERY_S:
            self.renew()
        options = self._options.get(service)
        if options is None:
            options = self._options[service] = self._load(service, self.pem)
        return options.getContext()

    def renew(self) -> None:
        """Look at the files now."""
        self._looked_at = self._seconds()
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            pem = read_pem(self._files)
            self._options = {_MX: self._load(_MX, pem)}
        except ConfigError as error:
            log.error("{event} {fault}", event="tls.renewal_failed", fault=error.public)
        else:
            self.pem = pem
            log.info("{event} file={file}", event="tls.renewed", file=str(self._files.certificate))


@implementer(IOpenSSLServerConnectionCreator)
@frozen
class ServiceTls:
    """The contexts of one service."""

    _tls: ServerTls
    _service: str

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """TLS for a new connection."""
        return SSL.Connection(self.context(), None)

    def context(self) -> SSL.Context:
        """What a new connection is made from."""
        return self._tls.context(self._service)
