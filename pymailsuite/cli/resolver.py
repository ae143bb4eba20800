"""The option ``--resolver``: the name server of a command, and how long to wait for it."""

from __future__ import annotations

import socket
from typing import Any, Final

import click

from pymailsuite.config.sections.dns import DnsSettings, split_server
from pymailsuite.dns.resolver import Resolver

TIMEOUT_S: Final = 0.8
LIFETIME_S: Final = 2.0
"""A server given on the command line is near, or the person who gave it waits for it."""


class ServerType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """``HOST`` or ``HOST:PORT``; a host that is a name is looked up by the system."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """An address with or without a port, as ``[dns] servers`` has it."""
        server = str(value)
        for candidate in (server, _looked_up(server)):
            try:
                split_server(candidate)
                return candidate
            except ValueError:
                continue
        self.fail(f"{server!r} is not a host, with or without a port", param, ctx)


def _looked_up(server: str) -> str:
    """The address of the name in ``server``, with its port; as it stands if the system knows none."""
    host, _, port = server.partition(":")
    try:
        address = socket.gethostbyname(host)
    except (OSError, UnicodeError):
        return server
    return f"{address}:{port}" if port else address


resolver_option = click.option(
    "--resolver",
    "server",
    type=ServerType(),
    metavar="HOST:PORT",
    help="Ask this name server and no other; a name it is silent about has failed after "
    f"{LIFETIME_S:g} seconds. Default: those of /etc/resolv.conf.",
)


def resolver_of(server: str | None, reactor: Any, remember: bool = False) -> Resolver:
    """A resolver for one run of a command: what ``server`` says is not remembered (unless told to, for as long as its
    TTL says), so each answer is what it says now."""
    if server is None:
        return Resolver(DnsSettings(), reactor)
    # One that serves a few names for a test may be silent about all others: that does not make it silent.
    settings = DnsSettings(servers=(server,), timeout=TIMEOUT_S, lifetime=LIFETIME_S, probe_interval=0)
    return Resolver(settings if remember else settings.model_copy(update={"cache_size": 0}), reactor)
