"""Settings of where we listen."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field
from twisted.internet.endpoints import serverFromString

from pymailsuite.config.base import LOOPBACK, Duration, Network, Section


def _endpoint(description: str) -> str:
    # Parsing needs no reactor, only listening does; so a slip of the pen is found by `config check`.
    unused_reactor: Any = None
    try:
        serverFromString(unused_reactor, description)
    except IndexError:
        # A systemd socket that this process was not given, as when the file is only being checked.
        pass
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"not an endpoint description: {description!r} ({error})") from None
    return description


Endpoint = Annotated[str, AfterValidator(_endpoint)]
"""A Twisted server endpoint description: ``"tcp:2525"``, ``"tcp6:25"``, ``"tcp:25:interface=192.0.2.1"``."""


class ListenerSettings(Section):
    """``[listeners]``: for each service a list of endpoint descriptions, one a line: a second port is one more line.

    ``tcp:PORT`` is IPv4, ``tcp6:PORT`` is IPv6, ``:interface=ADDRESS`` binds one address (write the colons of an IPv6
    address as ``\\:`` in a TOML literal string). Any other endpoint of Twisted or of a plugin of it is possible:
    ``systemd:domain=INET:index=0``, ``unix:/run/pymailsuite/imap``. An empty list switches the service off. An IPv6
    line is passed over, with a warning, on a host without IPv6.

    ``haproxy:`` in front of an endpoint, as in ``haproxy:tcp:25``, means that only proxies connect there, which begin
    with a header of the PROXY protocol, version 1 or 2, and tell the address of the client in it. That address is then
    the address of the client in every respect.
    """

    smtp: tuple[Endpoint, ...] = ("tcp:25", "tcp6:25")
    """Mail from other servers (RFC 5321)."""

    submission: tuple[Endpoint, ...] = ("tcp:587", "tcp6:587")
    """Mail from our users, STARTTLS then login (RFC 6409)."""

    submissions: tuple[Endpoint, ...] = ("tcp:465", "tcp6:465")
    """Mail from our users, TLS from the first octet (RFC 8314)."""

    imap: tuple[Endpoint, ...] = ("tcp:143", "tcp6:143")
    """IMAP with STARTTLS (RFC 3501)."""

    imaps: tuple[Endpoint, ...] = ("tcp:993", "tcp6:993")
    """IMAP, TLS from the first octet (RFC 8314)."""

    pop3: tuple[Endpoint, ...] = ("tcp:110", "tcp6:110")
    """POP3 with STLS (RFC 1939, RFC 2595)."""

    pop3s: tuple[Endpoint, ...] = ("tcp:995", "tcp6:995")
    """POP3, TLS from the first octet (RFC 8314)."""

    proxies: tuple[Network, ...] = LOOPBACK
    """Networks of the proxies that may connect to ``haproxy:`` endpoints; other connections are closed there. A host in
    these networks can claim to be any client. A UNIX socket is for every process that may open it."""

    proxy_timeout: Duration = Field(default=5.0, gt=0)
    """How long a proxy may take for its header."""

    https: tuple[Endpoint, ...] = ()
    """Documents that programs fetch over TLS: settings of mail programs, and the MTA-STS policy (RFC 8461).
    ``"tcp:443"``, or a port that a web server passes these on to, by TLS too."""
