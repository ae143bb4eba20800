"""The services that we offer to mail programs, by the listeners in the settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pymailsuite.config.sections.listeners import ListenerSettings
from pymailsuite.policy.dns_setup.records import AUTODISCOVER, Service

_SERVICES: Final = {
    "_submissions._tcp": "submissions",
    "_submission._tcp": "submission",
    "_imaps._tcp": "imaps",
    "_imap._tcp": "imap",
    "_pop3s._tcp": "pop3s",
    "_pop3._tcp": "pop3",
}
"""SRV names by which mail clients find servers (RFC 6186, RFC 8314 §5.1), and our listeners."""
_TCP_PORT = re.compile(r"tcp6?:(?:port=)?(\d+)")
_LOOPBACK = re.compile(r":interface=(?:127\.|localhost|\\:\\:1\b)")


def public_services(listeners: ListenerSettings) -> list[Service]:
    """What we offer, and what we decidedly do not. A listener that others may reach in a way that is not to be seen
    here, behind a proxy, say, is neither."""
    services = []
    for name, listener in _SERVICES.items():
        endpoints: Sequence[str] = getattr(listeners, listener)
        ports = _ports(endpoints, loopback=False)
        if ports or not endpoints:
            services.append(Service(name, ports[0] if ports else None))
    # That it is not there is told by there being no record: RFC 6186 does not know the name.
    services += [Service(AUTODISCOVER, port) for port in _ports(listeners.https, loopback=False)[:1]]
    return services


def reachable_services(listeners: ListenerSettings) -> list[Service]:
    """The services that a client can use: a service for others if there is one, else one for this very host."""
    services = []
    for name, listener in _SERVICES.items():
        endpoints: Sequence[str] = getattr(listeners, listener)
        ports = _ports(endpoints, loopback=False) or _ports(endpoints, loopback=True)
        services.append(Service(name, ports[0] if ports else None))
    return services


def _ports(endpoints: Sequence[str], *, loopback: bool) -> list[int]:
    return [
        int(found[1])
        for text in endpoints
        if (found := _TCP_PORT.match(text)) and bool(_LOOPBACK.search(text)) is loopback
    ]
