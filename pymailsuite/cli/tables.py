"""The lookup tables of the settings, for as long as a command runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from twisted.internet.threads import deferToThreadPool

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.tables import LookupTables, TableContext, make_tables


@asynccontextmanager
async def lookup_tables(settings: DirectorySettings) -> AsyncIterator[LookupTables | None]:
    """None if the settings name none; their services run meanwhile. ConfigError if one cannot be made."""
    tables = _made(settings) if settings.tables else None
    services = tables.services if tables is not None else ()
    for service in services:
        service.startService()
    try:
        yield tables
    finally:
        for service in reversed(services):
            await service.stopService()


def _made(settings: DirectorySettings) -> LookupTables | None:
    # The reactor is installed when it is imported.
    from twisted.internet import reactor as installed

    reactor: Any = installed
    return make_tables(TableContext(settings, reactor, partial(deferToThreadPool, reactor, reactor.getThreadPool())))
