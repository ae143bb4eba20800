"""The PROXY protocol: every form, in every cut, and what is none."""

from __future__ import annotations

import struct

import pytest

from pymailsuite.wire.proxy_header import BadProxyHeader, ProxiedPeer, read_proxy_header

V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def second_version(command: int, family: int, body: bytes) -> bytes:
    """A header of version 2."""
    return V2 + struct.pack("!BBH", command, family, len(body)) + body


IPV4 = bytes([203, 0, 113, 9, 192, 0, 2, 1]) + struct.pack("!HH", 4711, 25)
IPV6 = bytes.fromhex("20010db8" + "0" * 23 + "1") + bytes(16) + struct.pack("!HH", 4711, 25)
MAPPED = bytes(10) + b"\xff\xff" + bytes([203, 0, 113, 9]) + bytes(16) + struct.pack("!HH", 4711, 25)
TLVS = b"\x04\x00\x02\x00\x00" + b"\x20\x00\x05\x01\x00\x00\x00\x00"

GOOD = {
    "v1 over IPv4": (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n", ProxiedPeer("203.0.113.9", 4711)),
    "v1 over IPv6": (b"PROXY TCP6 2001:DB8::1 ::1 4711 25\r\n", ProxiedPeer("2001:db8::1", 4711)),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", ProxiedPeer()),
    "v1 unknown with words": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ProxiedPeer()),
    "v2 over IPv4": (second_version(0x21, 0x11, IPV4), ProxiedPeer("203.0.113.9", 4711)),
    "v2 over IPv6": (second_version(0x21, 0x21, IPV6), ProxiedPeer("2001:db8::1", 4711)),
    "v2 with more": (second_version(0x21, 0x11, IPV4 + TLVS), ProxiedPeer("203.0.113.9", 4711)),
    "v2 mapped": (second_version(0x21, 0x21, MAPPED), ProxiedPeer("203.0.113.9", 4711)),
    "v2 local": (second_version(0x20, 0x00, b""), ProxiedPeer()),
    "v2 local with an address": (second_version(0x20, 0x11, IPV4), ProxiedPeer()),
    "v2 of a UNIX socket": (second_version(0x21, 0x31, bytes(216)), ProxiedPeer()),
}
BAD = {
    "no header": b"EHLO client.example\r\n",
    "lower case": b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
    "v1 of another family": b"PROXY TCP4 2001:db8::1 ::1 4711 25\r\n",
    "v1 with a bad address": b"PROXY TCP4 203.0.113.999 192.0.2.1 4711 25\r\n",
    "v1 with a bad port": b"PROXY TCP4 203.0.113.9 192.0.2.1 65536 25\r\n",
    "v1 too long": b"PROXY UNKNOWN " + b"x" * 107,
    "v1 without a family": b"PROXY \r\n",
    "v2 of another version": second_version(0x31, 0x11, IPV4),
    "v2 too long": second_version(0x21, 0x11, IPV4 + bytes(5000)),
    "v2 too short": second_version(0x21, 0x11, IPV4[:-1]),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_tells_the_peer_in_any_cut_and_leaves_the_rest(name: str) -> None:
    header, peer = GOOD[name]
    assert read_proxy_header(header + b"EHLO a\r\n") == (peer, b"EHLO a\r\n")
    for size in range(len(header)):
        assert read_proxy_header(header[:size]) is None
    assert read_proxy_header(header) == (peer, b"")


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(BadProxyHeader):
        read_proxy_header(BAD[name])
