"""The header by which a proxy tells the address of its client: PROXY protocol, versions 1 and 2, of HAProxy's
specification.

Pure: octets in, a peer out. It is read only from proxies that the configuration names, since it can claim any address.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Final

from attrs import frozen

from pymailsuite.errors import PeerError

_V1_START: Final = b"PROXY "
_V1_MAX: Final = 107
"""Octets of the line with its CRLF, as the specification has it."""
_V1: Final = re.compile(
    rb"PROXY (?:(TCP4|TCP6) ([0-9A-Fa-f.:]{1,39}) [0-9A-Fa-f.:]{1,39} ([0-9]{1,5}) [0-9]{1,5}|UNKNOWN(?: [^\r\n]*)?)"
)
_V2_START: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FRONT: Final = struct.Struct("!12sBBH")
_V2_MAX: Final = 4096
"""Octets after the fixed part: addresses, and what else a proxy has to tell, which is passed over."""
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES: Final = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
"""By family and transport: TCP over IPv4, TCP over IPv6."""


class BadProxyHeader(PeerError):
    """A trusted proxy did not begin with a header, or with one that cannot be read."""

    text = "Malformed PROXY protocol header"


@frozen
class ProxiedPeer:
    """The client of the proxy; ``ip`` is empty for a connection of the proxy itself (a health check), or if it is
    unknown."""

    ip: str = ""
    port: int = 0


def read_proxy_header(octets: bytes) -> tuple[ProxiedPeer, bytes] | None:
    """The peer, and the octets after the header; None: more are needed. BadProxyHeader."""
    start = octets[: len(_V2_START)]
    if start == _V2_START:
        return _read_v2(octets)
    if octets[: len(_V1_START)] == _V1_START:
        return _read_v1(octets)
    if _V2_START.startswith(start) or _V1_START.startswith(octets):
        return None
    raise BadProxyHeader


def _read_v1(octets: bytes) -> tuple[ProxiedPeer, bytes] | None:
    end = octets.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        if len(octets) >= _V1_MAX:
            raise BadProxyHeader(cause="line too long")
        return None
    match = _V1.fullmatch(octets[:end])
    if match is None:
        raise BadProxyHeader(cause=repr(octets[:end]))
    rest = octets[end + 2 :]
    if match[1] is None:
        return ProxiedPeer(), rest
    try:
        ip = ipaddress.ip_address(match[2].decode("ascii"))
    except ValueError:
        raise BadProxyHeader(cause=repr(octets[:end])) from None
    port = int(match[3])
    if ip.version != (4 if match[1] == b"TCP4" else 6) or port > 0xFFFF:
        raise BadProxyHeader(cause=repr(octets[:end]))
    return ProxiedPeer(_text_of(ip), port), rest


def _read_v2(octets: bytes) -> tuple[ProxiedPeer, bytes] | None:
    front = _V2_FRONT.size
    if len(octets) < front:
        return None
    _, command, family, size = _V2_FRONT.unpack_from(octets)
    if command not in (_LOCAL, _PROXY) or size > _V2_MAX:
        raise BadProxyHeader(cause=f"command {command:#x}, {size} octets")
    if len(octets) < front + size:
        return None
    rest = octets[front + size :]
    addresses = _ADDRESSES.get(family)
    if command == _LOCAL or addresses is None:
        return ProxiedPeer(), rest
    if size < addresses.size:
        raise BadProxyHeader(cause=f"family {family:#x} in {size} octets")
    source, _, port, _ = addresses.unpack_from(octets, front)
    return ProxiedPeer(_text_of(ipaddress.ip_address(source)), port), rest


def _text_of(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The address in one form; an IPv4-mapped IPv6 address is the IPv4 address."""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)
