"""Settings of DNS look-ups."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import Field, field_validator

from pymailsuite.config.base import Duration, Section


def split_server(server: str) -> tuple[str, int]:
    """The address and port of ``192.0.2.1``, ``192.0.2.1:5353``, ``2001:db8::1`` or ``[2001:db8::1]:5353``.

    ValueError if it is none of these.
    """
    host, port = server, "53"
    if server.startswith("["):
        host, bracket, rest = server[1:].partition("]")
        port = rest.removeprefix(":") if rest or not bracket else port
    elif server.count(":") == 1:
        host, _, port = server.partition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"not an IP address with or without a port: {server!r}")
    return str(ip_address(host)), int(port)


class DnsSettings(Section):
    """``[dns]``: name servers, time limits, cache."""

    servers: tuple[str, ...] = ()
    """Recursive name servers, asked in this order: ``"192.0.2.1"``, ``"127.0.0.1:5353"`` or ``"[2001:db8::1]:53"``.
    Empty: those of ``/etc/resolv.conf``."""

    timeout: Duration = Field(default=3.0, gt=0)
    """How long to wait for one server's answer before asking the next."""

    lifetime: Duration = Field(default=12.0, gt=0)
    """How long to try in all; then the look-up has failed (which is not "no such name")."""

    probe_timeout: Duration = Field(default=2.0, gt=0)
    """A server that let a question time out, and gave no sign of life meanwhile, is asked for something any server
    answers at once. If there is no answer within this time, the server is silent: look-ups go to the others, or fail
    at once, until it answers a probe."""

    probe_interval: Duration = Field(default=5.0, ge=0)
    """How often a silent server is probed at most, while there is something to look up. 0: silence is not remembered;
    every look-up waits."""

    trust_ad: bool = False
    """Believe the AD bit (DNSSEC validated) of the servers. Only for a validating resolver on this host or on a network
    that only trusted hosts can write to."""

    cache_size: int = Field(default=20_000, ge=0)
    """Answers remembered at most; the least recently used go first. 0 switches the cache off."""

    cache_ttl_max: Duration = Field(default=86_400.0, ge=0)
    """An answer is remembered no longer than this, whatever its TTL."""

    cache_negative_ttl_max: Duration = Field(default=900.0, ge=0)
    """"No such name" and "no data" are remembered no longer than this, whatever the zone says."""

    @field_validator("servers")
    @classmethod
    def _are_addresses(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            split_server(server)
        return servers
