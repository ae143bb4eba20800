"""Settings of the intake of messages."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pymailsuite.config.base import Duration, Section, Size
from pymailsuite.config.sections.smtp import Handing


class DeliverySettings(Section):
    """``[delivery]``: conditions for every message, by whatever way it comes in."""

    header_size: Size = Field(default=256 * 1024, ge=64 * 1024)
    """Octets of a message's header; one with a longer is refused with 552 5.3.4. A header is held in memory until it is
    complete."""

    complete: Handing = "users"
    """Which messages are completed (RFC 6409 §8): Date and Message-ID are added, Bcc and Resent-Bcc taken out, before
    they are signed. ``users`` who logged in, on whatever port; with ``trusted`` also hosts of the trusted networks,
    whose mail else goes on as it came."""

    missing_from: Literal["add", "refuse"] = "add"
    """The treatment of a message without From that is completed: its return path, or the user's own address, becomes
    its From, or it is refused with 550 5.7.1."""

    tap_time: Duration = Field(default=30.0, gt=0)
    """How long a policy or delivery step that hears a message come in may have its sender wait, for all of the message
    together. One that takes longer hears no more of it. What a policy puts in place of a message's body may take as
    long."""

    max_received: int = 100
    """Received fields a message may carry; one with more is taken for a mail loop and refused with 554 5.4.6."""

    steps: tuple[str, ...] = ()
    """The delivery steps that say what becomes of a message, in this order; ``resolve`` is the first of them. Empty:
    our own (``resolve``, ``junk``, ``forward``, ``quota``, ``quarantine``) and those that have a section in
    ``plugins``, in the order of the positions they declare. Without ``quarantine`` mail that policies want kept for the
    operator is delivered."""

    step_timeout: Duration = Field(default=10.0, gt=0)
    """How long a delivery step may take for one message. One that takes longer is passed over, as is one that fails:
    the mail goes where the steps before it have sent it, an account's to its inbox."""

    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Sections of delivery steps that are not ours, by the step's name, with options of their own."""
