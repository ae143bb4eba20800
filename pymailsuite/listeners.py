"""Listening, in two steps.

Ports are bound while we may (privileged ports, before twistd drops its user), and connections are taken once there is a
store to serve them from. Meanwhile a client that connects waits in the system's backlog.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final

from attrs import frozen
from twisted.application.service import Service
from twisted.internet import tcp
from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from pymailsuite.errors import ConfigError
from pymailsuite.wire.shell import ShellFactory

log = Logger()

_TWISTED_BACKLOG: Final = 50
"""What an endpoint description asks for that says nothing of a backlog."""
_BACKLOG: Final = 1024
"""Connections that may wait to be taken. A burst that overflows it waits a second for its next try."""

_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class _IPv6OnlyPort(tcp.Port):
    """A port that leaves IPv4 to the IPv4 line of the same port number, whatever the system's default is."""

    def createInternetSocket(self) -> socket.socket:
        made: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made


class _ListeningReactor:
    """The reactor as endpoints see it, but IPv6 ports are IPv6 only and more connections may wait to be taken."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = _TWISTED_BACKLOG, interface: str = ""
    ) -> IListeningPort:
        if backlog == _TWISTED_BACKLOG:
            backlog = _BACKLOG
        if not isIPv6Address(interface):
            return self._reactor.listenTCP(port, factory, backlog, interface)  # type: ignore[no-any-return]
        listening = _IPv6OnlyPort(port, factory, backlog, interface, self._reactor)
        listening.startListening()
        return listening


@frozen
class ListeningService:
    """What listens where. ``setting`` is the key of the endpoint descriptions; ``tls`` a context factory, if TLS is
    spoken from the first octet."""

    name: str
    setting: str
    endpoints: Sequence[str]
    factory: IProtocolFactory
    tls: Any = None


class Listeners(Service):
    """All listening ports of the server."""

    def __init__(self, reactor: Any, services: Sequence[ListeningService]) -> None:
        self.setName("listeners")  # type: ignore[no-untyped-call]
        self._reactor = _ListeningReactor(reactor)
        self._services = services
        self._bound: list[tuple[ListeningService, IListeningPort]] = []

    def privilegedStartService(self) -> None:
        """Bind every port, without taking connections yet. ConfigError naming setting and port if one cannot be."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        for service in self._services:
            for description in service.endpoints:
                self._bind(service, description)

    def _bind(self, service: ListeningService, description: str) -> None:
        factory: Any = service.factory
        if service.tls is not None:
            factory = TLSMemoryBIOFactory(service.tls, False, factory)
        listening: list[IListeningPort] = []
        failures: list[Any] = []
        # Every stream endpoint that listens does so at once; one that would not has no place before the reactor runs.
        endpoint = serverFromString(self._reactor, description)
        endpoint.listen(factory).addCallbacks(listening.append, failures.append)
        if failures:
            self._cannot_listen(service, description, failures[0].value)
            return
        if not listening:
            raise ConfigError(f"{service.setting}: {description} does not listen at once")
        port = listening[0]
        if IPushProducer.providedBy(port):
            port.pauseProducing()
        self._bound.append((service, port))

    def _cannot_listen(self, service: ListeningService, description: str, error: Exception) -> None:
        if not isinstance(error, CannotListenError):
            raise error
        cause = error.socketError
        if isIPv6Address(error.interface) and getattr(cause, "errno", None) in _NO_IPV6:
            log.warn(
                "{event} {service} on {endpoint}: no IPv6 here",
                event="listener.passed_over",
                service=service.name,
                endpoint=description,
            )
            return
        reason = getattr(cause, "strerror", None) or cause
        raise ConfigError(f"{service.setting}: cannot listen on {description}: {reason}")

    def accept_connections(self) -> None:
        """Serve those who connect, from now on."""
        for service, port in self._bound:
            if IPushProducer.providedBy(port):
                port.resumeProducing()
            log.info(
                "{event} {service} on {address}",
                event="listener.opened",
                service=service.name,
                address=_address_text(port.getHost()),
                port=getattr(port.getHost(), "port", None),
            )

    def ports(self) -> list[tuple[str, IAddress]]:
        """Service names and the addresses they are bound to, for whoever asked for port 0."""
        return [(service.name, port.getHost()) for service, port in self._bound]

    def stopService(self) -> Deferred[Any]:
        """Take no more connections and close the ports; those who are connected stay."""
        super().stopService()  # type: ignore[no-untyped-call]
        bound, self._bound = self._bound, []
        return DeferredList([maybeDeferred(port.stopListening) for _, port in bound], consumeErrors=True)


class Sessions(Service):
    """The connections of all listeners, which end in good order when the server stops.

    Each answers what is under way, says that the server is closing, and has ``grace_s`` seconds for it.
    """

    def __init__(self, factories: Iterable[ShellFactory], grace_s: float, clock: IReactorTime) -> None:
        self.setName("sessions")  # type: ignore[no-untyped-call]
        self._factories = list(factories)
        self._grace_s = grace_s
        self._clock = clock

    def stopService(self) -> Deferred[None]:
        """Fires when no session is left, or when the time is over."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._end_all())

    async def _end_all(self) -> None:
        ended = [factory.shut_down() for factory in self._factories]
        for waiting in ended:
            waiting.addTimeout(self._grace_s, self._clock)
        results = await DeferredList(ended, consumeErrors=True)
        if not all(success for success, _ in results):
            log.warn("{event} after {seconds} s", event="server.sessions_cut", seconds=self._grace_s)


def _address_text(address: Any) -> str:
    host = getattr(address, "host", None)
    if host is None:
        return str(getattr(address, "name", address))
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
