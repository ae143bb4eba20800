"""Settings of work that the server does by itself at intervals."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section


class MaintenanceSettings(Section):
    """``[maintenance]``: what the server does by itself from time to time."""

    sweep_interval: Duration = Field(default=3600.0, ge=0)
    """How often the store is swept: messages past their undelete time are removed, and octets without a reference. 0:
    never; then ``pymailsuite store sweep`` is for you to run."""

    slow_turn: Duration = Field(default=0.5, ge=0)
    """A turn of the reactor that takes longer than this is logged: all other connections waited meanwhile. 0: not
    monitored."""

    stop_grace: Duration = Field(default=10.0, ge=0)
    """How long a server that stops waits for its sessions to end what is under way; then they are cut."""
