"""The address of a peer: as text, as the key by which clients are counted, and whether it is in a network."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from twisted.internet.interfaces import IAddress

from pymailsuite.config.base import Network


def address_key(ip: str) -> str:
    """The key by which connections are counted: for IPv6 the network (/64), for IPv4 the address. Empty: not
    counted."""
    if ":" not in ip:
        return "" if ip.startswith("127.") else ip
    if ip == "::1":
        return ""
    return str(ipaddress.IPv6Network((ip, 64), strict=False))


def peer_ip(peer: IAddress | None) -> str:
    """The address as text; of an IPv4 peer of a dual-stack socket, the IPv4 address. Empty for a UNIX socket."""
    ip: str = getattr(peer, "host", "")
    return ip[7:] if ip.startswith("::ffff:") and "." in ip else ip.partition("%")[0]


def in_networks(ip: str, networks: Sequence[Network]) -> bool:
    """True if the address is in one of them; a peer without an address is in none."""
    if not networks:
        return False
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in networks)


def may_send_passwords(ip: str, networks: Sequence[Network]) -> bool:
    """Whether a client may send a password without TLS: it is in one of ``networks``. A UNIX socket, which has no
    address and cannot be intercepted, is as good as a loopback address."""
    return in_networks(ip, networks) if ip else any(network.is_loopback for network in networks)
