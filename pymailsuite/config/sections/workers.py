"""Settings of the parent that keeps worker processes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pymailsuite.config.base import Duration, Section


class WorkerSettings(Section):
    """``[workers]``: how the parent keeps its worker processes, if ``[server] workers`` asks for more than one."""

    intake: Annotated[int, Field(ge=1)] | Literal["auto", "all"] = "auto"
    """How many of the workers take mail in (SMTP and submission) and work on the queue; all serve IMAP and POP3.
    ``"auto"``: all where the database takes what several processes write at the same time (PostgreSQL), one where they
    would only wait for each other (SQLite), since one process writes there with less work than several."""

    together: int = Field(default=64, ge=0)
    """Connections of clients with mail that one worker takes before the next worker does, unless it has as much to do
    as one process can: what comes in together is written with less work. 0: whichever worker has time."""

    parent: bool = False
    """Keep a parent and a worker even where ``[server] workers`` is 1: then SIGHUP reloads everything and a server that
    crashed is started again."""

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
    """How long a worker that was told to end may take, ``maintenance.stop_grace`` and mail on its way out included;
    then it is killed."""

    orphan_limit: Duration = Field(default=1.0, ge=0)
    """How long a worker whose parent was killed may take to end in good order; then it just ends, so that the ports are
    free for a new parent, which waits for them for as long."""

    gather: Duration = Field(default=0.05, ge=0)
    """Notices and counts of connections that are sent within this time of each other travel together. A change in one
    worker is known in the others after at most twice this time."""
