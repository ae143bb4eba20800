"""Settings of the notices between processes."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section


class NoticeSettings(Section):
    """``[notices]``: how the processes that work on one store hear of each other."""

    poll: Duration = Field(default=5.0, gt=0)
    """How often accounts that sessions watch (IDLE) are compared with the store. What another process did is told at
    once over the bus between them; this is for what the bus lost, and for what no part of the server did, such as
    ``pymailsuite store restore``. One cheap query for 500 accounts each time; none if nobody watches."""

    buffer: int = Field(default=10_000, ge=1)
    """Notices that may wait for one process that does not read; more are dropped, and the poll finds out."""
