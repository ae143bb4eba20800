"""Settings of what becomes of messages on their way out."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pymailsuite.config.base import Duration, Section


class EgressSettings(Section):
    """``[egress]``: plugins that change a message for one transaction with another host, such as a signature over its
    sender and recipients. Stored messages stay as they were received."""

    transforms: tuple[str, ...] = ()
    """Names of the plugins, in the order in which they are applied: each gets what those before it made."""

    plugins: dict[str, dict[str, Any]] = {}
    """Options of a plugin, by its name: ``[egress.plugins.stamp]``."""

    timeout: Duration = Field(default=60.0, gt=0)
    """How long a plugin may take for one transaction, and for each piece of the message; then the message is
    delayed."""
