"""Opens connections to mail hosts, over TLS where they offer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IAddress, IReactorTCP, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.memory import ExpiringMemory
from pymailsuite.relay.connection import HostUnavailable, RelayConnection, TlsFailed, client_tls_context
from pymailsuite.relay.host_verification import verifying_context
from pymailsuite.relay.route import Destination, Target
from pymailsuite.relay.session import HostProblem, Rules

log = Logger()

_PLAINTEXT_FOR_S = 3600.0
"""Seconds for which a host whose TLS handshake failed is used without TLS from the start."""

_PLAINTEXT_TARGETS = 10_000
"""The greatest number of such hosts remembered at once."""


def endpoint_of(
    target: Target, settings: RelaySettings, reactor: IReactorTime
) -> TCP4ClientEndpoint | TCP6ClientEndpoint:
    """The endpoint to connect to, bound to the local address to connect from."""
    six = ":" in target.ip
    source = settings.source_ipv6 if six else settings.source_ipv4
    endpoint = TCP6ClientEndpoint if six else TCP4ClientEndpoint
    return endpoint(
        IReactorTCP(reactor),
        target.ip,
        target.port,
        timeout=settings.connect_timeout,
        bindAddress=(source, 0) if source else None,
    )


class _OneConnection(Factory):
    noisy = False

    def __init__(self, connection: RelayConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._connection


class Connector:
    """``helo_name`` is the name in EHLO: this host's fully qualified name. ``reactor`` is IReactorTCP too.

    ConfigError if the relay host is to be verified and ``relayhost_ca`` cannot be used."""

    def __init__(self, settings: RelaySettings, helo_name: str, reactor: IReactorTime) -> None:
        self._settings = settings
        self._helo_name = helo_name
        self._reactor = reactor
        self._tls_context: SSL.Context = client_tls_context()
        self._verifying_context = verifying_context(settings.relayhost_ca) if settings.relayhost else None
        self._plaintext: ExpiringMemory[Target, bool] = ExpiringMemory(reactor, _PLAINTEXT_TARGETS)

    def connect(self, destination: Destination, ended: Callable[[RelayConnection], None]) -> Deferred[RelayConnection]:
        """An established connection.

        HostUnavailable. ``ended`` is called once, when a connection made by this call is closed."""
        return Deferred.fromCoroutine(self._connect(destination, ended))

    async def _connect(self, destination: Destination, ended: Callable[[RelayConnection], None]) -> RelayConnection:
        settings, target = self._settings, destination.target
        needs_tls = destination.log_in or bool(destination.names) or settings.tls == "required"
        starttls = settings.tls != "off" and (needs_tls or not self._plaintext.get(target))
        try:
            return await self._establish(destination, starttls, ended)
        except TlsFailed as failed:
            if needs_tls or not settings.tls_fallback:
                raise
            log.warn(
                "{event} {target}: {reply}; trying without",
                event="relay.tls_failed",
                target=str(target),
                reply=failed.problem.reply,
            )
        self._plaintext.put(target, True, _PLAINTEXT_FOR_S)
        return await self._establish(destination, False, ended)

    async def _establish(
        self, destination: Destination, starttls: bool, ended: Callable[[RelayConnection], None]
    ) -> RelayConnection:
        settings, target = self._settings, destination.target
        rules = Rules(
            helo_name=self._helo_name,
            starttls=starttls,
            require_tls=settings.tls == "required" or bool(destination.names),
            login=settings.relayhost_login if destination.log_in else "",
            password=settings.relayhost_password.get_secret_value() if destination.log_in else "",
        )
        context = self._verifying_context if destination.names else self._tls_context
        assert context is not None
        connection = RelayConnection(self._reactor, destination, rules, settings, context, ended)
        try:
            await endpoint_of(target, settings, self._reactor).connect(_OneConnection(connection))
        except (ConnectError, ConnectingCancelledError, OSError) as error:
            raise HostUnavailable(HostProblem("4.4.1", f"cannot connect to {target}: {error}")) from error
        return await connection.established
