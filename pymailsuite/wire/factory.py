"""Makes the connections of a listener, counts them, and lets them end when the server stops."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from pymailsuite.wire.addresses import address_key, peer_ip
from pymailsuite.wire.busy import BusyProtocol
from pymailsuite.wire.connection import ConnectionProtocol
from pymailsuite.wire.refusal_counts import RefusalCounts, log_refusal
from pymailsuite.wire.tally import Tally


@frozen
class ConnectionLimits:
    """How many connections a factory serves at once, in all and for one address (IPv6: one /64).

    This host's own addresses are not limited: behind them a webmail or a TLS proxy speaks for all its users.
    """

    in_all: int = 2000
    per_address: int = 50
    per_minute: int = 0
    """New connections of one address in a minute; 0: any number."""


class ConnectionFactory(Factory):
    """Makes the protocols of one listener and counts them. A protocol's factory derives from it."""

    log: ClassVar[Logger] = Logger()
    noisy = False
    refusal_counts: RefusalCounts | None = None
    """Where refusals are counted that come before any conversation; None: each is logged."""
    handshake_timeout_s: float | None = None
    """How long a peer may take for the whole TLS handshake; None: as long as for what it has to say."""

    def __init__(self, reactor: IReactorTime, limits: ConnectionLimits, protocol_name: str = "wire") -> None:
        self.reactor = reactor
        self.limits = limits
        self.protocol_name = protocol_name
        self.tally = Tally()
        """Connections by address; under ``""`` all there are."""
        self._open: set[ConnectionProtocol] = set()
        self._this_minute: Counter[str] = Counter()
        self._minute_began = 0.0
        self._emptied: list[Deferred[None]] = []

    @property
    def connections(self) -> int:
        """Connections being served."""
        return len(self._open)

    def make_protocol(self) -> ConnectionProtocol:
        """A protocol for a new connection."""
        raise NotImplementedError

    def busy_reply(self) -> bytes:
        """The reply to a connection beyond a limit, in the form of the protocol."""
        raise NotImplementedError

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """A protocol, or one that replies that the server is busy."""
        key = address_key(peer_ip(addr))
        tally = self.tally
        if tally[""] >= self.limits.in_all or self._is_one_too_many(key):
            return BusyProtocol(self.reactor, self.too_many(peer_ip(addr)))
        protocol = self.make_protocol()
        protocol.factory = self
        self._open.add(protocol)
        tally.add("")
        self._count(protocol, key)
        return protocol

    def _is_one_too_many(self, key: str) -> bool:
        if not key:
            return False
        limits = self.limits
        if limits.per_minute:
            now = self.reactor.seconds()
            if now - self._minute_began >= 60.0:
                self._this_minute.clear()
                self._minute_began = now
            self._this_minute[key] += 1
            if self._this_minute[key] > limits.per_minute:
                return True
        return self.tally[key] >= limits.per_address

    def too_many(self, ip: str) -> bytes:
        """The reply to a connection beyond a limit; it is counted."""
        reply = self.busy_reply()
        self.count_refusal("too_many_connections", ip, reply)
        return reply

    def count_refusal(self, what: str, ip: str, reply: bytes) -> None:
        """Somebody is refused something of which only the number is told."""
        if self.refusal_counts is not None:
            self.refusal_counts.note(self.protocol_name, what, ip, reply)
        else:
            log_refusal(self.protocol_name, what, ip, reply)

    def _count(self, protocol: ConnectionProtocol, key: str) -> None:
        protocol.counted_as = key
        if key:
            self.tally.add(key)

    def _count_no_more(self, protocol: ConnectionProtocol) -> None:
        key, protocol.counted_as = protocol.counted_as, ""
        if key:
            self.tally.remove(key)

    def shut_down(self) -> Deferred[None]:
        """Let every connection answer what is under way and close. Fires when none is left; cancel to wait no longer.

        The listener is to be stopped first.
        """
        emptied: Deferred[None] = Deferred(self._emptied.remove)
        self._emptied.append(emptied)
        for protocol in list(self._open):
            protocol.in_turn(protocol.shut_down)
        self._tell_if_empty()
        return emptied

    def cut_all(self) -> None:
        """Cut the connections that are left."""
        for protocol in list(self._open):
            protocol.abort()

    def _tell_if_empty(self) -> None:
        if not self._open:
            emptied, self._emptied = self._emptied, []
            for waiting in emptied:
                waiting.callback(None)

    def connection_ended(self, protocol: ConnectionProtocol) -> None:
        """A protocol of ours has lost its connection."""
        if protocol in self._open:
            self._open.remove(protocol)
            self.tally.remove("")
            self._count_no_more(protocol)
        self._tell_if_empty()
