"""Settings of the door through which messages come in."""

from __future__ import annotations

from pymailsuite.config.base import Section


class DeliverySettings(Section):
    """``[delivery]``: what is asked of every message, by whatever way it comes in."""

    max_received: int = 100
    """Received fields a message may carry; one with more is taken for a mail loop and refused with 554 5.4.6."""
