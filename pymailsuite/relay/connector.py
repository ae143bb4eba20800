"""Opens connections to mail hosts, over TLS where they offer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IReactorTCP, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.relay.connection import HostUnavailable, RelayConnection, TlsFailed, client_tls_context
from pymailsuite.relay.route import Target
from pymailsuite.relay.session import HostProblem, Rules

log = Logger()

_PLAINTEXT_FOR_S = 3600.0
"""Seconds a host whose TLS handshake failed is spoken to without TLS from the start."""


def endpoint_of(
    target: Target, settings: RelaySettings, reactor: IReactorTime
) -> TCP4ClientEndpoint | TCP6ClientEndpoint:
    """Where to connect to, and from which of our addresses."""
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
    """``helo_name`` is what EHLO says of us: our fully qualified host name. ``reactor`` is IReactorTCP too."""

    def __init__(self, settings: RelaySettings, helo_name: str, reactor: IReactorTime) -> None:
        self._settings = settings
        self._helo_name = helo_name
        self._reactor = reactor
        self._tls_context: SSL.Context = client_tls_context()
        self._plaintext_until: dict[Target, float] = {}

    def connect(self, key: tuple[Target, bool], ended: Callable[[RelayConnection], None]) -> Deferred[RelayConnection]:
        """An established connection to a target, logged in there if the second part of ``key`` is True.

        HostUnavailable. ``ended`` is called once, when a connection made for this is gone."""
        return Deferred.fromCoroutine(self._connect(*key, ended))

    async def _connect(self, target: Target, log_in: bool, ended: Callable[[RelayConnection], None]) -> RelayConnection:
        settings = self._settings
        starttls = settings.tls != "off" and self._plaintext_until.get(target, 0.0) <= self._reactor.seconds()
        try:
            return await self._establish(target, log_in, starttls, ended)
        except TlsFailed as failed:
            if settings.tls != "opportunistic" or not settings.tls_fallback or log_in:
                raise
            log.warn(
                "{event} {target}: {reply}; trying without",
                event="relay.tls_failed",
                target=str(target),
                reply=failed.problem.reply,
            )
        self._plaintext_until[target] = self._reactor.seconds() + _PLAINTEXT_FOR_S
        return await self._establish(target, log_in, False, ended)

    async def _establish(
        self, target: Target, log_in: bool, starttls: bool, ended: Callable[[RelayConnection], None]
    ) -> RelayConnection:
        settings = self._settings
        rules = Rules(
            helo_name=self._helo_name,
            starttls=starttls,
            require_tls=settings.tls == "required",
            login=settings.relayhost_login if log_in else "",
            password=settings.relayhost_password.get_secret_value() if log_in else "",
        )
        connection = RelayConnection(self._reactor, target, rules, settings, self._tls_context, ended)
        try:
            await endpoint_of(target, settings, self._reactor).connect(_OneConnection(connection))
        except (ConnectError, OSError) as error:
            raise HostUnavailable(HostProblem("4.4.1", f"cannot connect to {target}: {error}")) from error
        return await connection.established
