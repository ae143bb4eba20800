"""Connections that come through a proxy: the client is known before anything is decided about it.

The header of the PROXY protocol comes before all else, TLS too. Until it is complete there is no protocol and no
limit is asked; then the factory is asked for a protocol for the client's address, and the transport has that address as
its peer. So a client behind a proxy is treated as any other client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.wire.proxy_header import BadProxyHeader, ProxiedPeer, read_proxy_header

log = Logger()


@frozen
class ProxyRules:
    """Which connections begin with a header.

    ``is_proxy`` says of an address, empty for a UNIX socket, whether it is a proxy's. With ``required`` only proxies
    may connect; without, other clients are served under their own address. A proxy has ``timeout_s`` seconds for its
    header.
    """

    is_proxy: Callable[[str], bool]
    required: bool
    timeout_s: float


Refused = Callable[[str, bytes], object]
"""Is told the address of a peer that was cut off, and why."""


class ProxiedFactory(Factory):
    """Makes protocols of ``factory`` for the clients of proxies."""

    noisy = False

    def __init__(self, factory: IProtocolFactory, rules: ProxyRules, reactor: IReactorTime, refused: Refused) -> None:
        self.factory: Final = factory
        self.rules: Final = rules
        self.reactor: Final = reactor
        self.refused: Final = refused

    def doStart(self) -> None:
        """The port is open."""
        self.factory.doStart()

    def doStop(self) -> None:
        """The port is closed."""
        self.factory.doStop()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]  # None hangs up
        """What reads the header of a proxy; for others a protocol, or None where they may not connect."""
        ip = getattr(addr, "host", "")
        if self.rules.is_proxy(ip):
            return _HeaderProtocol(self, addr)
        if self.rules.required:
            self.refused(ip, b"cut off: not a proxy of ours")
            return None
        return self.factory.buildProtocol(addr)


class _HeaderProtocol(Protocol):
    """Reads the header, then makes place for the protocol that the connection is for."""

    transport: Any = None

    def __init__(self, owner: ProxiedFactory, proxy: IAddress) -> None:
        self._owner = owner
        self._proxy = proxy
        self._received = b""
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """The header is to be complete within a time that no octet renews."""
        self._timer = self._owner.reactor.callLater(self._owner.rules.timeout_s, self._refuse, "no header in time")

    def dataReceived(self, data: bytes) -> None:
        """Octets of the header, and perhaps more."""
        self._received += data
        try:
            header = read_proxy_header(self._received)
        except BadProxyHeader as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._hand_over(*header)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The proxy has gone."""
        self._stop_timer()

    def _hand_over(self, peer: ProxiedPeer, rest: bytes) -> None:
        self._stop_timer()
        client = self._proxy
        if peer.ip:
            client = (IPv6Address if ":" in peer.ip else IPv4Address)("TCP", peer.ip, peer.port)
            log.info(
                "{event} {peer_ip} through {proxy_ip}",
                event="connection.proxied",
                proxy_ip=getattr(self._proxy, "host", ""),
                peer_ip=peer.ip,
                peer_port=peer.port,
            )
        protocol = self._owner.factory.buildProtocol(client)
        if protocol is None:
            self.transport.abortConnection()
            return
        # The transport goes on as it is, for what TLS and half-closing need of it, and answers for the client.
        self.transport.getPeer = lambda: client
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        if rest:
            protocol.dataReceived(rest)

    def _refuse(self, why: str) -> None:
        self._stop_timer()
        self._owner.refused(getattr(self._proxy, "host", ""), f"cut off: {why}".encode())
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
