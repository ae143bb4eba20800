"""``[dns_setup]``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

from pydantic import Field, field_validator

from pymailsuite.config.base import Duration, Section
from pymailsuite.config.sections.server import domain_name


class DnsSetupSettings(Section):
    """``[dns_setup]``: the DNS records that this server should have: for ``pymailsuite dns``, and for the watch over
    lists of bad hosts."""

    addresses: tuple[str, ...] = ()
    """The IP addresses our mail leaves from, as others see them. Empty: those ``server.hostname`` has in DNS."""

    spf: str = ""
    """The SPF record to print for a domain. Empty: our MX and our addresses may send, and no other host."""

    dmarc: Literal["none", "quarantine", "reject"] = "quarantine"
    """The policy of the DMARC record to print. Begin with ``none`` where others send in the domain's name too."""

    reports_to: str = ""
    """The address reports about our mail (DMARC, TLS) are asked to. Empty: ``postmaster@`` each domain."""

    mta_sts: Literal["none", "testing", "enforce"] = "testing"
    """The mode of the MTA-STS policy to print (RFC 8461)."""

    mta_sts_host: str = ""
    """The host whose web server serves the MTA-STS policy. Empty: ``server.hostname``."""

    bimi_picture: str = ""
    """The https address of the picture receivers may show beside our mail, an SVG (BIMI). Empty: no such record."""

    bimi_evidence: str = ""
    """The https address of the certificate that says the picture is ours."""

    listing_interval: Duration = Field(default=6 * 3600.0, ge=0)
    """How often the lists of ``[dnsbl]`` are asked about our own addresses; a listing is logged and counted.
    0: never."""

    @field_validator("bimi_picture", "bimi_evidence")
    @classmethod
    def _is_https(cls, address: str) -> str:
        if address and (not address.startswith("https://") or not address.isascii() or ";" in address):
            raise ValueError("expected an https address, without a semicolon")
        return address

    @field_validator("mta_sts_host")
    @classmethod
    def _is_host(cls, host: str) -> str:
        return domain_name(host) if host else ""

    @field_validator("reports_to")
    @classmethod
    def _is_address(cls, address: str) -> str:
        local_part, at, domain = address.rpartition("@")
        if address and not (local_part and at and domain_name(domain)):
            raise ValueError("expected an address, name@domain")
        return address

    @field_validator("addresses")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_address(address)) for address in addresses)
