"""Limits that each process keeps for itself, divided among the workers."""

from __future__ import annotations

import os

from pymailsuite.config.base import Section
from pymailsuite.config.settings import Settings

# [auth] hash_threads is divided too, but 0 stands for a number of its own.
_DIVIDED: dict[str, tuple[str, ...]] = {
    "queue": ("concurrency",),
    "relay": ("connections", "connections_per_host"),
    "auth": ("hash_backlog",),
    "imap": ("remembered_messages",),
}


def share_of(settings: Settings, workers: int) -> Settings:
    """What one of that many workers is told: of each such limit its part, but at least 1.

    Limits of connections stay whole: those the workers count together.
    """
    parts: dict[str, Section] = {}
    for name, keys in _DIVIDED.items():
        section: Section = getattr(settings, name)
        parts[name] = section.model_copy(update={key: max(1, getattr(section, key) // workers) for key in keys})
    threads = settings.auth.hash_threads or os.cpu_count() or 1
    parts["auth"] = parts["auth"].model_copy(update={"hash_threads": max(1, threads // workers)})
    return settings.model_copy(update=parts)
