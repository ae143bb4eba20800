"""Settings of the notices between processes."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section


class NoticeSettings(Section):
    """``[notices]``: how the processes that work on one store notify each other."""

    poll: Duration = Field(default=5.0, gt=0)
    """How often accounts that sessions watch (IDLE) are compared with the store. Changes by another process are
    notified at once over the bus; the poll is for notices that the bus lost, and for changes by commands, such as
    ``pymailsuite store restore``. One cheap query for 500 accounts each time; none if no account is watched."""

    buffer: int = Field(default=10_000, ge=1)
    """Notices that may wait for one process that does not read; more are dropped, and the poll finds out."""
