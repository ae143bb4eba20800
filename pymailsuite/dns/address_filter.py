"""Whether we connect to an address that DNS, a user or another host has named.

The owner of a domain name can give it the address of our loopback, of a neighbour of ours, or of no host at all. Code
that connects to an address that did not come from the settings asks here first, about the very address that it connects
to: a name may have another address at its next look-up. Addresses within addresses (RFC 4291 §2.5.5, RFC 6052, RFC
3056, RFC 4380, RFC 5214) are treated as the address that they lead to.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from time import monotonic
from typing import Any, Final

from attrs import frozen
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IConnector
from zope.interface import directlyProvides, providedBy

from pymailsuite.config.sections.listeners import ListenerSettings
from pymailsuite.config.sections.outgoing import OutgoingSettings
from pymailsuite.config.sections.relay import SMTP_PORT

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

PRIVATE: Final = "a private network"
"""The objection that a setting decides on."""

_KINDS_4: Final = tuple(
    (IPv4Network(text), kind)
    for text, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("192.0.0.0/24", "reserved"),
        ("10.0.0.0/8", PRIVATE),
        ("172.16.0.0/12", PRIVATE),
        ("192.168.0.0/16", PRIVATE),
        ("100.64.0.0/10", PRIVATE),
        ("198.18.0.0/15", PRIVATE),
    )
)
# Source of both: the special-purpose registries of RFC 6890.
_KINDS_6: Final = tuple(
    (IPv6Network(text), kind)
    for text, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
        ("100::/64", "reserved"),
        ("64:ff9b:1::/48", "reserved"),
        ("2001:10::/28", "reserved"),
        ("2001:20::/28", "reserved"),
        ("fc00::/7", PRIVATE),
        ("fec0::/10", PRIVATE),
        ("2001:2::/48", PRIVATE),
    )
)
_RESERVED_6: Final = IPv6Network("::/8")
"""What is not one of the embedding forms in it belongs to nobody."""

_LAST_32: Final = tuple(IPv6Network(text) for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96"))
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)

_REMEMBERED_S: Final = 60.0
_REMEMBERED_MAX: Final = 10_000

_SERVICES: Final = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "https")
_ENDPOINT: Final = re.compile(r"(?:haproxy:)?tcp(?P<six>6?):(?:port=)?(?P<port>\d+)")
_INTERFACE: Final = re.compile(r":interface=(?P<address>(?:[^:\\]|\\.)*)")


def embedded(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to; none if it is one of its own."""
    whole = int(address)
    if any(address in network for network in _LAST_32):
        return [IPv4Address(whole & 0xFFFFFFFF)]
    if address in _SIX_TO_FOUR:
        return [IPv4Address(whole >> 80 & 0xFFFFFFFF)]
    if address in _TEREDO:
        return [IPv4Address(whole >> 64 & 0xFFFFFFFF), IPv4Address(~whole & 0xFFFFFFFF)]
    if (whole >> 32 & 0xFFFFFFFF) in _ISATAP:
        return [IPv4Address(whole & 0xFFFFFFFF)]
    return []


def _kind(address: _Address) -> str:
    """What is special about an address; empty: nothing."""
    kinds: Sequence[tuple[_Network, str]] = _KINDS_4 if address.version == 4 else _KINDS_6
    for network, kind in kinds:
        if address in network:
            return kind
    if isinstance(address, IPv6Address):
        within = embedded(address)
        if within:
            return next(filter(None, map(_kind, within)), "")
        if address in _RESERVED_6:
            return "reserved"
    return ""


def has_address(ip: str) -> bool:
    """Whether an address is this very host's. Nothing is sent: the system says where it would send from."""
    address = ip_address(ip)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((ip, 9))
            return ip_address(asked.getsockname()[0].partition("%")[0]) == address
    except OSError:
        return False


@frozen
class _Listener:
    """``address`` None: on all addresses of its ``version``."""

    version: int
    address: _Address | None
    port: int


def _listeners(settings: ListenerSettings) -> Iterator[_Listener]:
    """Where we listen, as far as it is to be seen. Of mail that comes in by a socket that somebody hands us, systemd
    say, it is supposed that it does so at the port it has everywhere."""
    for service in _SERVICES:
        for description in getattr(settings, service):
            found = _ENDPOINT.match(description)
            if found is None:
                if service == "smtp" and not description.startswith("unix:"):
                    yield _Listener(4, None, SMTP_PORT)
                    yield _Listener(6, None, SMTP_PORT)
                continue
            interface = _INTERFACE.search(description)
            address = _interface_address(interface["address"].replace("\\", "")) if interface is not None else None
            version = address.version if address is not None else 6 if found["six"] else 4
            yield _Listener(version, None if address is None or address.is_unspecified else address, int(found["port"]))


