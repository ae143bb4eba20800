"""How the work and the limits that each process keeps for itself are divided among the workers."""

from __future__ import annotations

import os

from pymailsuite.config.base import Section
from pymailsuite.config.settings import Settings

# [auth] hash_threads is divided too, but 0 stands for a number of its own.
_DIVIDED: dict[str, tuple[str, ...]] = {
    "auth": ("hash_backlog",),
    "imap": ("remembered_messages",),
}
_DIVIDED_BY_INTAKE: dict[str, tuple[str, ...]] = {
    "queue": ("concurrency",),
    "relay": ("connections", "connections_per_host"),
}


def intake_count(settings: Settings, writes_in_turn: bool) -> int:
    """How many workers, the first ones, take mail in and work on the queue.

    ``writes_in_turn`` is what the store says of itself.
    """
    workers, wanted = settings.server.worker_count, settings.workers.intake
    if wanted == "auto":
        return 1 if writes_in_turn else workers
    return workers if wanted == "all" else min(wanted, workers)


def share_of(settings: Settings, workers: int, intake: int) -> Settings:
    """The settings of one of that many workers: of each such limit its part, but at least 1.

    Limits of connections stay whole: those the workers count together.
    """
    parts: dict[str, Section] = {}
    for divided, among in ((_DIVIDED, workers), (_DIVIDED_BY_INTAKE, intake)):
        for name, keys in divided.items():
            section: Section = getattr(settings, name)
            parts[name] = section.model_copy(update={key: max(1, getattr(section, key) // among) for key in keys})
    threads = settings.auth.hash_threads or os.cpu_count() or 1
    parts["auth"] = parts["auth"].model_copy(update={"hash_threads": max(1, threads // workers)})
    return settings.model_copy(update=parts)
