"""Whether an address is in one of some networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from pymailsuite.config.sections.smtp import Network


def in_networks(ip: str, networks: Sequence[Network]) -> bool:
    """True if the address is in one of them; a peer without an address is in none."""
    if not networks:
        return False
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in networks)