def _interface_address(text: str) -> _Address | None:
    try:
        return ip_address("127.0.0.1" if text == "localhost" else text)
    except ValueError:
        return None


class AddressFilter:
    """Objects to addresses, with the reason. Without ``settings``, the defaults apply.

    ``own_addresses`` are those under which others reach us, whatever the port;
    ``has_address``: whether an address is this host's.
    """

    def __init__(
        self,
        settings: OutgoingSettings | None = None,
        listeners: ListenerSettings | None = None,
        own_addresses: Iterable[str] = (),
        has_address: Callable[[str], bool] = has_address,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings or OutgoingSettings()
        self._listeners = frozenset(_listeners(listeners)) if listeners is not None else frozenset()
        self._ports = frozenset(listener.port for listener in self._listeners)
        self._own_addresses = frozenset(ip_address(address) for address in own_addresses)
        self._has_address = has_address
        self._seconds = seconds
        # The settings are what they are, and the addresses of few hosts are asked about again and again.
        self._found = lru_cache(maxsize=4096)(self._find_objection)
        self._asked: dict[str, bool] = {}
        self._forget_at = 0.0

    def objection(self, ip: str) -> str:
        """The reason not to connect to an address (``loopback``), or empty. ValueError if ``ip`` is none."""
        return self._found(ip)

    def _find_objection(self, ip: str) -> str:
        settings = self._settings
        address, forms, kind = _known(ip)
        if any(form in network for form in forms for network in settings.refused_networks):
            return "a refused network"
        if any(address in network for network in settings.allowed_networks):
            return ""
        within = [form for form in forms if form != address]
        if within and all(any(form in network for network in settings.allowed_networks) for form in within):
            return ""
        return "" if kind == PRIVATE and settings.private_networks else kind

    def is_ourselves(self, ip: str, port: int) -> bool:
        """Whether a connection to this address reaches one of our own listeners, here or elsewhere."""
        _, forms, _ = _known(ip)
        return any(form in self._own_addresses or self._listens_at(form, port) for form in forms)

    def _listens_at(self, address: _Address, port: int) -> bool:
        if port not in self._ports:
            return False
        if address.is_unspecified:
            # The system takes it for its loopback.
            return True
        if _Listener(address.version, address, port) in self._listeners:
            return True
        everywhere = _Listener(address.version, None, port) in self._listeners
        return everywhere and (address.is_loopback or self._is_here(str(address)))

    def _is_here(self, ip: str) -> bool:
        """The answer of the system, remembered for a while: asking costs some system calls, and addresses come and go
        with interfaces."""
        now = self._seconds()
        if now >= self._forget_at or len(self._asked) >= _REMEMBERED_MAX:
            self._asked.clear()
            self._forget_at = now + _REMEMBERED_S
        if ip not in self._asked:
            self._asked[ip] = self._has_address(ip)
        return self._asked[ip]


@lru_cache(maxsize=4096)
def _known(ip: str) -> tuple[_Address, list[_Address], str]:
    """An address, all that it may stand for (itself and what is within it), and what is special about it."""
    address = ip_address(ip.partition("%")[0])
    within = embedded(address) if isinstance(address, IPv6Address) else []
    return address, [address, *within], _kind(address)


class AddressRefused(ConnectError):
    """We do not connect to this address."""


class FilteredReactor:
    """The reactor as clients of HTTP see it: connections to addresses that the address filter objects to fail.

    ``named`` are addresses that the settings name; they are not judged."""

    def __init__(self, reactor: Any, address_filter: AddressFilter, named: Iterable[str] = ()) -> None:
        self._reactor = reactor
        self._address_filter = address_filter
        self._named = frozenset(named)
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(self, host: str, port: int, factory: Any, *args: Any, **options: Any) -> IConnector:
        """As the reactor does it. AddressRefused."""
        objection = "" if host in self._named else self._address_filter.objection(host)
        if objection:
            why = f"{host} is {objection}: not connected to"
            raise AddressRefused(string=why)  # type: ignore[no-untyped-call]
        return self._reactor.connectTCP(host, port, factory, *args, **options)  # type: ignore[no-any-return]
