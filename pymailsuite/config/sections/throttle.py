"""``[throttle]``: what those are kept to who guess passwords."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from pydantic import Field

from pymailsuite.config.base import Duration, Section

Network = IPv4Network | IPv6Network


class ThrottleSettings(Section):
    """Limits for clients that guess passwords: over SMTP, IMAP and POP3, on all nodes together.

    Wrong logins are counted in the store, by the address they come from (IPv6: its /64) and the login name, however
    that is written. Each login is counted before its password is checked, and the count is taken back if the password
    was right. Strangers at other addresses cannot lock a user out of an account; they can only make its logins slower.
    """

    window: Duration = Field(default=900.0, gt=0)
    """How long a wrong login counts: from the first one on until this time has passed, then the count begins anew."""

    failures_per_login: int = Field(default=10, ge=0)
    """Wrong logins for one name from one address, after which this address is refused for this name, right password or
    not, until the window ends. A right one before that begins the count anew. 0: no limit."""

    failures_per_address: int = Field(default=50, ge=0)
    """Wrong logins for any names from one address, after which this address is refused until the window ends. 0: no
    limit."""

    slow_after: int = Field(default=30, ge=0)
    """Wrong logins for one name from all addresses, after which each login for it has to wait until the window ends,
    except from addresses where its password was right before. 0: never."""

    slow_down: Duration = Field(default=3.0, ge=0)
    """How long those logins wait."""

    remembered: int = Field(default=20_000, ge=0)
    """Pairs of name and address with a right password, kept as a keyed digest, that a process remembers: they need not
    wait, and are not counted first. As many counts are kept in memory while the store takes none."""

    exempt_networks: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """Networks that are never refused or slowed down: behind this host's own addresses, and those of a webmail, one
    address speaks for all users."""
