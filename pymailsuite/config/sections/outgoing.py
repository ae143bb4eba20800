"""Settings of whom we connect to."""

from __future__ import annotations

from pymailsuite.config.base import Network, Section


class OutgoingSettings(Section):
    """``[outgoing]``: which addresses we connect to when DNS, a user or another host has named them.

    Never to this host itself (loopback, unspecified, our own listeners), nor to addresses of one link, of many hosts,
    or of no host (link-local, multicast, broadcast, reserved), nor to any of these inside of an IPv6 address. This
    holds for mail hosts and address literals, for callouts, and for documents fetched by HTTP. Hosts that the settings
    name are always connected to: a relay host, a route, a host in ``relay.ports``, an address in the URL of a list.
    """

    private_networks: bool = True
    """Connect to private networks too (RFC 1918, RFC 6598, RFC 4193) where DNS or a user leads there. ``false``: only
    where the settings do. Networks at home often have their hosts in DNS; where none have, ``false`` keeps strangers
    from having their mail sent to hosts that they cannot reach."""

    allowed_networks: tuple[Network, ...] = ()
    """Networks that may be connected to, whatever they are: ``["127.0.0.0/8"]`` for a laboratory on one host. Our own
    listeners are ourselves all the same."""

    refused_networks: tuple[Network, ...] = ()
    """Networks that may not be connected to, whatever they are."""
