"""Settings of the log."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pymailsuite.config.base import FilePath, Section


class LogSettings(Section):
    """``[log]``: one line for each thing that happened, with its facts in named fields."""

    format: Literal["text", "json"] = "text"
    """``text`` for people, ``json`` for machines: one JSON object a line, fields as the events name them."""

    level: Literal["debug", "info", "warn", "error", "critical"] = "info"
    """The least important level that is written."""

    file: FilePath | None = Field(default=None, examples=["/var/log/pymailsuite.log"])
    """Where to write. Without it the log goes where twistd's ``--logfile`` says, else with ``twistd -n`` to standard
    error, else to ``twistd.log`` in the working folder. A file that was moved away is opened anew, so ``logrotate``
    needs to send no signal."""
