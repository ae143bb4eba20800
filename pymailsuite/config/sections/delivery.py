"""Settings of the door through which messages come in."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Section, Size


class DeliverySettings(Section):
    """``[delivery]``: what is asked of every message, by whatever way it comes in."""

    header_size: Size = Field(default=256 * 1024, ge=64 * 1024)
    """Octets of a message's header; one with a longer is refused with 552 5.3.4. A header is held in memory until it is
    complete."""

    max_received: int = 100
    """Received fields a message may carry; one with more is taken for a mail loop and refused with 554 5.4.6."""
