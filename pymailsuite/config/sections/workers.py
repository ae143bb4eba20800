"""Settings of the parent that keeps worker processes."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section


class WorkerSettings(Section):
    """``[workers]``: how the parent keeps its worker processes, if ``[server] workers`` asks for more than one."""

    restart_first: Duration = Field(default=0.5, gt=0)
    """A worker that died is started again at once. This is how long to wait if it dies again soon; doubled each further
    time."""

    restart_max: Duration = Field(default=30.0, gt=0)
    """The longest wait before a worker is started again."""

    steady: Duration = Field(default=60.0, gt=0)
    """A worker that lived for so long is no longer one that dies soon."""

    start_limit: Duration = Field(default=120.0, gt=0)
    """How long a worker may take until it serves; then it is killed, and has failed."""

    stop_limit: Duration = Field(default=60.0, gt=0)
    """How long a worker that was told to end may take, ``upkeep.stop_grace`` and mail on its way out included; then it
    is killed."""

    gather: Duration = Field(default=0.02, ge=0)
    """Notices and counts of connections that are sent within this time of each other travel together. A change in one
    worker is known in the others after at most twice this time."""
