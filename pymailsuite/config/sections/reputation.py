"""Settings of reputation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pymailsuite.config.base import Duration
from pymailsuite.config.sections.policy import PolicyAction, PolicySection


class ReputationSettings(PolicySection):
    """``[reputation]``: how mail of the same verified domain (SPF, DKIM, DMARC), the same address or the same network
    has fared before adds to a message's score or takes from it. Off until ``action`` says otherwise."""

    action: PolicyAction = "off"
    """``score`` counts what is known, ``reject`` also asks senders of whom nothing is known to come back (see
    ``first_time``), ``log`` only gathers and writes down, ``off``."""

    half_life: Duration = Field(default=30 * 86400.0, gt=0)
    """After this time an event weighs half."""

    minimum_events: float = Field(default=10.0, ge=1)
    """The weight that the events of a sender must have before they count; one event weighs 1 when it happens."""

    bad_score: float = Field(default=4.0, ge=0)
    """Added for a sender of whom only bad is known; for others a part of it."""

    good_score: float = Field(default=2.0, ge=0)
    """Taken away for a sender of whom only good is known; for others a part of it."""

    junk_weight: float = Field(default=5.0, ge=0)
    """The weight of a user's report about a message (junk, or not); accepted and refused messages weigh 1."""

    ipv4_prefix: int = Field(default=24, ge=8, le=32)
    """The network that stands for an IPv4 client."""

    ipv6_prefix: int = Field(default=64, ge=16, le=128)
    """The network that stands for an IPv6 client."""

    first_time: Literal["pass", "tarpit", "tempfail"] = "pass"
    """The treatment of an unknown sender (its domain if SPF has passed, else its network): nothing; ``tarpit`` holds
    the reply to its first RCPT back for ``first_time_delay``, or for most of ``[policy] budget`` if that is shorter;
    ``tempfail`` asks it with 451 to come back after that time."""

    first_time_delay: Duration = Field(default=60.0, ge=0)
    """How long an unknown sender has to wait."""

    write_interval: Duration = Field(default=10.0, ge=0)
    """How long events are gathered before they are written together. What was gathered is lost if the server is killed
    or stopped."""

    write_after: int = Field(default=500, ge=1)
    """So many senders' events are written at once."""
