"""Settings of the record of what happened."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section, Size


class HistorySettings(Section):
    """``[history]``: the record that ``pymailsuite why`` reads: what happened to messages, and the refusals with their
    reasons. It holds addresses of mail and of hosts, and the results of checks; no passwords, no subjects, no text."""

    enabled: bool = True
    """Whether anything is recorded."""

    keep: Duration = Field(default=14 * 86400.0, gt=0)
    """How long it is kept. Old entries go when the store is swept."""

    facts_max: Size = Field(default=16_000, ge=1000)
    """Octets of one entry. What a check's verdict rests on is left out where it would get longer."""

    refusals_per_address: int = Field(default=20, ge=0)
    """Refusals of one client address that are recorded one by one within ``refusal_window``; of those that follow, only
    their number and the last reply."""

    refusal_window: Duration = Field(default=3600.0, gt=0)
    """After this time a client's refusals are recorded one by one again. The number of those that were not is written
    down then, and once before, after ``limits_window``."""

    refusals_per_minute: int = Field(default=600, ge=0)
    """Refusals that each process records one by one in a minute, of all clients together; those beyond it are
    counted."""

    addresses_max: int = Field(default=10_000, ge=1)
    """Client addresses whose refusals are counted at the same time; those of all others are counted together."""

    limits_window: Duration = Field(default=60.0, gt=0)
    """Refusals by limits (too many connections, wrong PROXY headers, logins to mailboxes) are counted by address for
    this long, and then written down as one. The log has the first and the number."""

    limits_addresses: int = Field(default=500, ge=1)
    """Addresses (of IPv6: networks, /64) whose refusals by limits are counted at the same time; those of all others
    are counted together."""

    flush_interval: Duration = Field(default=1.0, gt=0)
    """How long refusals are collected before they are written, all in one transaction."""
