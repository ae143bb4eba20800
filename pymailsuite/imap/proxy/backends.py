"""Connects to back-ends: over verified TLS, and never to ourselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import crypto
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IAddress, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.ssl import (
    Certificate,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.logger import Logger

from pymailsuite.config.sections.imap import ImapBackend, ImapSettings
from pymailsuite.errors import ConfigError
from pymailsuite.imap.proxy.connection import BackendConnection, BackendUnavailable
from pymailsuite.imap.proxy.dialogue import BackendLogin

log = Logger()

IsOurselves = Callable[[str, int], bool]


class _OneConnection(Factory):
    noisy = False

    def __init__(self, connection: BackendConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._connection


def client_tls(backend: ImapBackend) -> IOpenSSLClientConnectionCreator:
    """TLS that ends in the handshake unless the certificate is good and for the name of the back-end. ConfigError.

    Source: RFC 8314 §3, RFC 6125.
    """
    trust = platformTrust() if backend.ca is None else trustRootFromCertificates(_certificates(backend.ca))
    try:
        return optionsForClientTLS(
            backend.name or backend.host, trust, extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_2}
        )
    except ValueError as error:
        raise ConfigError(f"imap.backends: {backend.name or backend.host} is no name of a host: {error}") from None


def _certificates(path: Path) -> list[Certificate]:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"imap.backends: ca: no usable PEM certificates in {path}: {error}") from None
    return [Certificate(crypto.X509.from_cryptography(one)) for one in found]


def _master_password(backend: ImapBackend) -> bytes:
    path = backend.master_password_file
    if path is None:
        return b""
    try:
        password = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"imap.backends: master_password_file: {error}") from None
    if not password or b"\0" in password:
        raise ConfigError(f"imap.backends: master_password_file: no password in {path}")
    return password


class Backends:
    """The back-ends of the settings. ConfigError if a file that they name cannot be used.

    ``is_ourselves`` tells of an address and a port whether that is a listener of ours.
    """

    def __init__(self, settings: ImapSettings, reactor: Any, is_ourselves: IsOurselves) -> None:
        self._settings = settings
        self._reactor = reactor
        self._is_ourselves = is_ourselves
        each = list(settings.backends.values())
        self._tls = {one: client_tls(one) for one in each if one.tls != "none"}
        self._master_passwords = {one: _master_password(one) for one in each if one.master_login}

    def master_login(self, backend: ImapBackend, login_name: str, client: dict[str, str]) -> BackendLogin:
        """How we log in for a user who has logged in here."""
        return BackendLogin(
            backend.master_login.encode("utf-8"), self._master_passwords[backend], login_name.encode("utf-8"), client
        )

    def log_in(self, backend: ImapBackend, login: BackendLogin) -> Deferred[BackendConnection]:
        """A connection on which the user is logged in. LoginRefused, BackendUnavailable."""
        return Deferred.fromCoroutine(self._log_in(backend, login))

    async def _log_in(self, backend: ImapBackend, login: BackendLogin) -> BackendConnection:
        try:
            return await self._connect(backend, login)
        except BackendUnavailable as error:
            log.warn(
                "{event} {target}: {reason}",
                event="imap.backend_unavailable",
                target=str(backend),
                reason=error.cause,
            )
            raise

    async def _connect(self, backend: ImapBackend, login: BackendLogin) -> BackendConnection:
        settings, reactor = self._settings, self._reactor
        connection = BackendConnection(
            reactor, backend, login, self._tls.get(backend), settings.backend_login_timeout, self._is_ourselves
        )
        endpoint = HostnameEndpoint(reactor, backend.host, backend.port, timeout=settings.backend_connect_timeout)
        try:
            # The look-up of a name has no time limit of its own.
            connecting = endpoint.connect(_OneConnection(connection))
            await connecting.addTimeout(settings.backend_connect_timeout, reactor)
        except (ConnectError, ConnectingCancelledError, DNSLookupError, TimeoutError, OSError) as error:
            raise BackendUnavailable(cause=f"cannot connect: {error}") from error
        return await connection.logged_in
