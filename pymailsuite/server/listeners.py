"""Listening sockets, in two steps.

Ports are bound while the process may (privileged ports, before twistd changes its user), and connections are accepted
once there is a store. Meanwhile a client that connects waits in the system's backlog.

Several processes can share a port: one binds it (:class:`BoundPorts`) and never takes a connection, the others inherit
the descriptor and take connections as each finds time for one.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, cast

from attrs import frozen
from twisted.application.service import Service
from twisted.internet import tcp
from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from pymailsuite.config.base import Network
from pymailsuite.errors import ConfigError
from pymailsuite.wire.addresses import in_networks
from pymailsuite.wire.factory import ConnectionFactory
from pymailsuite.wire.proxied import ProxiedFactory, ProxyRules
from pymailsuite.wire.tally import Tally

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


_HOLD_BACK_S: Final = 0.05
"""Longer than a turn of a reactor under load, and than it takes to hear what other processes have."""

AcceptQuota = Callable[[Tally], int]
"""How many waiting connections a process takes at once, by those that there are; 0: it leaves them to others for a
moment, and then takes one."""


def _one(*_: object) -> int:
    return 1


class _SharedPort(tcp.Port):
    """A port from which other processes accept connections, too: one at a time, so that a process with time gets the
    next."""

    accept_quota: Callable[[], int] = staticmethod(_one)
    """May be taken at once."""

    _waiting: IDelayedCall | None = None

    def doRead(self) -> None:
        count = self.accept_quota()
        if count:
            self._take(count)
        else:
            self.stopReading()
            self._waiting = cast(IReactorTime, self.reactor).callLater(_HOLD_BACK_S, self._waited)

    def _waited(self) -> None:
        self._waiting = None
        self.startReading()  # type: ignore[no-untyped-call]
        self._take(1)

    def _take(self, count: int) -> None:
        # Harmless if there are fewer, because another was quicker.
        self.numberAccepts = count
        super().doRead()  # type: ignore[no-untyped-call]

    def stopReading(self) -> None:
        """Look at no more connections until told to."""
        super().stopReading()  # type: ignore[no-untyped-call]
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


@frozen
class SharedSocket:
    """A listening socket made by another process: its descriptor here, and its address family."""

    descriptor: int
    family: int

    def listen(self, reactor: Any, factory: IProtocolFactory, accept_quota: Callable[[], int]) -> IListeningPort:
        """Take connections from it; the descriptor itself stays open."""
        if self.family not in (socket.AF_INET, socket.AF_INET6):
            return reactor.adoptStreamPort(self.descriptor, self.family, factory)  # type: ignore[no-any-return]
        port = _SharedPort._fromListeningDescriptor(  # type: ignore[no-untyped-call]
            reactor, self.descriptor, self.family, factory
        )
        port.accept_quota = accept_quota
        port.startListening()
        return port  # type: ignore[no-any-return]


SharedSockets = Mapping[tuple[str, str], SharedSocket]
"""By name of the service and endpoint description."""


_PROXIED: Final = "haproxy:"
"""In front of an endpoint description: only proxies connect there. Twisted's own way knows the client too late, when
the protocol has been made for the proxy."""


@frozen
class Proxies:
    """The proxies whose PROXY header is read: those in ``networks``, at ``haproxy:`` endpoints, where only they may
    connect."""

    networks: Sequence[Network] = ()
    timeout_s: float = 5.0
    refused: Callable[[str, str, bytes], object] = lambda service, ip, why: None
    """Is told of those who are cut off: the service, the address, the reason."""


@frozen
class ListeningService:
    """A service and its endpoints. ``setting`` is the key of the endpoint descriptions; ``tls`` a context factory, if
    TLS is spoken from the first octet. ``takes_mail_in``: its clients come to hand over messages. ``proxies`` are the
    networks of those that begin with a PROXY header at its ordinary endpoints. ``trusts_loopback``: whoever comes from
    this host may do what others may not."""

    name: str
    setting: str
    endpoints: Sequence[str]
    factory: IProtocolFactory
    tls: Any = None
    takes_mail_in: bool = False
    proxies: Sequence[Network] = ()
    trusts_loopback: bool = False


def bind(reactor: Any, service: ListeningService, description: str, factory: IProtocolFactory) -> IListeningPort | None:
    """Bind a port, without taking connections yet. None: it is one of IPv6 where there is none.

    ConfigError naming setting and port if it cannot be bound.
    """
    listening: list[IListeningPort] = []
    failures: list[Any] = []
    # Every stream endpoint that listens does so at once; one that would not has no place before the reactor runs.
    endpoint = serverFromString(_ListeningReactor(reactor), description.removeprefix(_PROXIED))
    endpoint.listen(factory).addCallbacks(listening.append, failures.append)
    if failures:
        _cannot_listen(service, description, failures[0].value)
        return None
    if not listening:
        raise ConfigError(f"{service.setting}: {description} does not listen at once")
    _hold(listening[0])
    return listening[0]


def _hold(port: IListeningPort) -> None:
    if IPushProducer.providedBy(port):
        port.pauseProducing()


def _cannot_listen(service: ListeningService, description: str, error: Exception) -> None:
    if not isinstance(error, CannotListenError):
        raise error
    cause = error.socketError
    if isIPv6Address(error.interface) and getattr(cause, "errno", None) in _NO_IPV6:
        log.warn(
            "{event} {service} on {endpoint}: no IPv6 here",
            event="listener.skipped",
            service=service.name,
            endpoint=description,
        )
        return
    reason = getattr(cause, "strerror", None) or cause
    kind = PortTaken if getattr(cause, "errno", None) == errno.EADDRINUSE else ConfigError
    raise kind(f"{service.setting}: cannot listen on {description}: {reason}")


_NEXT_TRY_S: Final = 0.1


class PortTaken(ConfigError):
    """Another process listens on a port: perhaps one that is just about to end."""


class BoundPorts:
    """Ports bound for other processes: held open, and no connection is taken here."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._nobody = Factory()
        self._nobody.noisy = False
        self._ports: dict[tuple[str, str], IListeningPort] = {}

    def bind(self, services: Iterable[ListeningService], patience_s: float = 0.0) -> None:
        """Bind those of the services that are not bound yet. ConfigError if one cannot be: then none is.

        For a port that is taken it waits, before there is a reactor that could: ``patience_s`` in all at most.
        """
        until = time.monotonic() + patience_s
        made: dict[tuple[str, str], IListeningPort] = {}
        try:
            for service in services:
                for description in service.endpoints:
                    key = (service.name, description)
                    if key not in self._ports:
                        port = self._bound(service, description, until)
                        if port is not None:
                            made[key] = port
        except BaseException:
            for port in made.values():
                port.stopListening()
            raise
        self._ports |= made

    def _bound(self, service: ListeningService, description: str, until: float) -> IListeningPort | None:
        while True:
            try:
                return bind(self._reactor, service, description, self._nobody)
            except PortTaken:
                if time.monotonic() >= until:
                    raise
            time.sleep(_NEXT_TRY_S)

    def sockets(self, services: Iterable[ListeningService]) -> SharedSockets:
        """The sockets that a process must inherit to serve these services."""
        keys = [(service.name, description) for service in services for description in service.endpoints]
        return {key: _shared(self._ports[key]) for key in keys if key in self._ports}

    def close_all_but(self, services: Iterable[ListeningService]) -> Deferred[Any]:
        """Close the sockets that these services do not use."""
        kept = {(service.name, description) for service in services for description in service.endpoints}
        closing = [self._ports.pop(key) for key in list(self._ports) if key not in kept]
        return DeferredList([maybeDeferred(port.stopListening) for port in closing], consumeErrors=True)


