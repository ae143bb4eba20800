"""The key by which clients are counted, and the address of a peer as text."""

from __future__ import annotations

import ipaddress

from twisted.internet.interfaces import IAddress


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
