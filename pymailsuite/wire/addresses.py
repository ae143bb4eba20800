"""What clients are counted by."""

from __future__ import annotations

import ipaddress


def address_key(ip: str) -> str:
    """What connections are counted by: an IPv6 network is handed out as a /64, an IPv4 address alone. Empty: not."""
    if ":" not in ip:
        return "" if ip.startswith("127.") else ip
    if ip == "::1":
        return ""
    return str(ipaddress.IPv6Network((ip, 64), strict=False))
