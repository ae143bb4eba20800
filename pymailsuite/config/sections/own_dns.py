"""``[own_dns]``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

from pydantic import Field, field_validator

from pymailsuite.config.base import Duration, Section


class OwnDnsSettings(Section):
    """``[own_dns]``: what the world should find about us in DNS: for ``pymailsuite dns``, and for the watch over lists
    of bad hosts."""

    addresses: tuple[str, ...] = ()
    """The IP addresses our mail leaves from, as others see them. Empty: those ``server.hostname`` has in DNS."""

    spf: str = ""
    """The SPF record to print for a domain. Empty: our MX may send, and our addresses; nobody else."""

    dmarc: Literal["none", "quarantine", "reject"] = "quarantine"
    """The policy of the DMARC record to print. Begin with ``none`` where others send in the domain's name too."""

    reports_to: str = ""
    """The address reports about our mail (DMARC, TLS) are asked to. Empty: ``postmaster@`` each domain."""

    mta_sts: Literal["none", "testing", "enforce"] = "testing"
    """The mode of the MTA-STS policy to print (RFC 8461)."""

    listing_interval: Duration = Field(default=6 * 3600.0, ge=0)
    """How often the lists of ``[dnsbl]`` are asked about our own addresses; a listing is logged and counted.
    0: never."""

    @field_validator("addresses")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_address(address)) for address in addresses)
