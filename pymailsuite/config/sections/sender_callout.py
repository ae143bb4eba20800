"""Settings of the question whether a sender's own host would take mail for it."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration
from pymailsuite.config.sections.policy import PolicyAction, PolicySection


class SenderCalloutSettings(PolicySection):
    """``[sender_callout]``: before DATA, asks a mail host of the sender's domain whether it would take a bounce to the
    sender. Nothing is sent. Many hosts take such questions ill: use it sparingly, with ``exempt_senders`` for the large
    providers."""

    action: PolicyAction = "off"
    """The effect of an objection, see ``[helo]``."""

    timeout: Duration = Field(default=8.0, gt=0)
    """How long the hosts of a sender are waited for, DNS included; then nothing is held against it. Keep it below
    ``policy.budget``."""

    hosts: int = Field(default=2, ge=1)
    """Addresses that are tried at most."""

    concurrency: int = Field(default=20, ge=1)
    """Questions that are asked at a time; senders beyond that are not asked about."""

    domain_concurrency: int = Field(default=4, ge=1)
    """Questions about senders of one domain at a time, so that a domain with slow hosts and many addresses does not
    keep others from being asked about."""

    known_life: Duration = Field(default=86_400.0, ge=0)
    """How long a sender that is taken is remembered."""

    refused_life: Duration = Field(default=7_200.0, ge=0)
    """How long one that is refused is remembered."""

    unknown_life: Duration = Field(default=900.0, ge=0)
    """How long it is remembered that no answer was to be had."""

    cache_entries: int = Field(default=10_000, ge=1)
    """How many senders are remembered at most."""

    domain_entries: int = Field(default=500, ge=1)
    """Senders of one domain at most, so that made-up addresses of one domain do not displace others."""