def _shared(port: Any) -> SharedSocket:
    return SharedSocket(port.fileno(), port.socket.family)


class Listeners(Service):
    """All listening ports of the server.

    ``shared`` None: they are bound here. Otherwise another process has bound them, and one that is not there has been
    passed over by it. ``accept_quota`` is asked before connections of those who hand over mail are taken.
    """

    def __init__(
        self,
        reactor: Any,
        services: Sequence[ListeningService],
        shared: SharedSockets | None = None,
        accept_quota: AcceptQuota = _one,
        proxies: Proxies = Proxies(),  # frozen
    ) -> None:
        self.setName("listeners")  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._services = services
        self._shared = shared
        self._accept_quota = accept_quota
        self._proxies = proxies
        self._bound: list[tuple[ListeningService, str, IListeningPort]] = []

    def privilegedStartService(self) -> None:
        """Bind every port, without taking connections yet. ConfigError naming setting and port if one cannot be."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        for service in self._services:
            factory: Any = service.factory
            if service.tls is not None:
                factory = TLSMemoryBIOFactory(service.tls, False, factory)
            for description in service.endpoints:
                port = self._bind(service, description, self._behind_proxies(service, description, factory))
                if port is not None:
                    self._bound.append((service, description, port))

    def _behind_proxies(
        self, service: ListeningService, description: str, factory: IProtocolFactory
    ) -> IProtocolFactory:
        required = description.startswith(_PROXIED)
        networks = self._proxies.networks if required else service.proxies
        if not required and not networks:
            return factory

        def is_proxy(ip: str) -> bool:
            return in_networks(ip, networks) or (required and not ip)

        rules = ProxyRules(is_proxy, required, self._proxies.timeout_s)
        return ProxiedFactory(factory, rules, self._reactor, partial(self._proxies.refused, service.name))

    def _bind(self, service: ListeningService, description: str, factory: IProtocolFactory) -> IListeningPort | None:
        if self._shared is None:
            return bind(self._reactor, service, description, factory)
        shared = self._shared.get((service.name, description))
        if shared is None:
            return None
        port = shared.listen(self._reactor, factory, self._accept_quota_of(service))
        _hold(port)
        return port

    def _accept_quota_of(self, service: ListeningService) -> Callable[[], int]:
        if not service.takes_mail_in:
            return _one
        return partial(self._accept_quota, cast(ConnectionFactory, service.factory).tally)

    def accept_connections(self) -> None:
        """Accept connections from now on."""
        for service, description, port in self._bound:
            if IPushProducer.providedBy(port):
                port.resumeProducing()
            log.info(
                "{event} {service} on {address}",
                event="listener.opened",
                service=service.name,
                address=_address_text(port.getHost()),
                port=getattr(port.getHost(), "port", None),
            )
            if service.trusts_loopback and _serves_this_host_only(port) and not description.startswith(_PROXIED):
                self._warn_of_proxies(service, description)

    def _warn_of_proxies(self, service: ListeningService, description: str) -> None:
        """What reaches this port from elsewhere came through something on this host, and is taken for this host."""
        if not any(network.is_loopback for network in service.proxies):
            log.warn(
                "{event} {service} on {endpoint}: clients of a proxy on this host would be trusted as this host is; let"
                " them come by haproxy:{endpoint}, or take loopback out of {service}.trusted_networks",
                event="listener.trusts_proxies",
                service=service.name,
                endpoint=description,
            )

    def ports(self) -> list[tuple[str, IAddress]]:
        """Service names and the addresses they are bound to, for callers that asked for port 0."""
        return [(service.name, port.getHost()) for service, _, port in self._bound]

    def stopService(self) -> Deferred[Any]:
        """Accept no more connections and close the ports; open connections stay."""
        super().stopService()  # type: ignore[no-untyped-call]
        bound, self._bound = self._bound, []
        return DeferredList([maybeDeferred(port.stopListening) for _, _, port in bound], consumeErrors=True)


def _serves_this_host_only(port: IListeningPort) -> bool:
    address = port.getHost()
    return isinstance(address, IPv4Address | IPv6Address) and ip_address(address.host).is_loopback


class Sessions(Service):
    """The connections of all listeners, which end in good order when the server stops.

    Each answers what is under way, says that the server is closing, and has ``grace_s`` seconds for it.
    """

    def __init__(self, factories: Iterable[ConnectionFactory], grace_s: float, clock: IReactorTime) -> None:
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
            # What they were waiting for ends with them: the store need not do it.
            for factory in self._factories:
                factory.cut_all()


def _address_text(address: Any) -> str:
    host = getattr(address, "host", None)
    if host is None:
        return str(getattr(address, "name", address))
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
